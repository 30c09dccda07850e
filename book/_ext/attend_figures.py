"""The files of attend's figures, served once.

Each figure of `attend` carries its style sheet and script along, so that it works in any notebook.
On a page of the book that would repeat them for every figure: they are taken out, and the files
themselves are served and linked from the pages that have a figure.
"""

import re
import shutil
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

CARRIED = re.compile(r'<(style|script) data-attend="([\w.]+)">.*?</\1>\n?', re.DOTALL)


def link_files(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """Exchange what a page's figures carry for links to the files."""
    body = context.get("body") or ""
    names = dict.fromkeys(match[2] for match in CARRIED.finditer(body))
    if not names:
        return
    context["body"] = CARRIED.sub("", body)
    folder = Path(app.outdir) / "_static" / "attend"
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copy(Path(app.srcdir) / "book" / "attend" / name, folder)
        if name.endswith(".css"):
            app.add_css_file(f"attend/{name}")
        else:
            app.add_js_file(f"attend/{name}", loading_method="defer")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the exchange with Sphinx."""
    app.connect("html-page-context", link_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
