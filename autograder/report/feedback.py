"""A verdict as the student reads it: a table under the graded cell, and the same as plain text."""

from collections.abc import Mapping
from dataclasses import asdict

from nbformat import NotebookNode

from autograder.report import TEMPLATES
from autograder.verdict import AspectResult, Verdict

# The table is shown by the feedback page, by formgrader and by JupyterLab, which each bring their own
# styles; inline ones keep it the same in all. Every text is escaped.
TEMPLATE = TEMPLATES.get_template("feedback.html.j2")


def attach(notebook: NotebookNode, verdicts: Mapping[str, Verdict]) -> None:
    """Put each verdict, by its cell's grade_id, under that cell, and all of them into the notebook as data.

    The feedback page is drawn from that data: HTML in outputs it never shows. Whatever the hand-in had in
    its place is overwritten.
    """
    for cell in notebook.cells:
        verdict = verdicts.get(cell.metadata.get("nbgrader", {}).get("grade_id", ""))
        if verdict and cell.cell_type == "code":
            data = {"text/html": verdict_html(verdict), "text/plain": verdict_text(verdict)}
            mark = NotebookNode(autograder=True)
            cell.outputs.append(NotebookNode(output_type="display_data", data=data, metadata=mark))
    kept = {name: asdict(verdict) for name, verdict in verdicts.items()}
    notebook.metadata["autograder"] = NotebookNode(verdicts=kept)


def kept_verdicts(notebook: NotebookNode) -> dict[str, Verdict]:
    """The verdicts that `attach` put into a notebook, by the cell's grade_id."""
    kept = notebook.metadata.get("autograder", {}).get("verdicts", {})
    return {
        name: Verdict(**{**verdict, "aspects": [AspectResult(**a) for a in verdict["aspects"]]})
        for name, verdict in kept.items()
    }


def verdict_html(verdict: Verdict) -> str:
    """The verdict as trusted HTML: all of the student's texts in it are escaped."""
    failed = next((aspect for aspect in verdict.aspects if aspect.earned < aspect.points), None)
    colour = "#d93025" if not verdict.score else "#b97900" if failed else "#1a7f37"
    return TEMPLATE.render(v=verdict, failed=failed, colour=colour)


def verdict_text(verdict: Verdict) -> str:
    """The verdict as plain text."""
    lines = [f"{verdict.title}: {verdict.score:g} of {verdict.points:g} points"]
    lines += [*verdict.broken, *filter(None, (verdict.advice, verdict.remark))]
    for a in verdict.aspects:
        lines.append(
            f"- {a.title}: {a.earned:g} of {a.points:g}"
            + (f" ({a.case}: {a.sentence})" if a.case else f" ({a.sentence})" if a.sentence else "")
        )
    return "\n".join(lines)
