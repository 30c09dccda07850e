"""The files of other projects, served by the site itself from ``vendor/``.

``book/vendor/fetch.py`` fetches them. The book is also built where that could not be done; the
extensions that want them ask here what there is, and one line says what is missing.
"""

from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging

logger = logging.getLogger(__name__)

ASSETS = Path("_build/assets")


def vendored(app: Sphinx, path: str) -> Path | None:
    """A file that the site will serve as ``vendor/<path>``, or None where it was not fetched."""
    file = Path(app.srcdir) / ASSETS / "vendor" / path
    return file if file.exists() else None


def serve(app: Sphinx, config: Config) -> None:
    """Copy the fetched files to the site, or say what is missing."""
    wanted = ["katex/katex.min.css", "pyscript/core.js", "pyodide/pyodide.mjs"]
    missing = [path.split("/")[0] for path in wanted if not vendored(app, path)]
    if len(missing) < len(wanted):
        config.html_extra_path = [*config.html_extra_path, str(ASSETS)]
    if missing:
        logger.info(
            "Not vendored: %s. Without katex mathematics is plain MathML, without pyscript and "
            "pyodide no cell runs in the page; `python -m book.vendor.fetch` fetches them.",
            ", ".join(missing),
        )


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the files with Sphinx."""
    app.connect("config-inited", serve, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
