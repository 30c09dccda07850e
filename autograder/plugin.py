"""What nbgrader's configuration names: the grader's steps inside nbgrader's own pipelines.

`nbgrader autograde`, formgrader's button and `autograder grade` all come through here.
"""

import csv
from copy import deepcopy
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.plugins import ExportPlugin
from nbgrader.preprocessors import NbGraderPreprocessor, SaveAutoGrades
from traitlets import Unicode

from autograder.assignment import NOT_GRADED, Assignment, grade_id
from autograder.autograded import autograded, restored, to_text
from autograder.course import Course, sync
from autograder.grading import grade_notebook
from autograder.handin import drop_copies, refuse_links
from autograder.store import files_of, keep, task_for
from autograder.verdict import Verdict


class ReadSource(NbGraderPreprocessor):
    """Release: read the instructor's source, also where an edit of it left its .ipynb twin behind."""

    def preprocess(self, _: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """What nbgrader read is the twin; both are brought up to date first, as in JupyterLab."""
        assignment = Assignment.named(Course.find(), resources["nbgrader"]["assignment"])
        sync(assignment.source)
        return deepcopy(assignment.solution), resources  # nbgrader's steps change it in place


class NameCells(NbGraderPreprocessor):
    """Release: give every cell an id of its own that survives Colab, and leave little else in it."""

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Colab keeps `metadata.id` where it may drop the rest, so both ids are written."""
        for number, cell in enumerate(nb.cells):
            cell.id = (grade_id(cell) or f"text-{number:02d}")[:64]
            kept = {
                key: cell.metadata[key]
                for key in ("nbgrader", "deletable", "editable")
                if key in cell.metadata
            }
            if NOT_GRADED in cell.metadata.get("tags", []):
                kept["tags"] = [NOT_GRADED]  # the one tag that the grader goes by
            cell.metadata = NotebookNode({"id": cell.id, **kept})
        nb.metadata = NotebookNode(
            kernelspec={"display_name": "Python 3", "language": "python", "name": "python3"},
            language_info={"name": "python"},
        )
        nb.nbformat, nb.nbformat_minor = 4, 5
        return nb, resources


class DropCopies(NbGraderPreprocessor):
    """Sanitize: put back what the release fixes, and drop nbgrader's name from copies of a cell."""

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """nbgrader itself would refuse a notebook with a copied cell or a changed flag."""
        assignment = Assignment.named(Course.find(), resources["nbgrader"]["assignment"])
        return restored(drop_copies(nb), assignment.paper), resources


class RunAndCheck(NbGraderPreprocessor):
    """Autograde: run the hand-in, check it outside its process, and show the verdicts in its cells."""

    class_folder = Unicode("", help="The class's folder, with its hand-ins and its gradebook").tag(
        config=True
    )
    sandbox = Unicode("bwrap", help="What student code runs in: bwrap, docker, podman or none").tag(
        config=True
    )

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Takes the place of nbgrader's Execute; the verdicts go on to SaveVerdicts."""
        names = resources["nbgrader"]
        assignment = Assignment.named(Course.find(Path(self.class_folder)), names["assignment"])
        paper, student = assignment.paper, names["student"]
        # nbgrader copies notebooks only; what lies beside one is read where it was handed in.
        handed_in = assignment.course.step("submitted") / student / assignment.name
        refuse_links(handed_in)
        files = files_of(assignment, handed_in)
        task = task_for(assignment, paper, student, to_text(nb).encode(), self.sandbox, files=files)
        record = grade_notebook(task, nb)
        keep(assignment, student, record)
        resources["verdicts"] = {
            cell_name: record.verdicts[question.name]
            for cell_name, question in paper.checks.items()
        }
        return autograded(nb, paper, record), resources


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
