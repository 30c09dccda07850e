"""The buttons of a page open what is published: its notebook, in Colab or as a download.

The published branch (`book/publish.py` makes it) holds the site and the exercises, so a chapter's
notebook lies there at `_sources/<page>.ipynb` and an exercise at its own path. A chapter's notebook says
in plain Markdown what the page says; one that imports `attend` is given a first cell that installs it
where it is missing, as in Colab.
"""

import posixpath
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import nbformat
from notebook_text import plain
from published_branch import BRANCH, WHEEL
from sphinx.application import Sphinx

COLAB = "https://colab.research.google.com"

SETUP = """\
# Colab has all that this page needs but the course's own package, which brings nothing else along.
try:
    import attend
except ImportError:
    %pip install --quiet --no-deps {wheel}"""


def with_setup_cell(notebook: nbformat.NotebookNode, wheel: str) -> nbformat.NotebookNode:
    """The notebook with a first cell that installs `attend`, where it imports that."""
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    if any("from attend" in source or "import attend" in source for source in code):
        cell = nbformat.v4.new_code_cell(SETUP.format(wheel=wheel), id="setup")
        notebook.cells.insert(0, cell)
    return notebook


def address_of(app: Sphinx, page: str, target: str) -> str:
    """Where on the published site a link of a page leads: to a file, a page or a label."""
    labels = app.env.get_domain("std").anonlabels
    if target in labels:
        document, anchor = labels[target]
    else:
        path, _, anchor = target.partition("#")
        document = posixpath.normpath(posixpath.join(posixpath.dirname(page), path))
        document = document.removesuffix(".md").removesuffix(".ipynb")
    if document not in app.env.found_docs:
        return target
    return urljoin(app.config.html_baseurl, f"{document}.html") + (f"#{anchor}" if anchor else "")


def make_notebook(app: Sphinx, page: str, path: Path, wheel: str) -> None:
    """Turn the executed page into the notebook that readers are given."""
    notebook = with_setup_cell(nbformat.read(path, as_version=4), wheel)
    bibliography = urljoin(app.config.html_baseurl, "book/bibliography.html")
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = plain(cell.source, lambda it: address_of(app, page, it), bibliography)
    nbformat.write(notebook, path)


def every(buttons: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Buttons and the buttons of their menus."""
    return [inner for button in buttons for inner in [button, *button.get("buttons", [])]]


def open_what_is_published(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """Aim a page's buttons, and make the notebook that they open."""
    repository = app.config.html_theme_options.get("repository_url", "")
    notebook = f"{page}.ipynb"
    if context.get("ipynb_source"):  # the theme has just copied it there
        path = Path(app.outdir, "_sources", notebook)
        wheel = f"{repository}/raw/{BRANCH}/{WHEEL}"
        make_notebook(app, page, path, wheel)
        notebook = f"_sources/{notebook}"

    buttons = context.get("header_buttons", [])
    for button in every(buttons):
        if button.get("url", "").startswith(COLAB):
            before, blob, _ = button["url"].partition("/blob/")
            button["url"] = f"{before}{blob}{BRANCH}/{notebook}"
    if Path(app.env.doc2path(page)).suffix == ".ipynb":
        # An exercise is generated: an edit there would be lost.
        for group in (button for button in buttons if "buttons" in button):
            group["buttons"] = [
                inner for inner in group["buttons"] if inner.get("label") != "source-edit-button"
            ]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the buttons with Sphinx."""
    app.connect("html-page-context", open_what_is_published, priority=998)  # behind the theme
    return {"parallel_read_safe": True, "parallel_write_safe": True}
