"""Read what a student handed in. Nothing is believed but the notebook's own structure."""

import os
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from autograder.course import CourseError
from autograder.shell.inside.wire import plain

MAX_BYTES = 30_000_000


def read_bytes(path: Path) -> bytes:
    """The file as it was handed in; a CourseError where there is none, or where it is a link or huge."""
    if path.is_symlink() or not path.is_file():
        absent = "it is no regular file" if path.exists() else "there is no such file"
        what = "a link: hand in the file itself" if path.is_symlink() else absent
        raise CourseError(f"{path}: {what}.")
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as file:
        raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise CourseError(
            f"{path}: larger than {MAX_BYTES // 1_000_000} MB; clear its outputs and save it again."
        )
    return raw


def refuse_links(folder: Path) -> None:
    """Raise a CourseError where a student's folder is a link: it could lead to what others handed in."""
    if folder.is_symlink() or folder.parent.is_symlink():
        raise CourseError(f"{folder}: a link: hand in the folder itself.")


def read_notebook(path: Path) -> NotebookNode:
    """The notebook at `path` in the current format; a CourseError says in one sentence why there is none."""
    return parse(read_bytes(path), str(path))


def parse(raw: bytes, name: str) -> NotebookNode:
    """The notebook that these bytes are; a CourseError about `name` where they are none.

    It is not validated against the format's schema: that takes longer than to run it, and nothing of it is
    relied on but what is looked at here.
    """
    refused = f"{name}: not a notebook ({{}}); hand in the .ipynb file."
    try:
        notebook = nbformat.reader.reads(raw.decode("utf-8"))
        if notebook.get("nbformat") != nbformat.current_nbformat:
            notebook = nbformat.convert(notebook, nbformat.current_nbformat)
    except UnicodeDecodeError as error:
        raise CourseError(refused.format("it is not UTF-8 text")) from error
    except Exception as error:
        raise CourseError(refused.format("it is not the JSON of one")) from error
    cells = notebook.get("cells")
    if not isinstance(cells, list) or not isinstance(notebook.get("metadata"), dict):
        raise CourseError(refused.format("it is not the JSON of one"))
    if not all(_is_cell(cell) for cell in cells):
        raise CourseError(refused.format("some cells are not cells"))
    for cell in cells:
        cell.source = plain(cell.source, len(cell.source))
    return drop_copies(notebook)


def _is_cell(cell: Any) -> bool:
    metadata = cell.get("metadata") if isinstance(cell, dict) else None
    nbgrader = metadata.get("nbgrader", {}) if isinstance(metadata, dict) else None
    return (
        isinstance(nbgrader, dict)
        and isinstance(cell.get("source"), str)
        and cell.get("cell_type") in ("code", "markdown", "raw")
        and isinstance(nbgrader.get("grade_id", ""), str)
    )


def drop_copies(notebook: NotebookNode) -> NotebookNode:
    """The notebook with nbgrader's name taken from every later cell that repeats one."""
    seen = set()
    for cell in notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        if name in seen:
            del cell.metadata["nbgrader"]
        elif name:
            seen.add(name)
    return notebook
