"""The class's folder on disk: the records of what was graded, and the tasks for what is to be."""

import os
from collections.abc import Mapping
from pathlib import Path

from autograder.assignment import Assignment, Paper
from autograder.changes import engine_version
from autograder.grading import Task, seeds_for
from autograder.handin import Attached, attached
from autograder.record import Record

TIMESTAMP = "timestamp.txt"  # when a notebook was handed in, as nbgrader has it


def task_for(
    assignment: Assignment,
    paper: Paper,
    student: str,
    handed_in: bytes,
    sandbox: str = "bwrap",
    force: bool = False,
    files: Mapping[str, Attached] | None = None,
) -> Task:
    """The task of grading what a student handed in; unless `force`, an earlier record saves work."""
    return Task(
        student=student,
        handed_in=handed_in,
        paper=paper,
        seeds=seeds_for(assignment.course.secret, student, paper),
        sandbox=sandbox,
        engine=engine_version(),
        earlier="" if force else read_text(record_path(assignment, student)),
        files=files or {},
    )


def files_of(assignment: Assignment, folder: Path) -> dict[str, Attached]:
    """The files in a student's folder that the assignment asks questions about."""
    usual = (f"{assignment.notebook}.ipynb", TIMESTAMP)
    return attached(folder, usual, lambda: assignment.paper.artefacts)


def record_path(assignment: Assignment, student: str) -> Path:
    """Where the record of a student's hand-in is kept."""
    return assignment.course.record(assignment.name, student, assignment.notebook)


def keep(assignment: Assignment, student: str, record: Record) -> None:
    """Keep a record for later runs."""
    write_whole(record_path(assignment, student), record.to_json().encode())


def read_text(path: Path) -> str:
    """The file's text; empty where there is no file, or none that is text."""
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return ""


def write_whole(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file so that it is there whole or not at all, also when this process is killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    temporary.replace(path)
