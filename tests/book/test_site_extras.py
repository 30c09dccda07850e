"""What surrounds the pages: typeset mathematics, addresses, redirects, 404, icons, print."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urljoin, urlsplit
from xml.etree import ElementTree

import pytest
import sphinxcontrib.katex as katex
import yaml
from fontTools.ttLib import TTFont

ROOT = Path(__file__).parents[2]
JUPYTER_BOOK = Path(sys.executable).with_name("jupyter-book")
FORMULAE = "# A page\n\nInline $\\sqrt{d_k}$ and\n\n$$\nS = \\frac{QK^\\top}{\\sqrt{d_k}}\n$$\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small book with this book's configuration, of another school, without fetched files."""
    for path in ("_config.yml", "book/references.bib", "book/redirects.txt"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    for folder in ("book/_ext", "book/_static", "book/_templates"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    config = (tmp_path / "_config.yml").read_text()
    own = yaml.safe_load(config)["repository"]["url"]
    assert config.count(own) == 1  # written once
    (tmp_path / "_config.yml").write_text(config.replace(own, "https://github.com/School/Course"))
    (tmp_path / "book/redirects.txt").write_text("old/name.md page.md\n")
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: page\nchapters:\n- file: other\n")
    (tmp_path / "other.md").write_text("# Another page\n")
    (tmp_path / "page.md").write_text(FORMULAE)
    return tmp_path


def build(project: Path) -> subprocess.CompletedProcess:
    command = [JUPYTER_BOOK, "build", ".", "-W", "--keep-going", "--all"]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


def test_a_small_book_of_another_school_without_fetched_files(project, serve, browser):
    done = build(project)
    assert done.returncode == 0, done.stdout + done.stderr
    site = project / "_build/html"
    page = (site / "page.html").read_text()

    # Readable mathematics, no style and no script of KaTeX's, and one line that says so.
    assert len(re.findall(r"Not vendored: katex, pyscript, pyodide", done.stdout)) == 1
    assert page.count("<math") == 2 and "katex-html" not in page
    assert "vendor/" not in page and "cdn" not in page

    # Every address follows from the repository's.
    address = "https://school.github.io/Course/"
    assert f'<link rel="canonical" href="{address}page.html" />' in page
    assert f'property="og:url" content="{address}page.html"' in page
    card = re.search(rf'property="og:image" content="{address}([^"]+\.png)"', page)
    assert card and (site / card[1]).is_file()
    assert f"<loc>{address}page.html</loc>" in (site / "sitemap.xml").read_text()
    assert '="/Course/_static/' in (site / "404.html").read_text()

    # A renamed page is found at its old address, with what stood behind it.
    view = browser.new_page()
    view.goto(serve(site, "/Course/") + "old/name.html?q=1#there")
    view.wait_for_url("**/Course/page.html?q=1#there")
    view.close()


def test_a_formula_that_cannot_be_typeset_fails_the_build(project):
    (project / "page.md").write_text(FORMULAE.replace("{QK^\\top}", "{QK^\\top"))
    done = build(project)
    assert done.returncode != 0
    assert re.search(r"page.*WARNING: KaTeX parse error", done.stdout + done.stderr)


def test_the_style_of_the_mathematics_is_that_of_the_typesetter():
    lock = json.loads((ROOT / "book/vendor/package-lock.json").read_text())["packages"]
    assert lock["node_modules/katex"]["version"] == katex.katex_version


def test_every_formula_of_the_book_is_typeset(site):
    counted = {}
    for source in [*(ROOT / "book").glob("*.md"), *ROOT.glob("exercises/*/*.ipynb")]:
        page = site / source.relative_to(ROOT).with_suffix(".html")
        if not page.is_file():
            continue
        text = page.read_text()
        article = text[text.index("<article") : text.index("</article>")]
        counted[page.name] = article.count('class="katex"')
        assert counted[page.name] == len(re.findall(r'class="math[ "]', article))
        # Nothing that looks like TeX is left for a reader to see, in cells' text or in raw HTML.
        words = re.sub(
            r"<(annotation|pre|script|style|code)\b.*?</\1>", "", article, flags=re.DOTALL
        )
        assert not re.findall(r"\\[a-z]{2,}|\$[^$\n]{1,80}\$", re.sub(r"<[^>]+>", "", words))
    assert counted["02-scores.html"] > 100 and counted["scores.html"] > 10


def test_an_unknown_address_gives_a_page_that_leads_back(browser, published):
    page = browser.new_page()
    failed = []
    page.on("response", lambda response: response.ok or failed.append(response.url))
    answer = page.goto(published + "no/such/page.html", wait_until="networkidle")
    assert answer.status == 404
    assert failed == [answer.url]  # styles and scripts are found, however deep the address
    assert page.get_by_role("heading", name="Page not found").is_visible()
    for link in page.locator("article a[href]").all():
        assert page.request.get(urljoin(page.url, link.get_attribute("href"))).ok
    page.close()


def test_the_sitemap_lists_every_page_and_its_address_is_that_of_the_repository(site):
    locations = [
        element.text
        for element in ElementTree.parse(site / "sitemap.xml").iter()
        if element.tag.endswith("loc")
    ]
    owner, name = urlsplit(
        yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
    ).path.split("/")[1:]
    address = f"https://{owner}.github.io/{name}/"
    toc = (ROOT / "_toc.yml").read_text()
    pages = re.findall(r"(?:root|file): (\S+)", toc)
    assert sorted(locations) == sorted(f"{address}{page}.html" for page in pages)


def test_a_page_that_was_renamed_is_redirected():
    """Every page `_toc.yml` ever named is there, or `book/redirects.txt` says where it went."""
    git = ["git", "log", "--patch", "--unified=0", "--format=", "--", "_toc.yml"]
    asked = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=False)
    if asked.returncode:
        pytest.skip("no git history here")
    once = set(re.findall(r"^\+.*(?:root|file): (\S+)", asked.stdout, flags=re.M))
    now = set(re.findall(r"(?:root|file): (\S+)", (ROOT / "_toc.yml").read_text()))
    redirected = re.findall(r"^(?!#)(\S+)\s", (ROOT / "book/redirects.txt").read_text(), flags=re.M)
    assert once - now <= {source.rsplit(".", 1)[0] for source in redirected}


def test_every_icon_is_in_the_reduced_fonts(browser, published, site):
    fonts = site / "_static/vendor/fontawesome/webfonts"
    glyphs = set()
    for font in fonts.glob("*.woff2"):
        assert font.stat().st_size < 20_000
        glyphs |= set(TTFont(font).getBestCmap())
    icons = {}
    page = browser.new_page()
    for name in ("book/02-scores.html", "search.html", "exercises/02-scores/scores.html"):
        page.goto(published + name, wait_until="networkidle")
        icons |= page.evaluate(
            """Object.fromEntries([...document.querySelectorAll("*")].flatMap(element =>
                ["::before", "::after"].map(part => getComputedStyle(element, part))
                  .filter(style => /Font Awesome/.test(style.fontFamily))
                  .map(style => [style.content, element.className])))"""
        )
    page.close()
    drawn = {ord(text[1]) for text in icons if len(text) == 3 and ord(text[1]) >= 0xE000}
    assert len(drawn) > 10
    assert drawn <= glyphs


def test_a_page_prints_whole_and_in_the_light_theme(browser, published):
    context = browser.new_context(viewport={"width": 680, "height": 960}, color_scheme="dark")
    page = context.new_page()
    page.goto(published + "book/notation.html", wait_until="networkidle")
    theme = "document.documentElement.dataset.theme"
    page.evaluate(f"addEventListener('beforeprint', () => window.printed = {theme})")
    page.pdf()
    assert page.evaluate("printed") == "light" and page.evaluate(theme) == "dark"

    page.goto(published + "book/02-scores.html")
    page.emulate_media(media="print")
    cut = page.evaluate(
        """[...document.querySelectorAll("article pre, article div.math, article table")]
             .filter(box => box.checkVisibility() && box.scrollWidth > box.clientWidth + 1)
             .map(box => box.textContent.slice(0, 60))"""
    )
    assert cut == []
    hidden = ".bd-sidebar-primary, .bd-sidebar-secondary, .bd-header-article, .bd-footer, .copybtn"
    assert page.locator(hidden).count() > 3
    assert not [box for box in page.locator(hidden).all() if box.is_visible()]
    context.close()
