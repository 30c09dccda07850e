"""``{syllabus}``: every assignment with its questions, their difficulty, minutes and points.

All of it is read from the released notebooks: a question's heading and the line below it, such as
``★★ · 15 minutes · 4 points`` or ``★ · 10 minutes · 2 points · graded by a person``.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import nbformat
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

QUESTION = re.compile(
    r"^## (?P<number>\d+) · (?P<title>.+)\n\n"
    r"(?P<stars>★{1,3}) · (?P<minutes>\d+) minutes · (?P<points>\d+) points?(?P<person> · graded by a person)?$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Question:
    """One question as its heading tells it."""

    number: int
    title: str
    stars: int
    minutes: int
    points: int
    by_a_person: bool


@dataclass(frozen=True)
class Assignment:
    """One released notebook; `path` is relative to the root of the course."""

    path: str
    title: str
    questions: list[Question]

    @property
    def name(self) -> str:
        """The assignment's folder, such as `02-scores`."""
        return self.path.split("/")[1]

    @property
    def minutes(self) -> int:
        """What all questions take together."""
        return sum(question.minutes for question in self.questions)

    @property
    def points(self) -> int:
        """What all questions are worth together."""
        return sum(question.points for question in self.questions)


def read(notebook: Path, root: Path) -> Assignment:
    """What a released notebook says of itself; a ValueError where it names no question."""
    cells = nbformat.read(notebook, as_version=4).cells
    text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    questions = [
        Question(
            int(found["number"]),
            found["title"],
            len(found["stars"]),
            int(found["minutes"]),
            int(found["points"]),
            bool(found["person"]),
        )
        for found in QUESTION.finditer(text)
    ]
    if not questions:
        raise ValueError(f"{notebook} has no line such as “★★ · 15 minutes · 4 points”")
    title = re.search(r"^# (?:Exercises: )?(.+)$", text, re.MULTILINE)[1]
    path = notebook.relative_to(root).with_suffix("").as_posix()
    return Assignment(path, title[0].upper() + title[1:], questions)


def assignments(root: Path) -> list[Assignment]:
    """All released assignments, in the order of their numbers."""
    return [read(notebook, root) for notebook in sorted(root.glob("exercises/*/*.ipynb"))]


def overview(found: list[Assignment], link: str) -> list[str]:
    """A table of all assignments; `link` leads from the page to the root."""
    rows = [
        f"| [{a.name}]({link}{a.path}) | {a.title} | {len(a.questions)} | {hours(a.minutes)} | {a.points} |"
        for a in found
    ]
    minutes, points = sum(a.minutes for a in found), sum(a.points for a in found)
    count = sum(len(a.questions) for a in found)
    return [
        "| assignment | subject | questions | time | points |",
        "| --- | --- | --: | --: | --: |",
        *rows,
        f"| **all** | | **{count}** | **{hours(minutes)}** | **{points}** |",
    ]


def details(assignment: Assignment) -> list[str]:
    """A table of one assignment's questions."""
    rows = [
        f"| {q.number} | {q.title}{' (written)' if q.by_a_person else ''} "
        f"| {'★' * q.stars} | {q.minutes} | {q.points} |"
        for q in assignment.questions
    ]
    return [
        "| | question | difficulty | minutes | points |",
        "| --: | --- | --- | --: | --: |",
        *rows,
    ]


def hours(minutes: int) -> str:
    """Minutes as hours and minutes."""
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


class Syllabus(SphinxDirective):
    """See the module."""

    def run(self) -> list[nodes.Node]:
        """The overview, and a section with a table for each assignment."""
        root = Path(self.env.srcdir)
        for notebook in root.glob("exercises/*/*.ipynb"):
            self.env.note_dependency(str(notebook))
        found = assignments(root)
        link = "../" * self.env.docname.count("/")
        lines = overview(found, link)
        for assignment in found:
            heading = f"## {assignment.name}: {assignment.title}"
            lines += ["", heading, "", *details(assignment)]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("syllabus", Syllabus)
    return {"parallel_read_safe": True}
