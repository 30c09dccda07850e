"""The visible checks of one notebook, as a student runs them: no solution, no hidden check, no grade."""

from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from autograder.assignment import cells_to_run, flag, grade_id
from autograder.course import Course, CourseError
from autograder.grading import run_cells
from autograder.handin import read_notebook
from autograder.record import CellRun
from autograder.shell.limits import Limits


@dataclass(frozen=True)
class VisibleResult:
    """Whether a question's visible checks passed, and the first line of the reason if not."""

    question: str
    passed: bool
    reason: str = ""


def visible_results(course: Course, path: Path) -> list[VisibleResult]:
    """Run the notebook, with the checks as they were released, and report each question in order."""
    notebook = read_notebook(path)
    released = _release_of(course, notebook, path)
    session, runs = run_cells(cells_to_run(notebook, released), Limits())
    session.close()
    ran = {grade_id(cell): run for cell, run in zip(notebook.cells, runs, strict=True)}
    tests = [cell for cell in released.cells if flag(cell, "grade") and cell.cell_type == "code"]
    return [_result(str(grade_id(cell)), ran.get(grade_id(cell))) for cell in tests]


def _release_of(course: Course, notebook: NotebookNode, path: Path) -> NotebookNode:
    """The released notebook that this one was made from: the one that shares most named cells."""
    names = {grade_id(cell) for cell in notebook.cells} - {None}
    releases = [
        nbformat.read(file, as_version=4) for file in sorted(course.exercises.glob("*/*.ipynb"))
    ]
    shared = {
        i: len(names & {grade_id(cell) for cell in nb.cells}) for i, nb in enumerate(releases)
    }
    best = max(shared, key=lambda i: shared[i], default=None)
    if best is None or not shared[best]:
        raise CourseError(
            f"{path}: not an exercise of this course; start from a notebook in {course.exercises}."
        )
    return releases[best]


def _result(name: str, run: CellRun | None) -> VisibleResult:
    question = name.removeprefix("test_")
    if run is None:
        return VisibleResult(
            question, False, "its check cell is missing: copy it back from the exercise"
        )
    if run.stopped:
        return VisibleResult(question, False, run.stopped)
    if run.success:
        return VisibleResult(question, True)
    error = next((output for output in run.outputs if output.get("output_type") == "error"), {})
    name, lines = error.get("ename", "error"), str(error.get("evalue", "")).strip().splitlines()
    if name == "NotImplementedError":
        return VisibleResult(question, False, "not written yet")
    message = lines[0] if lines else ""
    return VisibleResult(
        question, False, message if name == "AssertionError" else f"{name}: {message}"
    )
