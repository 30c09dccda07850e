"""One student's feedback page: an autograded notebook and its marks in, one file of HTML out.

It has no script, asks nothing of the network, and believes nothing that the hand-in holds: text and code
are cleaned, pictures are PNG, and results come from the gradebook and from the grader's own verdicts.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from markupsafe import Markup
from nbformat import NotebookNode
from pygments.formatters import HtmlFormatter

from autograder.report import TEMPLATES
from autograder.report.feedback import kept_verdicts, verdict_html
from autograder.report.safe import MAX_TEXT, code_html, markdown_html, output_html, visible
from autograder.report.solutions import Solution

MAX_SHOWN = 500_000  # characters of all cells and outputs together
MAX_PICTURES = 6_000_000  # characters of all pictures together
OUTPUTS_OF_A_CELL = 50


@dataclass(frozen=True)
class Mark:
    """What the gradebook says of one graded cell; `waiting` for a person's grade."""

    points: float
    score: float
    waiting: bool = False

    @property
    def status(self) -> str:
        """The result in words."""
        if self.waiting:
            return "to be graded by hand"
        if self.score >= self.points:
            return "full points"
        return "part of the points" if self.score > 0 else "no points"


@dataclass(frozen=True)
class Marks:
    """What the gradebook says of one notebook: marks and comments by the cell's grade_id."""

    assignment: str
    notebook: str
    student: str
    cells: dict[str, Mark] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)
    late_penalty: float = 0.0

    @property
    def points(self) -> float:
        """What can be earned."""
        return sum(mark.points for mark in self.cells.values())

    @property
    def score(self) -> float:
        """What was earned, late penalty taken off."""
        return sum(mark.score for mark in self.cells.values()) - self.late_penalty

    @property
    def waiting(self) -> int:
        """How many questions wait for a person's grade."""
        return sum(mark.waiting for mark in self.cells.values())


@dataclass
class Result:
    """One graded question as the page shows it: under its cell, and in the table at the top."""

    anchor: str
    title: str
    mark: Mark
    verdict: Markup | None = None
    solution: Markup | None = None
    by_hand: bool = False  # a person changed what the grader gave
    answered: bool = True

    @property
    def status(self) -> str:
        """The result in words."""
        return self.mark.status if self.answered or self.by_hand else "not answered yet"


@dataclass
class Shown:
    """One cell as the page shows it. `kind` is text, answer, code or check."""

    kind: str
    body: Markup
    outputs: list[Markup] = field(default_factory=list)
    comment: Markup | None = None
    result: Result | None = None


def page_html(
    notebook: NotebookNode,
    marks: Marks,
    inputs: str = "",
    solutions: Mapping[str, Solution] | None = None,
) -> str:
    """The page, with those solutions folded under their cells, which are named by their grade_id.

    `inputs` is kept in it: a hash of all that it was made from (see `pages`).
    """
    page = _Page(notebook, marks, solutions or {})
    return visible(  # of the whole page: what was an entity in Markdown is a character only now
        TEMPLATES.get_template("page.html.j2").render(
            marks=marks,
            cells=page.cells,
            results=page.results,
            lost=page.lost(),
            unshown=page.unshown,
            blank=page.is_blank(),
            inputs=inputs,
            style=_style(),
        )
    )


class _Page:
    """Goes through a notebook's cells once; headings, names and what is still shown depend on the earlier."""

    def __init__(
        self, notebook: NotebookNode, marks: Marks, solutions: Mapping[str, Solution]
    ) -> None:
        self.marks, self.solutions = marks, solutions
        self.verdicts = kept_verdicts(notebook)
        self.level = 1
        self.heading = ""
        self.left, self.pictures_left = MAX_SHOWN, MAX_PICTURES
        self.unshown = 0
        self.results: list[Result] = []
        self.done: set[str] = set()
        self.cells = [shown for cell in notebook.cells if (shown := self._cell(cell))]

    def _cell(self, cell: NotebookNode) -> Shown | None:
        nbgrader = cell.metadata.get("nbgrader", {})
        name = nbgrader.get("grade_id", "")
        named = name in self.marks.cells or name in self.marks.comments
        source = cell.source if self._afford(len(cell.source)) else ""
        if cell.cell_type == "code":
            check = name in self.verdicts
            shown = Shown("check" if check else "code", code_html(source) if source else Markup())
            shown.outputs = self._outputs(cell.get("outputs", []))
        else:
            shown = Shown("answer" if named else "text", self._text(source))
            if nbgrader.get("locked"):
                self.heading = _first_heading(source) or self.heading
        if named and name not in self.done:  # a copy of a graded cell is not graded again
            self.done.add(name)
            shown.comment = self._text(self.marks.comments.get(name) or "")
            shown.result = self._result(name, self.heading) if name in self.marks.cells else None
        empty = not (shown.body or shown.outputs or shown.comment or shown.result)
        return None if empty else shown

    def _afford(self, length: int) -> bool:
        self.left -= min(length, MAX_TEXT)
        self.unshown += self.left < 0
        return self.left >= 0

    def _text(self, source: str) -> Markup:
        if not source.strip():
            return Markup()
        body, self.level = markdown_html(source, self.level)
        return body

    def _result(self, name: str, heading: str) -> Result:
        mark, verdict = self.marks.cells[name], self.verdicts.get(name)
        title = heading or (verdict.title if verdict else name)
        result = Result(f"result-{len(self.results) + 1}", title, mark)
        if verdict:
            result.verdict = Markup(verdict_html(verdict))
            result.by_hand = mark.score != verdict.score
            result.answered = verdict.answered
        if solution := self.solutions.get(name):
            as_text = code_html if solution.is_code else self._text
            result.solution = as_text(solution.text)
        self.results.append(result)
        return result

    def lost(self) -> list[Result]:
        """The results of graded cells that the hand-in does not hold."""
        return [self._result(name, "") for name in sorted(self.marks.cells.keys() - self.done)]

    def is_blank(self) -> bool:
        """Whether no program is written."""
        checked = [result.answered for result in self.results if result.verdict]
        return bool(checked) and not any(checked)

    def _outputs(self, outputs: list[Any]) -> list[Markup]:
        shown = [self._output(output) for output in outputs[:OUTPUTS_OF_A_CELL]]
        return [output for output in shown if output]

    def _output(self, output: Any) -> Markup:
        """Text or a picture; the grader's own table is drawn anew from the verdict."""
        if output.get("metadata", {}).get("autograder"):
            return Markup()
        data = output.get("data", {})
        if "image/png" in data:
            return self._picture(data["image/png"])
        if output.get("output_type") == "error":
            return self._error(output)
        text = str(output.get("text") or data.get("text/plain") or "")
        return output_html(text) if text and self._afford(len(text)) else Markup()

    def _error(self, output: Any) -> Markup:
        trace = "\n".join(map(str, output.get("traceback", [])))
        if not self._afford(len(trace)):
            return Markup()
        last = output_html(f"{output.get('ename', '')}: {output.get('evalue', '')}")
        return Markup("{}<details><summary>Where it was raised</summary>{}</details>").format(
            last, output_html(trace)
        )

    def _picture(self, text: Any) -> Markup:
        """A PNG that is one, read and written again; anything else is not shown."""
        self.pictures_left -= len(str(text))
        try:
            content = base64.b64decode(str(text)) if self.pictures_left >= 0 else b""
        except (binascii.Error, ValueError):
            content = b""
        if not content.startswith(b"\x89PNG\r\n\x1a\n"):
            return Markup('<p class="note">A picture is not shown.</p>')
        source = "data:image/png;base64," + base64.b64encode(content).decode()
        return Markup('<img alt="Picture drawn by this cell" src="{}">').format(source)


def _first_heading(source: str) -> str:
    """The title of a released text, without what marks it as one."""
    line = next((line for line in source.splitlines() if line.startswith("#")), "")
    return line.lstrip("#").strip()


@cache
def _style() -> Markup:
    """The page's style and that of its code, in light and dark."""
    light, dark = (
        "\n".join(
            rule
            for rule in HtmlFormatter(style=f"a11y-high-contrast-{name}")
            .get_style_defs(".code")
            .splitlines()
            if rule.startswith(".code .")
        )
        for name in ("light", "dark")
    )
    own = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    return Markup(f"{own}\n{light}\n@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}")
