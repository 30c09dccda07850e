"""What the estimate for large classes is computed from: bytes, files, and the costs of the parts in a row."""

import time
from collections.abc import Iterable
from pathlib import Path

from autograder.gradebook import Entry, Writer

from . import classes
from .classes import class_of, folder, new_course
from .figures import Absent, Measured

SIZE = 31  # each kind of the sample class once
ENTRIES = 300
TASKS = 1000


def sizes() -> dict[str, Measured]:
    """What grading leaves on the disk, per hand-in."""
    with folder() as root:
        course = new_course(root, class_of(SIZE))
        before = {path: path.stat().st_size for path in entries(course.class_folder)}
        classes.grade(course)
        classes.feedback(course)
        left = [path for path in entries(course.class_folder) if path not in before]
        database = course.class_folder / "gradebook.db"
        notebooks = [p for p in left if p.is_relative_to(course.step("autograded"))]
        pages = [p for p in left if p.is_relative_to(course.step("feedback"))]
        records = [p for p in left if p not in (*notebooks, *pages)]
        return {
            "bytes-gradebook": kilobytes(database.stat().st_size - before[database]),
            "bytes-record": kilobytes(total(records)),
            "bytes-notebook": kilobytes(total(notebooks)),
            "bytes-page": kilobytes(total(pages)),
            "files": Measured(len(left) / SIZE),
        }


def entries(top: Path) -> list[Path]:
    """All files and folders below."""
    return list(top.rglob("*"))


def total(paths: Iterable[Path]) -> int:
    """The bytes of the files among them."""
    return sum(path.stat().st_size for path in paths if path.is_file())


def kilobytes(size: int) -> Measured:
    """Kilobytes per hand-in."""
    return Measured(size / SIZE / 1000)


def gradebook() -> dict[str, Measured]:
    """One writer, one transaction per hand-in, in SQLite."""
    paper = classes.repository().paper
    entries_ = [
        Entry(f"s{number:04d}", None, {cell: q.points for cell, q in paper.checks.items()}, {})
        for number in range(ENTRIES)
    ]
    with folder() as root:
        course = new_course(root)
        with Writer(course, paper.name, paper.notebook) as writer:
            started = time.perf_counter()
            for entry in entries_:
                writer.enter(entry)
            seconds = time.perf_counter() - started
    return {"cost-gradebook": Measured(1000 * seconds / ENTRIES)}


def scheduler() -> dict[str, Measured]:
    """Tasks that carry a hand-in and do nothing, through Dask's scheduler to two workers and back."""
    try:
        from distributed import Client
    except ImportError as error:
        raise Absent("the package distributed is absent") from error
    texts = [text.encode() for text in class_of(TASKS).values()]
    with Client(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as client:
        client.gather(client.map(len, texts[:10], pure=False))
        started = time.perf_counter()
        client.gather(client.map(len, texts, pure=False))
        seconds = time.perf_counter() - started
    return {"cost-task": Measured(1000 * seconds / TASKS)}
