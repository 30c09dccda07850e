"""One assignment: its source, its release, its questions, and which cell asks which question."""

import importlib
import io
import re
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import jupytext
import nbformat
import numpy as np
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

from autograder.course import Course, CourseError
from autograder.question import Artefact, Case, Question, Reply
from autograder.shell.inside import driver
from autograder.shell.limits import Limits
from autograder.shell.session import decode_reply

MARKER = re.compile(r"""^\s*check\(["'](\w+)["']\)\s*$""", re.MULTILINE)
ONE_AT_A_TIME = Lock()  # sys.stdout is the whole process's, and a worker may have several threads
# The tag of a cell that the grader does not run, such as one that trains a model.
NOT_GRADED = "not-graded"
HIDDEN = re.compile(r"### BEGIN HIDDEN TESTS.*?### END HIDDEN TESTS\n?", re.DOTALL)


def grade_id(cell: NotebookNode) -> str | None:
    """nbgrader's name of a cell, None for a cell it does not know."""
    return cell.metadata.get("nbgrader", {}).get("grade_id")


def flag(cell: NotebookNode, name: str) -> bool:
    """One of nbgrader's flags of a cell: grade, solution, locked or task."""
    return bool(cell.metadata.get("nbgrader", {}).get(name, False))


def is_check(cell: NotebookNode) -> bool:
    """Whether a cell holds checks only: it is graded and nobody's answer."""
    return flag(cell, "grade") and not flag(cell, "solution")


def is_run(cell: NotebookNode) -> bool:
    """Whether the grader runs a cell of the instructor's source or of the release."""
    return cell.cell_type == "code" and NOT_GRADED not in cell.metadata.get("tags", [])


@dataclass(frozen=True)
class Paper:
    """What one assignment says, as data: all that grading a hand-in needs, wherever that happens.

    `source` is the text of the instructor's MyST notebook, `release` that of the student's .ipynb. What is
    worked out from them is kept with the object and left behind when it is sent to another process.
    """

    name: str
    notebook: str
    source: str
    release: str

    def __getstate__(self) -> dict[str, str]:
        return {key.name: getattr(self, key.name) for key in fields(self)}

    @cached_property
    def solution(self) -> NotebookNode:
        """The instructor's notebook."""
        return jupytext.reads(self.source, fmt="md:myst")

    @cached_property
    def released(self) -> NotebookNode:
        """The student's notebook as released; a CourseError where it is not yet."""
        if not self.release:
            raise CourseError(
                f"{self.name} has not been released yet: run `autograder release {self.name}`."
            )
        return nbformat.reads(self.release, as_version=4)

    @property
    def module(self) -> str:
        """The name of the module that holds the assignment's checks."""
        return "autograder.checks." + re.sub(r"^\d+-", "", self.name).replace("-", "_")

    @cached_property
    def asked(self) -> list[str]:
        """The names of the questions that the source asks; the checks are not imported for it."""
        return MARKER.findall(self.source)

    @cached_property
    def questions(self) -> dict[str, Question]:
        """The questions by name, from the assignment's module in `autograder.checks`."""
        return {q.name: q for q in importlib.import_module(self.module).QUESTIONS}

    @property
    def artefacts(self) -> list[Artefact]:
        """The files that questions are about."""
        return [q.artefact for q in self.questions.values() if q.artefact]

    @cached_property
    def limits(self) -> Limits:
        """What a hand-in may use: `LIMITS` of the checks' module, or what all assignments have."""
        return getattr(importlib.import_module(self.module), "LIMITS", Limits())

    @cached_property
    def checks(self) -> dict[str, Question]:
        """The question that each automatically graded cell asks, by the cell's grade_id.

        Raises CourseError where markers, points and questions do not agree.
        """
        found: dict[str, Question] = {}
        for cell in self.solution.cells:
            if not is_check(cell):
                continue
            names = MARKER.findall(cell.source)
            if len(names) != 1 or names[0] not in self.questions:
                raise CourseError(
                    f"Cell {grade_id(cell)} of {self.name} needs one check(…) of a known question."
                )
            question = self.questions[names[0]]
            if cell.metadata.nbgrader.points != question.points:
                raise CourseError(
                    f"Cell {grade_id(cell)} of {self.name} has {cell.metadata.nbgrader.points} points, "
                    f"its checks {question.points:g}."
                )
            found[str(grade_id(cell))] = question
        return found

    def cells_to_run(self, notebook: NotebookNode) -> list["CellToRun | None"]:
        """For each cell of a hand-in what to run, None for a cell that is not code.

        Locked cells run as they were released, whatever the hand-in made of them. What is not run is told by
        the release's tag; a tag of the hand-in's own means nothing.
        """
        return cells_to_run(notebook, self.released)


@lru_cache(maxsize=8)
def known(paper: Paper) -> Paper:
    """The first paper equal to this one that the process met, with what it has worked out since."""
    return paper


@dataclass(frozen=True)
class Assignment:
    """Where an assignment of a course is; `name` is its folder's name, such as `02-scores`."""

    course: Course
    name: str

    @classmethod
    def named(cls, course: Course, name: str) -> "Assignment":
        """The assignment of that name, or a CourseError."""
        return cls(course, course.check_assignment(name))

    @cached_property
    def source(self) -> Path:
        """The instructor's MyST notebook."""
        sources = sorted((self.course.solutions / self.name).glob("*.md"))
        if len(sources) != 1:
            raise CourseError(
                f"solutions/{self.name} must hold exactly one .md file; it holds {len(sources)}."
            )
        return sources[0]

    @property
    def notebook(self) -> str:
        """The notebook's name without its ending, as nbgrader and the hand-in have it."""
        return self.source.stem

    @property
    def release(self) -> Path:
        """The student's notebook."""
        return self.course.exercises / self.name / f"{self.notebook}.ipynb"

    @property
    def paper(self) -> Paper:
        """What the assignment says now, as data; the release is empty text where there is none yet."""
        release = self.release.read_text(encoding="utf-8") if self.release.exists() else ""
        source = self.source.read_text(encoding="utf-8")
        return known(Paper(self.name, self.notebook, source, release))

    @property
    def solution(self) -> NotebookNode:
        """The instructor's notebook, read from its source."""
        return self.paper.solution

    @property
    def released(self) -> NotebookNode:
        """The student's notebook as released."""
        return self.paper.released

    @property
    def questions(self) -> dict[str, Question]:
        """The questions by name."""
        return self.paper.questions

    @property
    def checks(self) -> dict[str, Question]:
        """The question that each automatically graded cell asks, by the cell's grade_id."""
        return self.paper.checks


def assignments(course: Course, names: list[str]) -> list[Assignment]:
    """The named assignments, or all of the course when none is named."""
    return [Assignment.named(course, name) for name in names or course.assignments()]


class CellToRun(NamedTuple):
    """One code cell; the names that it binds are kept unless it is a check. One not to `run` is only shown."""

    source: str
    keep: bool = True
    run: bool = True


def cells_to_run(notebook: NotebookNode, released: NotebookNode) -> list[CellToRun | None]:
    """See `Paper.cells_to_run`; this needs the release only, which is all that a student has."""
    found: list[CellToRun | None] = []
    for cell, known_as in zip(notebook.cells, originals(notebook, released), strict=True):
        own = known_as or cell
        if own.cell_type != "code":
            found.append(None)
            continue
        source = HIDDEN.sub("", own.source if flag(own, "locked") else cell.source)
        found.append(CellToRun(source, not is_check(own), known_as is None or is_run(known_as)))
    return found


def originals(notebook: NotebookNode, released: NotebookNode) -> list[NotebookNode | None]:
    """For each cell of a hand-in the released cell that it was, None for the student's own.

    nbgrader's name tells or, of a cell that is not run, the id: a copy of either is the student's own.
    """
    named = {grade_id(cell): cell for cell in released.cells if grade_id(cell)}
    not_run = {
        cell.id: cell for cell in released.cells if cell.cell_type == "code" and not is_run(cell)
    }
    found: list[NotebookNode | None] = []
    for cell in notebook.cells:
        own = named.get(grade_id(cell))
        if own is None:
            ids = (cell.metadata.get("id"), cell.get("id"))
            own = next((not_run.pop(i) for i in ids if isinstance(i, str) and i in not_run), None)
        else:
            not_run.pop(own.id, None)
        found.append(own)
    return found


class Reference:
    """The instructor's solution, run once in this process; it says what a right reply is.

    Raises CourseError where the solution itself raises.
    """

    def __init__(self, paper: Paper) -> None:
        self.namespace: dict[str, Any] = {"__name__": "__main__"}
        transform = TransformerManager().transform_cell
        for cell in paper.solution.cells:
            if not is_run(cell):
                continue
            try:
                with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                    text = transform(HIDDEN.sub("", cell.source))
                    code = compile(text, f"{paper.name}/{paper.notebook}", "exec")
                    # As in a hand-in, a check binds no name: nothing depends on it.
                    exec(code, dict(self.namespace) if is_check(cell) else self.namespace)
            except Exception as error:
                where = grade_id(cell) or cell.source.strip().partition("\n")[0][:60]
                why = (str(error).strip() or "no message").splitlines()[0]
                raise CourseError(
                    f"The solution of {paper.name} does not run ({where}: {type(error).__name__}: {why}): "
                    f"put it right, nothing can be graded before."
                ) from error

    def replies(self, question: Question, cases: list[Case]) -> list[Reply]:
        """The right replies to the cases."""
        return replies(self.namespace, question, cases)


def replies(namespace: dict[str, Any], question: Question, cases: list[Case]) -> list[Reply]:
    """What the function of a question, found in a trusted namespace, replies to the cases."""
    return answers(namespace, [case.request(question.name, question.library) for case in cases])


def answers(namespace: dict[str, Any], requests: list[dict[str, Any]]) -> list[Reply]:
    """What a trusted namespace replies to the driver's requests."""
    # A known mistake may overflow, or multiply 0 by infinity: that is the mistake, and no news to the instructor.
    with ONE_AT_A_TIME, redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
        return [decode_reply(driver.call(namespace, request)) for request in requests]
