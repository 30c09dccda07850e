"""The autograded notebook: the hand-in as it ran, with the released cells put back and a verdict under each.

nbgrader's own path and a class run both build it here, so both leave the same file.
"""

from copy import deepcopy
from typing import Any

from nbformat import NotebookNode
from nbformat.v4.nbjson import JSONWriter

from autograder.assignment import Paper, flag, grade_id, originals
from autograder.record import CellRun, Record
from autograder.report.feedback import attach
from autograder.report.safe import harmless


def restored(notebook: NotebookNode, paper: Paper) -> NotebookNode:
    """The hand-in with every released cell's type, metadata, id and, where it is locked, text put back.

    Markdown that the student wrote is made harmless, because formgrader renders it as it is. A cell that the
    release does not know keeps its text only: what editors and students write into
    metadata (names, tags, flags) is dropped.
    """
    known_as = originals(notebook, paper.released)
    cells = []
    for number, cell in enumerate(notebook.cells):
        own = known_as[number]
        new = NotebookNode(
            id=own.id if own else f"cell-{number:03d}",
            cell_type=(own or cell).cell_type,
            metadata=deepcopy(own.metadata) if own else NotebookNode(),
            source=_text_of(cell, own),
        )
        if new.cell_type == "code":
            new.update(execution_count=None, outputs=[])
        cells.append(new)
    metadata = deepcopy(paper.released.metadata)
    return NotebookNode(nbformat=4, nbformat_minor=5, metadata=metadata, cells=cells)


def _text_of(cell: NotebookNode, own: NotebookNode | None) -> str:
    """A cell's text: as released where it is locked or was not touched, else safe for any program to render."""
    if own and (flag(own, "locked") or own.source == cell.source):
        return own.source
    return cell.source if (own or cell).cell_type == "code" else harmless(cell.source)


def autograded(notebook: NotebookNode, paper: Paper, record: Record) -> NotebookNode:
    """`restored`, with what each cell showed when it ran and each question's verdict under its check."""
    done = restored(notebook, paper)
    for cell, code, run in zip(done.cells, paper.cells_to_run(notebook), record.cells, strict=True):
        if code is None:
            continue
        cell.source = code.source
        cell.outputs = show(run or CellRun())
    attach(done, {cell: record.verdicts[q.name] for cell, q in paper.checks.items()})
    return done


def written_answers(done: NotebookNode, paper: Paper) -> dict[str, bool]:
    """For each solution cell of an autograded notebook whether its text differs from the release's."""
    released = {grade_id(cell): cell.source for cell in paper.released.cells}
    return {
        str(grade_id(cell)): cell.source != released[grade_id(cell)]
        for cell in done.cells
        if flag(cell, "solution")
    }


def to_text(notebook: NotebookNode) -> str:
    """The notebook as a file holds it, in the form in which nbgrader writes it."""
    return JSONWriter().writes(notebook) + "\n"


def show(run: CellRun) -> list[NotebookNode]:
    """A cell's outputs rebuilt from plain text and PNG pictures only; the student's process sent them."""
    outputs = [built for item in run.outputs if (built := _output(item))]
    if run.stopped:
        text = f"This cell was {run.stopped}.\n"
        outputs.append(NotebookNode(output_type="stream", name="stderr", text=text))
    return outputs


def _output(item: dict[str, Any]) -> NotebookNode | None:
    kind = item.get("output_type")
    if kind == "stream":
        return NotebookNode(output_type="stream", name="stdout", text=item.get("text", ""))
    if kind == "error":
        texts = {key: item.get(key, "") for key in ("ename", "evalue")}
        return NotebookNode(output_type="error", traceback=item.get("traceback", []), **texts)
    if kind in ("display_data", "execute_result") and item.get("data"):
        return _displayed(item["data"])
    return None


def _displayed(data: dict[str, str]) -> NotebookNode:
    return NotebookNode(output_type="display_data", data=data, metadata=NotebookNode())
