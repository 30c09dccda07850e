"""The same assignment as a stock nbgrader course: tests in the student's kernel, no plug-in of ours.

Each graded cell keeps its visible checks. Its hidden tests draw the same cases, call the student's function and
the solution's, which stands beside them under another name, and return the points as nbgrader's partial credit.
"""

import re
import textwrap
from copy import deepcopy
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.api import Gradebook

from autograder.assignment import HIDDEN, Assignment, flag, grade_id

from . import inkernel
from .classes import NAME, command, hand_in

CONFIG = """c = get_config()
c.CourseDirectory.course_id = "stock"
"""


class StockCourse:
    """A stock course in `root` that has released the assignment."""

    def __init__(self, root: Path, assignment: Assignment) -> None:
        self.root, self.assignment = root, assignment
        (root / "nbgrader_config.py").write_text(CONFIG)
        source = root / "source" / NAME
        source.mkdir(parents=True)
        nbformat.write(stock_notebook(assignment), source / f"{assignment.notebook}.ipynb")
        self.nbgrader("generate_assignment")

    def nbgrader(self, step: str, *options: str) -> float:
        """Seconds of one of nbgrader's commands."""
        return command(self.root, "nbgrader", step, NAME, *options)

    def hand_in(self, class_: dict[str, str]) -> None:
        """Hand in the notebooks as they are: nbgrader itself puts the graded cells of the source back."""
        hand_in(self.root / "submitted", class_, self.assignment.notebook)

    def scores(self) -> dict[str, dict[str, float | None]]:
        """What the gradebook holds."""
        return scores(f"sqlite:///{self.root / 'gradebook.db'}", "stock")


def scores(database: str, course_id: str) -> dict[str, dict[str, float | None]]:
    """By student the automatic score of every graded code cell in a gradebook of nbgrader."""
    with Gradebook(database, course_id) as gradebook:
        return {
            submission.student_id: {
                grade.name: grade.auto_score
                for notebook in submission.notebooks
                for grade in notebook.grades
                if grade.cell.cell_type == "code"
            }
            for submission in gradebook.assignment_submissions(NAME)
        }


def stock_notebook(assignment: Assignment) -> NotebookNode:
    """The instructor's notebook with hidden tests that need no grader but nbgrader."""
    notebook = deepcopy(assignment.solution)
    solutions = {grade_id(cell): cell.source for cell in notebook.cells if flag(cell, "solution")}
    helpers = Path(inkernel.__file__).read_text()
    for cell in notebook.cells:
        question = assignment.checks.get(grade_id(cell) or "")
        if question is None:
            continue
        name = question.name
        reference = re.sub(rf"\b{name}\b", f"reference_{name}", solutions[name])
        reference = re.sub(r" *### (BEGIN|END) SOLUTION\n?", "", reference)
        hidden = "\n".join(
            [
                "### BEGIN HIDDEN TESTS",
                helpers,
                f"from {checks_module(assignment)} import QUESTIONS",
                reference,
                f"[question] = [q for q in QUESTIONS if q.name == {name!r}]",
                f"points(question, {name}, reference_{name})",
                "### END HIDDEN TESTS",
            ]
        )
        helpers = ""  # the first graded cell defines them for all
        cell.source = visible(HIDDEN.sub("", cell.source)) + hidden
    return notebook


def visible(checks: str) -> str:
    """The visible checks so that a failing one is shown and leaves the score to the hidden tests."""
    body = textwrap.indent(checks.strip(), "    ")
    return f"try:\n{body}\nexcept Exception as problem:\n    print(problem)\n"


def checks_module(assignment: Assignment) -> str:
    """The module of the assignment's cases and aspects."""
    return "autograder.checks." + re.sub(r"^\d+-", "", assignment.name).replace("-", "_")
