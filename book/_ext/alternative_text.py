"""A warning, and with ``-W`` a failed build, for every image that has no alternative text.

Looked at are images of the text, figures that a cell draws (their text stands in the cell's
metadata, ``mystnb: image: alt:``) and ``<img>`` inside raw HTML.
"""

from html.parser import HTMLParser
from pathlib import PurePosixPath

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)

# What tools write when the author wrote nothing; it describes no picture.
PLACEHOLDERS = {"", "image", "img", "figure", "picture", "plot", "png", "svg", "no description"}


def says_nothing(text: str | None, source: str) -> bool:
    """Whether an alternative text is missing, a placeholder, or only the file's name."""
    words = (text or "").strip().lower().rstrip(".")
    path = PurePosixPath(source.lower())
    return (
        words in PLACEHOLDERS
        or words in {source.lower(), path.name, path.stem}
        or words.startswith("<figure size")
    )


class ImageTags(HTMLParser):
    """Collects (alternative text, source) of every ``<img>`` of a piece of HTML."""

    def __init__(self) -> None:
        super().__init__()
        self.images: list[tuple[str | None, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            attributes = dict(attrs)
            self.images.append((attributes.get("alt"), attributes.get("src") or ""))


def images_of(doctree: nodes.document) -> list[tuple[str | None, str]]:
    """(alternative text, source) of every image of a page, in reading order."""
    found: list[tuple[str | None, str]] = []
    for node in doctree.findall(lambda node: isinstance(node, (nodes.image, nodes.raw))):
        if isinstance(node, nodes.image):
            found.append((node.get("alt"), node["uri"]))
        elif "html" in node.get("format", ""):
            tags = ImageTags()
            tags.feed(node.astext())
            found += tags.images
    return found


def check_page(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Warn of every figure of a page that says nothing."""
    for number, (text, source) in enumerate(images_of(doctree), start=1):
        if says_nothing(text, source):
            logger.warning(
                "figure %d (%s) has no alternative text",
                number,
                PurePosixPath(source).name[-40:],
                location=page,
                type="alternative_text",
            )


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the check with Sphinx."""
    # After the transforms, so that of a cell's output only the form that is shown is looked at.
    app.connect("doctree-resolved", check_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
