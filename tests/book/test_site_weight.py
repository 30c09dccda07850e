"""What reading a page costs and whom it asks: bytes of the first view, and no third party at all."""

from urllib.parse import urlsplit

import pytest

HEAVIEST = 500  # KiB, compressed


def first_view(browser, url: str) -> tuple[int, dict[str, int], list[str]]:
    """Compressed bytes of a page as it opens, the parts they come from, and what was asked elsewhere."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    own, parts, elsewhere, failed = urlsplit(url).netloc, {}, [], []

    def note(response) -> None:
        parts[urlsplit(response.url).path] = int(response.headers.get("content-length", 0))
        if response.status >= 400:
            failed.append(response.url)

    def watch(request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in ("data", "blob") and address.netloc != own:
            elsewhere.append(request.url)

    page.on("response", note)
    page.on("request", watch)
    page.goto(url, wait_until="networkidle")
    page.context.close()
    assert not [address for address in failed if urlsplit(address).path != urlsplit(url).path]
    return sum(parts.values()), parts, elsewhere


@pytest.fixture(scope="module")
def views(browser, site, published):
    """Every page of the site (and an address that is none), opened once."""
    pages = sorted(
        str(path.relative_to(site))
        for path in site.rglob("*.html")
        if not path.is_relative_to(site / "_static") and path != site / "index.html"
    )
    return {page: first_view(browser, published + page) for page in [*pages, "no/such/page"]}


def test_no_page_asks_a_third_party(views):
    assert len(views) > 5
    assert {page: asked for page, (_, _, asked) in views.items() if asked} == {}


def test_every_page_is_light(views, capsys):
    weights = {page: total / 1024 for page, (total, _, _) in views.items()}
    with capsys.disabled():
        print("\nFirst view, compressed KiB:")
        for page, weight in sorted(weights.items(), key=lambda item: -item[1]):
            print(f"  {weight:6.0f}  {page}")
    heaviest = max(weights, key=weights.get)
    parts = sorted(views[heaviest][1].items(), key=lambda item: -item[1])[:8]
    assert weights[heaviest] <= HEAVIEST, (heaviest, parts)
    assert min(weights.values()) > 20  # something was weighed


def test_nothing_of_python_in_the_page_is_loaded_before_it_is_asked_for(views):
    loaded = {path for _, parts, _ in views.values() for path in parts}
    assert loaded and not [path for path in loaded if "/pyodide/" in path or "/pyscript/" in path]


def test_icons_and_mathematics_need_no_script(views):
    loaded = {path for _, parts, _ in views.values() for path in parts}
    assert not [path for path in loaded if "fontawesome.js" in path or "mathjax" in path.lower()]
    assert [path for path in loaded if "/webfonts/" in path]
