"""Read what a student handed in. Nothing is believed but the notebook's own structure."""

from pathlib import Path

import nbformat
from nbformat import NotebookNode

from autograder.course import CourseError

MAX_BYTES = 30_000_000


def read_notebook(path: Path) -> NotebookNode:
    """The notebook at `path` in the current format; a CourseError says in one sentence why there is none."""
    if not path.is_file():
        raise CourseError(f"{path}: there is no such file.")
    if path.stat().st_size > MAX_BYTES:
        raise CourseError(
            f"{path}: larger than {MAX_BYTES // 1_000_000} MB; clear its outputs and save it again."
        )
    try:
        notebook = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    except UnicodeDecodeError as error:
        raise CourseError(
            f"{path}: not a notebook (it is not UTF-8 text); hand in the .ipynb file."
        ) from error
    except Exception as error:
        raise CourseError(
            f"{path}: not a notebook (it is not the JSON of one); hand in the .ipynb file."
        ) from error
    if not all(_is_cell(cell) for cell in notebook.cells):
        raise CourseError(
            f"{path}: not a notebook (some cells are not cells); hand in the .ipynb file."
        )
    return drop_copies(notebook)


def _is_cell(cell: NotebookNode) -> bool:
    metadata = cell.get("metadata")
    nbgrader = metadata.get("nbgrader", {}) if isinstance(metadata, dict) else None
    return (
        isinstance(cell.get("source"), str)
        and cell.get("cell_type") in ("code", "markdown", "raw")
        and isinstance(nbgrader, dict)
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
