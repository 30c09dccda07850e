"""What is published: every button of the site leads into it, a page runs from it, and nothing private is in it."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import nbclient
import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager

from book._ext.published_branch import BRANCH, WHEEL
from book.publish import PublishError, address, publish

ROOT = Path(__file__).parents[2]
ADDRESS = address()
COLAB = f"https://colab.research.google.com/github/{urlsplit(ADDRESS).path.strip('/')}/blob/"


@pytest.fixture(scope="module")
def folder(site, tmp_path_factory) -> Path:
    """What the workflow pushes."""
    folder = tmp_path_factory.mktemp("published")
    publish(ROOT, site, folder)
    return folder


def buttons(folder: Path) -> dict[str, list[str]]:
    """Page -> where the buttons of its header lead."""
    found = {}
    for path in sorted([*folder.glob("book/*.html"), *folder.glob("exercises/*/*.html")]):
        page = BeautifulSoup(path.read_text(), "html.parser")
        links = page.select(".article-header-buttons a[href]")
        found[str(path.relative_to(folder))] = [link["href"] for link in links]
    return found


def test_every_button_leads_to_something(folder):
    kinds = dict.fromkeys(("colab", "edit", "issue", "download", "repository"), 0)
    for page, links in buttons(folder).items():
        assert links, page
        for link in links:
            parts = urlsplit(link)
            if link.startswith(COLAB):
                branch, _, path = link.removeprefix(COLAB).partition("/")
                assert branch == BRANCH and path.endswith(".ipynb"), link
                nbformat.validate(nbformat.read(folder / unquote(path), as_version=4))
                kinds["colab"] += 1
            elif link.startswith(f"{ADDRESS}/edit/main/"):
                source = unquote(link.removeprefix(f"{ADDRESS}/edit/main/"))
                assert (ROOT / source).is_file(), link
                assert Path(source).with_suffix("") == Path(page).with_suffix("")
                kinds["edit"] += 1
            elif link.startswith(f"{ADDRESS}/issues/new?"):
                (title,) = parse_qs(parts.query)["title"]
                assert (folder / title.rpartition(" /")[2]).is_file(), link
                kinds["issue"] += 1
            elif link == ADDRESS:
                kinds["repository"] += 1
            else:
                assert not parts.scheme, f"{page} leads to {link}"
                target = (folder / page).parent / unquote(parts.path)
                assert target.is_file(), f"{page} leads to {link}"
                kinds["download"] += 1
    assert all(kinds.values()), kinds


def test_chapters_and_exercises_have_the_buttons_that_they_need(folder):
    for page, links in buttons(folder).items():
        source = ROOT / Path(page).with_suffix(".md")
        is_chapter = source.is_file() and "{code-cell}" in source.read_text()
        is_exercise = page.startswith("exercises/")
        assert any(link.startswith(COLAB) for link in links) == (is_chapter or is_exercise), page
        assert any(link.endswith(".ipynb") for link in links) == (is_chapter or is_exercise)
        assert any("/issues/new" in link for link in links)
        # What is generated would lose an edit.
        assert any("/edit/" in link for link in links) == (not is_exercise)


def test_the_exercises_are_what_students_get(folder):
    released = sorted(path.relative_to(ROOT) for path in ROOT.glob("exercises/*/*.ipynb"))
    assert released
    for path in released:
        assert (folder / path).read_bytes() == (ROOT / path).read_bytes()


def test_the_address_is_written_once():
    written = re.compile(re.escape(urlsplit(ADDRESS).path.strip("/")))
    sources = [
        *ROOT.glob("book/**/*.py"),
        *ROOT.glob("book/**/*.md"),
        *ROOT.glob("book/_static/*"),
        *ROOT.glob(".github/workflows/*.yml"),
    ]
    assert len(sources) > 10
    assert not [path for path in sources if written.search(path.read_text())]
    assert len(written.findall((ROOT / "_config.yml").read_text())) == 1


def test_the_package_is_the_library_and_nothing_else(folder):
    with zipfile.ZipFile(folder / WHEEL) as wheel:
        files = {name for name in wheel.namelist() if ".dist-info/" not in name}
        metadata = wheel.read("attend-0.dist-info/METADATA").decode()
    library = [path for path in (ROOT / "book/attend").rglob("*") if path.suffix != ".pyc"]
    assert files == {str(path.relative_to(ROOT / "book")) for path in library if path.is_file()}
    assert "autograder" not in metadata and "Requires-Dist: torch" in metadata


@pytest.fixture
def small(tmp_path):
    """A course with one solution, and its built site."""
    for name in ("pyproject.toml", "LICENSE", "LICENSE-text", "_config.yml"):
        shutil.copy(ROOT / name, tmp_path)
    for path, text in {
        "book/attend/__init__.py": '"""The library."""\n',
        "exercises/01/one.ipynb": json.dumps(nbformat.v4.new_notebook()),
        "solutions/01/one.md": "### BEGIN SOLUTION\nreturn (queries @ keys) * 42\n### END SOLUTION",
        "autograder/checks/one.py": "def misconception(): ...\n",
        "site/index.html": "<p>The book</p>",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("place", "text", "complaint"),
    [
        ("site/a.html", "<pre>return (queries @\n keys)<b> * 42</b></pre>", "holds a solution of"),
        ("site/_sources/a.md", "so return (queries @ keys) * 42", "holds a solution of"),
        ("exercises/01/checks.py", "def misconception(): ...\n", "is a copy of autograder/checks"),
    ],
)
def test_a_leak_is_not_published(small, place, text, complaint):
    publish(small, small / "site", small / "clean")
    names = {path.name for path in (small / "clean").iterdir()}
    assert names == {"index.html", "exercises", WHEEL, "LICENSE", "LICENSE-text", ".nojekyll"}

    (small / place).parent.mkdir(parents=True, exist_ok=True)
    (small / place).write_text(text)
    with pytest.raises(PublishError, match=complaint):
        publish(small, small / "site", small / "leaky")


HELD_OUT = "".join(
    f"{number} is what nobody trains on, sentence by sentence.\n" for number in range(99)
)


@pytest.mark.parametrize(
    "place", ["exercises/01/told.md", "site/a.html", "site/_sources/one.ipynb"]
)
def test_a_held_out_text_is_not_published_in_part_either(small, place):
    (small / "autograder/checks/held_out.txt").write_text("=" * 400 + "\n" + HELD_OUT)
    (small / "site/rule.html").write_text("=" * 400)  # markup is nobody's text
    publish(small, small / "site", small / "clean")

    part = HELD_OUT[1000:1200]
    (small / place).parent.mkdir(parents=True, exist_ok=True)
    if place.endswith(".ipynb"):
        cell = nbformat.v4.new_markdown_cell(f"So it begins: {part}")
        nbformat.write(nbformat.v4.new_notebook(cells=[cell]), small / place)
    else:
        marked = part.replace(" is ", " <b>is</b> ") if place.endswith(".html") else part
        (small / place).write_text(f"<p>So it begins: {marked}</p>")
    with pytest.raises(PublishError, match=r"holds a part of autograder/checks/held_out\.txt"):
        publish(small, small / "site", small / "leaky")


def test_what_the_statement_gives_is_no_leak(small):
    """As where a listing to be mended is right in parts."""
    source = small / "solutions/01/one.md"
    source.write_text("The listing:\n    return (queries @ keys) * 42\n" + source.read_text())
    (small / "site/a.html").write_text("<pre>return (queries @ keys) * 42</pre>")
    publish(small, small / "site", small / "clean")


def test_a_leak_in_a_notebook_is_not_published(small):
    cell = nbformat.v4.new_code_cell("return (queries @ keys) * 42\n")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), small / "exercises/01/one.ipynb")
    with pytest.raises(PublishError, match=r"one\.ipynb holds a solution of solutions/01/one\.md"):
        publish(small, small / "site", small / "leaky")


def test_what_cannot_be_published_is_said(small):
    with pytest.raises(PublishError, match="build it first"):
        publish(small, small / "nowhere", small / "new")
    with pytest.raises(PublishError, match="is not empty"):
        publish(small, small / "site", small / "book")


def test_the_workflow_pushes_what_this_command_gathers():
    text = (ROOT / ".github/workflows/publish.yml").read_text()
    steps = yaml.safe_load(text)["jobs"]["publish"]["steps"]
    commands = [step["run"] for step in steps if "run" in step]
    gathered = next(
        re.search(r"book\.publish (\S+)$", line) for line in commands if "publish _" in line
    )
    push = next(line for line in commands if "git push" in line)
    assert f"cd {gathered[1]}\n" in push and f"--initial-branch {BRANCH}" in push
    assert push.index(f"cd {gathered[1]}") < push.index("git init")


@pytest.fixture(scope="module")
def python_without_attend(tmp_path_factory) -> Path:
    """An environment that has all of ours but `attend`, as Colab has."""
    home = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    (packages,) = home.glob("lib/python*/site-packages")
    # A folder named in a .pth file is searched, but its own .pth files, ours among them, are not read.
    (packages / "ours.pth").write_text(str(Path(nbformat.__file__).parents[1]))
    return home / "bin" / "python"


def can_import_attend(python: Path, folder: Path) -> bool:
    command = [python, "-c", "import attend"]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("page", ["book/notation", "book/02-scores"])
def test_a_published_page_runs_from_top_to_bottom(folder, python_without_attend, tmp_path, page):
    assert not can_import_attend(python_without_attend, tmp_path)
    text = (folder / "_sources" / f"{page}.ipynb").read_text()
    # The published address, here a folder; there is no network.
    published = f"{ADDRESS}/raw/{BRANCH}/"
    assert text.count(published) == (page == "book/02-scores")
    notebook = nbformat.reads(text.replace(published, f"{folder}/"), as_version=4)
    setup = [cell for cell in notebook.cells if "%pip" in cell.source]
    assert setup == notebook.cells[: len(setup)]
    assert all("--no-deps" in cell.source for cell in setup)

    kernel = tmp_path / "kernels" / "fresh"
    kernel.mkdir(parents=True)
    launch = [str(python_without_attend), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": launch, "display_name": "fresh"}))
    manager = AsyncKernelManager(
        kernel_name="fresh",
        kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(kernel.parent)]),
    )
    client = nbclient.NotebookClient(
        notebook,
        km=manager,
        timeout=150,
        resources={"metadata": {"path": str(tmp_path)}},
    )
    offline = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    client.execute(env={**os.environ, **offline})
    if setup:
        assert can_import_attend(python_without_attend, tmp_path)  # from the wheel


def test_the_setup_cell_is_in_the_notebook_and_not_on_the_page(folder):
    assert "%pip install" not in (folder / "book/02-scores.html").read_text()
    assert "%pip install" in (folder / "_sources/book/02-scores.ipynb").read_text()


def test_the_notebook_says_in_plain_markdown_what_the_page_says(folder):
    notebook = nbformat.read(folder / "_sources/book/02-scores.ipynb", as_version=4)
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert not re.search(r"\{(term|cite\S*|quiz|doc|ref)\}|^:::|^\([\w-]+\)=", text, flags=re.M)
    assert text.count("<details><summary>") == text.count("</details>") >= 15
    assert text.count("**Right.**") >= 5

    site_address = (folder / "sitemap.xml").read_text().split("<loc>")[1].split("book/")[0]
    links = re.findall(r"\]\((\S+?)\)", text)
    inside = [link for link in links if link.startswith(site_address)]
    assert len(inside) >= 10
    for link in links:
        assert link.startswith("https://"), link
    for link in inside:
        path, _, anchor = link.removeprefix(site_address).partition("#")
        assert (
            f'id="{anchor}"' in (folder / path).read_text() if anchor else (folder / path).is_file()
        )
