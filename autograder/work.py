"""What a worker does: a hand-in's bytes in, all that is to be written out; no disk, no gradebook.

nbgrader is not loaded for it, and PyTorch only where a hand-in is graded.
"""

from dataclasses import dataclass

from autograder.assignment import Paper, known
from autograder.autograded import autograded, to_text, written_answers
from autograder.course import CourseError
from autograder.grading import Task, grade_notebook
from autograder.record import Record

PRELOADED = ("torch", __name__)  # what all workers load, so that it can be loaded once for all


@dataclass(frozen=True)
class Graded:
    """What a worker gives back of one hand-in; texts as they are written to disk."""

    record: str
    notebook: str
    scores: dict[str, float]
    written: dict[str, bool]


def work(task: Task) -> Graded | Exception:
    """In a worker: a task in, all that is to be written out; or why there is nothing."""
    try:
        notebook = task.notebook()
        record = grade_notebook(task, notebook)
        paper = known(task.paper)
        done = autograded(notebook, paper, record)
        return Graded(
            record.to_json(), to_text(done), scores(paper, record), written_answers(done, paper)
        )
    except CourseError as error:
        return error
    except Exception as error:  # whatever one hand-in does to the grader, the class goes on
        return CourseError(f"it could not be graded ({type(error).__name__}: {error})")


def scores(paper: Paper, record: Record) -> dict[str, float]:
    """The points of each checked cell, by its grade_id."""
    return {cell: record.verdicts[q.name].score for cell, q in paper.checks.items()}
