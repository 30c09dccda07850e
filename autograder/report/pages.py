"""The feedback pages of a class, and the same page for `nbgrader generate_feedback` and formgrader's button."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nbformat
from joblib import Parallel, delayed
from nbconvert.exporters import Exporter
from nbgrader import api
from sqlalchemy import select
from sqlalchemy.orm import Session
from traitlets import Bool

from autograder.assignment import Assignment
from autograder.course import Course, CourseError
from autograder.gradebook import connect, explained
from autograder.report.page import Mark, Marks, page_html
from autograder.report.solutions import Solution, solutions

DECIDING = ("*.py", "*.j2", "*.css")
LIBRARIES = ("jinja2", "latex2mathml", "markdown-it-py", "mdit-py-plugins", "nh3", "pygments")
HEAD = 500  # characters of a page that hold the hash of what it was made from
PAGES_PER_WORKER = 100  # fewer do not pay for the start of a process

Progress = Callable[[], None]  # called once for each student who is done
Solutions = Mapping[str, Solution]  # by the grade_id of the cell under which each is shown


def page_path(assignment: Assignment, student: str) -> Path:
    """Where a student's feedback is."""
    folder = assignment.course.step("feedback") / student / assignment.name
    return folder / f"{assignment.notebook}.html"


def write_pages(
    assignment: Assignment, jobs: int, progress: Progress, with_solutions: bool = False
) -> int:
    """Write the pages whose notebook, marks or style have changed; returns how many were written.

    A page that cannot be made stops no other; a CourseError names those students at the end.
    """
    shown = solutions(assignment.paper) if with_solutions else {}
    folder = assignment.course.step("autograded")
    notebooks = {
        path.parent.parent.name: path
        for path in sorted(folder.glob(f"[!.]*/{assignment.name}/{assignment.notebook}.ipynb"))
    }
    if not notebooks:
        raise CourseError(
            f"Nothing is graded yet for {assignment.name}: run `autograder grade {assignment.name}`."
        )
    marks = class_marks(assignment.course, assignment.name, assignment.notebook)
    problems: dict[str, str] = {}
    stale = {}
    for student, path in notebooks.items():
        page = page_path(assignment, student)
        if student not in marks:
            problems[student] = "the gradebook has no grades"
        elif not _is_current(page, _hash(path.read_bytes(), marks[student], shown)):
            stale[student] = delayed(_write)(path, marks[student], shown, page)
            continue
        progress()
    workers = jobs if len(stale) > PAGES_PER_WORKER else 1
    for student, problem in Parallel(workers, return_as="generator_unordered")(stale.values()):
        if problem:
            problems[student] = problem
        progress()
    if problems:
        raise CourseError(_told(assignment, problems))
    return len(stale)


def _told(assignment: Assignment, problems: dict[str, str]) -> str:
    told = "; ".join(f"{student}: {problem}" for student, problem in sorted(problems.items()))
    return f"{assignment.name}: all feedback is written except for {told}. Grade them again."


def _write(notebook: Path, marks: Marks, shown: Solutions, page: Path) -> tuple[str, str]:
    """In a worker: make one page and write it, whole or not at all; returns the student and why not."""
    try:
        content = make_page(notebook.read_bytes(), marks, shown)
        page.parent.mkdir(parents=True, exist_ok=True)
        temporary = page.with_suffix(".part")
        try:
            temporary.write_text(content, encoding="utf-8")
            temporary.replace(page)
        finally:
            temporary.unlink(missing_ok=True)
    except Exception as error:  # whatever one hand-in holds, the class gets its pages
        return marks.student, f"no page could be made ({type(error).__name__}: {str(error)[:200]})"
    return marks.student, ""


def make_page(notebook: bytes, marks: Marks, shown: Solutions) -> str:
    """The page of an autograded notebook's file, with these solutions; a pure function."""
    node = nbformat.v4.reads(notebook.decode("utf-8"))
    return page_html(node, marks, _hash(notebook, marks, shown), shown)


def _hash(notebook: bytes, marks: Marks, shown: Solutions) -> str:
    """A hash of all that a page is made from."""
    texts = {name: solution.text for name, solution in shown.items()}
    decisive = json.dumps([asdict(marks), texts, _version()], sort_keys=True).encode()
    return hashlib.sha256(hashlib.sha256(notebook).digest() + decisive).hexdigest()


@cache
def _version() -> str:
    """What draws the pages: this folder, and the libraries it uses."""
    folder = Path(__file__).parent
    files = sorted(path for pattern in DECIDING for path in folder.glob(pattern))
    return hashlib.sha256(
        b"".join(path.read_bytes() for path in files) + repr([*map(version, LIBRARIES)]).encode()
    ).hexdigest()


def _is_current(page: Path, digest: str) -> bool:
    try:
        with page.open(encoding="utf-8", errors="replace") as file:
            return f'content="{digest}"' in file.read(HEAD)
    except OSError:
        return False


def class_marks(
    course: Course, assignment: str, notebook: str, student: str | None = None
) -> dict[str, Marks]:
    """The marks of all students (or of one) for one notebook, in three queries for any number of them."""
    submitted, cell = api.SubmittedNotebook, api.BaseCell
    grade, comment = api.Grade, api.Comment
    notebooks = (
        select(submitted.id, api.SubmittedAssignment.student_id, submitted.late_submission_penalty)
        .join(submitted.assignment)
        .join(api.SubmittedAssignment.assignment)
        .join(submitted.notebook)
        .where(api.Assignment.name == assignment, api.Notebook.name == notebook)
    )
    if student is not None:
        notebooks = notebooks.where(api.SubmittedAssignment.student_id == student)
    ids = notebooks.with_only_columns(submitted.id)
    points = (grade.max_score, grade.score, grade.needs_manual_grade)
    grades = select(grade.notebook_id, cell.name, *points).join(grade.cell)
    comments = select(comment.notebook_id, cell.name, comment.comment).join(comment.cell)
    cells: dict[str, dict[str, Mark]] = defaultdict(dict)
    texts: dict[str, dict[str, str]] = defaultdict(dict)
    engine = connect(course)
    with explained(course), Session(engine) as db:
        for key, name, *mark in db.execute(grades.where(grade.notebook_id.in_(ids))):
            cells[key][name] = Mark(*mark)
        for key, name, text in db.execute(comments.where(comment.notebook_id.in_(ids))):
            texts[key][name] = text or ""
        marks = {
            who: Marks(assignment, notebook, who, cells[key], texts[key], penalty or 0.0)
            for key, who, penalty in db.execute(notebooks)
        }
    engine.dispose()
    return marks


class FeedbackExporter(Exporter):
    """For nbgrader's own `generate_feedback`, and so for formgrader's button: the same page."""

    file_extension = ".html"
    with_solutions = Bool(False, help="Show a solution under each question.").tag(config=True)

    def from_filename(
        self, filename: str, resources: dict[str, Any] | None = None, **_: Any
    ) -> tuple[str, dict[str, Any]]:
        """The page of one autograded notebook; nbgrader writes it."""
        resources = self._init_resources(resources)
        names = resources["nbgrader"]
        course = Course.find(gradebook=names["db_url"])
        marks = class_marks(course, names["assignment"], names["notebook"], names["student"])
        shown: Solutions = {}
        if self.with_solutions:
            shown = solutions(Assignment.named(course, names["assignment"]).paper)
        return make_page(Path(filename).read_bytes(), marks[names["student"]], shown), resources
