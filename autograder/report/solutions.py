"""The solutions as feedback shows them, once the instructor says so: one for each graded cell."""

import re
from dataclasses import dataclass

from nbformat import NotebookNode

from autograder.assignment import Paper, flag, grade_id

MARKS = re.compile(r"^[ \t]*### (?:BEGIN|END) SOLUTION[ \t]*\n?", re.MULTILINE)
MARK_SCHEME = re.compile(
    r"^\**Mark scheme.*", re.MULTILINE | re.DOTALL
)  # for the person who grades


@dataclass(frozen=True)
class Solution:
    """A solution's text: a program, or Markdown where the answer is written."""

    text: str
    is_code: bool


def solutions(paper: Paper) -> dict[str, Solution]:
    """The solution of each graded cell by its grade_id: of a check, the cell that answers its question."""
    written = {grade_id(cell): cell for cell in paper.solution.cells if flag(cell, "solution")}
    answers = {name: question.name for name, question in paper.checks.items()}
    answers |= {name: name for name, cell in written.items() if name and flag(cell, "grade")}
    return {name: _solution(written[answer]) for name, answer in answers.items()}


def _solution(cell: NotebookNode) -> Solution:
    text = MARKS.sub("", cell.source)
    is_code = cell.cell_type == "code"
    return Solution((text if is_code else MARK_SCHEME.sub("", text)).strip(), is_code)
