"""Every link inside the site leads to a page that is there, and to a place on it that exists."""

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LEADING = {"a": "href", "link": "href", "img": "src", "script": "src", "source": "src"}


class Links(HTMLParser):
    """What a page links to, and the places on it that can be linked to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.places |= {given[name] for name in ("id", "name") if given.get(name)}
        if target := given.get(LEADING.get(tag, "")):
            self.links.append(target)


def dead(site: Path) -> Iterator[str]:
    """Links that lead nowhere, each with the page that has it."""
    # The theme's own templates lie under _static; readers never get them.
    files = [page for page in site.rglob("*.html") if "_static" not in page.parts]
    pages = {page.resolve(): Links(page.read_text(encoding="utf-8")) for page in files}
    for page, found in pages.items():
        for link in found.links:
            address = urlsplit(link)
            if address.scheme or address.netloc or page.name == "404.html":
                continue  # elsewhere; 404.html is served at any path, its links are absolute
            target = (page.parent / unquote(address.path)).resolve() if address.path else page
            if target.is_dir():
                target /= "index.html"
            place = unquote(address.fragment)
            if not target.is_file():
                yield f"{page.relative_to(site.resolve())}: {link} is not there"
            elif place and target in pages and place not in pages[target].places:
                yield f"{page.relative_to(site.resolve())}: {link} has no such place"


def test_no_link_is_dead(site):
    assert list(dead(site)) == []


def test_a_dead_link_would_be_found(tmp_path):
    (tmp_path / "a.html").write_text(
        '<p id="x"><a href="b.html">b</a> <a href="#y">y</a> <a href="a.html#x">'
    )
    assert [line.split(": ")[1] for line in dead(tmp_path)] == [
        "b.html is not there",
        "#y has no such place",
    ]
