"""Cells that a reader can change and run in the page, without a server: those tagged ``runnable``.

A page with such cells is given ``runnable.js``, which puts a button above the first of them. It is
left out where the site does not serve all that the cells need: PyScript, Pyodide and the packages
that they import, which Pyodide's lock names and ``book/vendor/fetch.py --wheels`` fetches.
"""

import ast
import json
import sys
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from vendored import vendored

logger = logging.getLogger(__name__)


def runnable_code(doctree: nodes.document) -> list[str]:
    """The source of every cell of a page that is tagged ``runnable``."""
    return [
        code.astext()
        for cell in doctree.findall(nodes.container)
        if "tag_runnable" in cell["classes"]
        for code in cell.findall(nodes.literal_block)
        if "cell_input" in code.parent["classes"]
    ]


def packages(code: str) -> set[str]:
    """The packages outside the standard library that a piece of code imports."""
    modules = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(code))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
        )
    }
    return modules - sys.stdlib_module_names


def needed_files(app: Sphinx, wanted: set[str]) -> dict[str, str]:
    """What a page with these imports loads from ``vendor/`` when its button is pressed, by name."""
    files = {"PyScript": "pyscript/core.js"}
    files |= {
        f"Pyodide's {name}": f"pyodide/{name}"
        for name in ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")
    }
    lock = vendored(app, "pyodide/pyodide-lock.json")
    known = json.loads(lock.read_text(encoding="utf-8"))["packages"] if lock else {}
    for name in sorted(wanted):
        file = known.get(name, {}).get("file_name", f"no {name} in Pyodide's lock")
        files[f"the {name} wheel"] = f"pyodide/{file}"
    return files


def offer(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Load the script on a page whose runnable cells have all they need."""
    cells = runnable_code(doctree) if doctree else []
    if not cells:
        return
    wanted = packages("\n".join(cells))
    files = {name: vendored(app, path) for name, path in needed_files(app, wanted).items()}
    missing = [name for name, file in files.items() if file is None]
    if missing:
        logger.info(
            "%s: no button to run cells in the page, not fetched: %s", page, ", ".join(missing)
        )
        return
    size = sum(file.stat().st_size for file in files.values())
    app.add_js_file(
        "runnable.js",
        loading_method="defer",
        **{"data-packages": " ".join(sorted(wanted)), "data-size": f"{size / 1e6:.0f} MB"},
    )
    app.add_css_file("runnable.css")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the offer with Sphinx."""
    app.connect("html-page-context", offer)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
