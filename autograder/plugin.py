"""What nbgrader's configuration names: the grader's steps inside nbgrader's own pipelines.

`nbgrader autograde`, formgrader's button and `autograder grade` all come through here.
"""

import csv
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.plugins import ExportPlugin
from nbgrader.preprocessors import NbGraderPreprocessor, SaveAutoGrades
from traitlets import Unicode

from autograder.assignment import Assignment, grade_id
from autograder.course import Course, sync
from autograder.grading import CellRun, entry, grade, keep, kept
from autograder.handin import drop_copies
from autograder.report.feedback import attach
from autograder.verdict import Verdict


class ReadSource(NbGraderPreprocessor):
    """Release: read the instructor's source, also where an edit of it left its .ipynb twin behind."""

    def preprocess(self, _: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """What nbgrader read is the twin; both are brought up to date first, as in JupyterLab."""
        assignment = Assignment.named(Course.find(), resources["nbgrader"]["assignment"])
        sync(assignment.source)
        return assignment.solution, resources


class NameCells(NbGraderPreprocessor):
    """Release: give every cell an id of its own that survives Colab, and leave nothing else in it."""

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Colab keeps `metadata.id` where it may drop the rest, so both ids are written."""
        for number, cell in enumerate(nb.cells):
            cell.id = (grade_id(cell) or f"text-{number:02d}")[:64]
            kept = {
                key: cell.metadata[key]
                for key in ("nbgrader", "deletable", "editable")
                if key in cell.metadata
            }
            cell.metadata = NotebookNode({"id": cell.id, **kept})
        nb.metadata = NotebookNode(
            kernelspec={"display_name": "Python 3", "language": "python", "name": "python3"},
            language_info={"name": "python"},
        )
        nb.nbformat, nb.nbformat_minor = 4, 5
        return nb, resources


class DropCopies(NbGraderPreprocessor):
    """Sanitize: a copied cell keeps nbgrader's name of the original; the first one has it."""

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """nbgrader itself would refuse the whole notebook."""
        return drop_copies(nb), resources


class RunAndCheck(NbGraderPreprocessor):
    """Autograde: run the hand-in, check it outside its process, and show the verdicts in its cells."""

    class_folder = Unicode("", help="The class's folder, with its hand-ins and its gradebook").tag(
        config=True
    )

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Takes the place of nbgrader's Execute; the verdicts go on to SaveVerdicts."""
        names = resources["nbgrader"]
        assignment = Assignment.named(Course.find(Path(self.class_folder)), names["assignment"])
        record = kept(assignment, names["student"], nb)
        if record is None:
            record = grade(assignment, names["student"], nb)
            keep(assignment, names["student"], record)
        for cell, code, run in zip(
            nb.cells, assignment.cells_to_run(nb), record.cells, strict=True
        ):
            if code is not None:
                cell.source = code.source
                cell.outputs = show(run or CellRun())
        resources["verdicts"] = {
            cell_name: record.verdicts[question.name]
            for cell_name, question in assignment.checks.items()
        }
        attach(nb, resources["verdicts"])
        nb.metadata.autograder["entry"] = entry(assignment, names["student"], record)
        return nb, resources


def show(run: CellRun) -> list[NotebookNode]:
    """A cell's outputs rebuilt from plain text and PNG pictures only; the student's process sent them."""
    outputs = [built for item in run.outputs if (built := _output(item))]
    if run.stopped:
        outputs.append(
            nbformat.v4.new_output("stream", name="stderr", text=f"This cell was {run.stopped}.\n")
        )
    return outputs


def _output(item: dict[str, Any]) -> NotebookNode | None:
    kind = item.get("output_type")
    if kind == "stream":
        return nbformat.v4.new_output("stream", name="stdout", text=item.get("text", ""))
    if kind == "error":
        name, value = item.get("ename", ""), item.get("evalue", "")
        trace = item.get("traceback", [])
        return nbformat.v4.new_output("error", ename=name, evalue=value, traceback=trace)
    if kind in ("display_data", "execute_result") and item.get("data"):
        return nbformat.v4.new_output("display_data", item["data"])
    return None


class SaveVerdicts(SaveAutoGrades):
    """Autograde: write the verdicts' scores into the gradebook; nothing is read from cell outputs."""

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Also where the hand-in has lost a check's cell: the question was asked all the same."""
        nb, resources = super().preprocess(nb, resources)
        present = {grade_id(cell) for cell in nb.cells}
        with Gradebook(self.db_url) as self.gradebook:
            for name, verdict in resources["verdicts"].items():
                if name not in present:
                    self._enter(name, verdict)
        return nb, resources

    def _add_score(self, cell: NotebookNode, resources: dict) -> None:
        verdict = resources["verdicts"].get(grade_id(cell))
        if verdict is None:  # graded by hand: nbgrader's own rule
            super()._add_score(cell, resources)
            return
        self._enter(str(grade_id(cell)), verdict)

    def _enter(self, name: str, verdict: Verdict) -> None:
        grade = self.gradebook.find_grade(
            name, self.notebook_id, self.assignment_id, self.student_id
        )
        grade.auto_score = verdict.score
        grade.needs_manual_grade = grade.manual_score is not None
        self.gradebook.db.commit()


class GradesExport(ExportPlugin):
    """Export: one row per student and assignment, with a column per graded cell; a real CSV."""

    def export(self, gradebook: Gradebook) -> None:
        """Write the grades to `--to`, by default grades.csv."""
        rows = []
        for assignment in gradebook.assignments:
            if self.assignment and assignment.name not in self.assignment:
                continue
            for student in sorted(gradebook.students, key=lambda student: student.id):
                if self.student and student.id not in self.student:
                    continue
                rows.append(_row(gradebook, assignment, student))
        columns = list(dict.fromkeys(key for row in rows for key in row))
        with Path(self.to or "grades.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(rows)


def _row(gradebook: Gradebook, assignment: Any, student: Any) -> dict[str, Any]:
    row = {"assignment": assignment.name, "student": student.id, "max_score": assignment.max_score}
    try:
        submission = gradebook.find_submission(assignment.name, student.id)
    except MissingEntry:
        return {**row, "status": "nothing handed in"}
    status = "needs manual grading" if submission.needs_manual_grade else "graded"
    row |= {
        "score": submission.score,
        "late_penalty": submission.late_submission_penalty,
        "status": status,
    }
    for notebook in submission.notebooks:
        row |= {grade.name: grade.score for grade in notebook.grades}
    return row
