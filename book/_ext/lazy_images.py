"""Images that load when a reader comes near them, in a space that was kept for them.

A chapter's figures weigh more than all the rest of it, and most readers open a page at its top.
With width and height written down, the text does not move when a figure arrives.
"""

import re
from pathlib import PurePosixPath
from typing import Any

import imagesize
from sphinx.application import Sphinx

IMAGE = re.compile(r'<img (?=[^>]*src="[^"]*_images/([^"/]+)")(?![^>]*\bloading=)')


def load_lazily(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """Write size and loading into the page's images, but for the first, which is seen at once."""
    sources = {PurePosixPath(name).name: path for path, name in app.builder.images.items()}
    first = True

    def complete(match: re.Match[str]) -> str:
        nonlocal first
        loading, first = "" if first else 'loading="lazy" ', False
        source = sources.get(match[1])
        width, height = imagesize.get(app.srcdir / source) if source else (-1, -1)
        size = f'width="{width:.0f}" height="{height:.0f}" ' if width > 0 and height > 0 else ""
        return f"<img {loading}{size}"

    if context.get("body"):
        context["body"] = IMAGE.sub(complete, context["body"])


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the change with Sphinx."""
    app.connect("html-page-context", load_lazily, priority=900)  # when the body is complete
    return {"parallel_read_safe": True, "parallel_write_safe": True}
