"""Read what a student handed in. Nothing is believed but the notebook's own structure."""

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from autograder.course import CourseError
from autograder.question import Artefact
from autograder.shell.inside.wire import plain

MAX_BYTES = 30_000_000


class NotRead(CourseError):
    """A file cannot be taken; the text says what is wrong with it."""


class TooLarge(NotRead):
    """A file has more bytes than are read."""


@dataclass(frozen=True)
class Attached:
    """A file that was handed in beside the notebook: its bytes or, in `problem`, why they were not read."""

    content: bytes = b""
    problem: str = ""

    @cached_property
    def digest(self) -> str:
        """A hash of all of it."""
        return hashlib.sha256(self.problem.encode() + b"\0" + self.content).hexdigest()


def attached(
    folder: Path, usual: Iterable[str], artefacts: Callable[[], Iterable[Artefact]]
) -> dict[str, Attached]:
    """The artefacts that lie in a student's folder, by name; one that is missing is not among them.

    `artefacts` is not called where the folder holds nothing but the `usual` files: it loads the checks.
    """
    try:
        names = set(os.listdir(folder)) - set(usual)  # noqa: PTH208 - names are all that is wanted
    except OSError:
        return {}  # told of with the notebook, which is not there either
    if not names:
        return {}
    return {a.name: _attached(folder / a.name, a) for a in artefacts() if a.name in names}


def _attached(path: Path, artefact: Artefact) -> Attached:
    try:
        return Attached(read_file(path, artefact.max_bytes))
    except NotRead as error:
        return Attached(problem=f"`{artefact.name}` was not read: {error}. {artefact.advice}")


def read_bytes(path: Path) -> bytes:
    """The file as it was handed in; a CourseError where there is none, or where it is a link or huge."""
    try:
        return read_file(path, MAX_BYTES)
    except TooLarge as error:
        raise CourseError(f"{path}: {error}; clear its outputs and save it again.") from error
    except NotRead as error:
        raise CourseError(f"{path}: {error}.") from error


def read_file(path: Path, max_bytes: int) -> bytes:
    """What a regular file holds; NotRead otherwise. Nothing is followed, and nothing waited for."""
    try:
        # Looked at only once it is open: whatever was there before cannot be exchanged for a link any more.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise NotRead("there is no such file") from error
    except OSError as error:
        link = error.errno == errno.ELOOP
        why = "a link: hand in the file itself" if link else f"it cannot be read ({error.strerror})"
        raise NotRead(why) from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotRead("it is no regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            raw = file.read(max_bytes + 1)
        if len(raw) > max_bytes:
            raise TooLarge(f"larger than {max_bytes // 1_000_000} MB")
        return raw
    finally:
        os.close(descriptor)


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
