"""Grade a class: hand-ins in parallel, then the gradebook, one student at a time; nothing done twice."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from joblib import Parallel, delayed
from nbformat import NotebookNode
from nbgrader.api import Gradebook, MissingEntry

from autograder.assignment import Assignment
from autograder.course import Course, CourseError
from autograder.grading import Record, entry, grade, keep, kept
from autograder.handin import read_notebook
from autograder.release import check_release, nbgrader_api, succeed

Progress = Callable[[], None]  # called once for each student who is done


@dataclass
class ClassResult:
    """What a class run did: students graded now, students unchanged, and problems by student."""

    graded: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)


def hand_ins(assignment: Assignment) -> dict[str, Path]:
    """Each student's folder; a CourseError when nobody handed anything in."""
    found = assignment.course.hand_ins(assignment.name)
    if not found:
        raise CourseError(
            f"No hand-ins for {assignment.name} in {assignment.course.step('submitted')}: put each as "
            f"<student>/{assignment.name}/{assignment.notebook}.ipynb."
        )
    return found


def grade_class(assignment: Assignment, jobs: int, progress: Progress) -> ClassResult:
    """Grade every hand-in of an assignment. One that cannot be graded is listed and stops nobody."""
    folders = hand_ins(assignment)
    check_release(assignment)
    result = ClassResult()
    waiting = []
    for student, folder in folders.items():
        try:
            notebook = read_notebook(folder / f"{assignment.notebook}.ipynb")
        except CourseError as error:
            result.problems[student] = str(error)
            progress()
            continue
        if record := kept(assignment, student, notebook):
            _enter(assignment, student, record, result)
            progress()
        else:
            waiting.append(delayed(_work)(assignment.course, assignment.name, student, notebook))
    for student, record in Parallel(n_jobs=jobs, return_as="generator_unordered")(waiting):
        if isinstance(record, str):
            result.problems[student] = record
        else:
            keep(assignment, student, record)
            _enter(assignment, student, record, result)
        progress()
    _keep_problems(assignment, result.problems)
    return result


def _work(
    course: Course, name: str, student: str, notebook: NotebookNode
) -> tuple[str, Record | str]:
    """In a worker process: a notebook in, a record out; or why there is none."""
    try:
        return student, grade(Assignment(course, name), student, notebook)
    except Exception as error:  # whatever one hand-in does to the grader, the class goes on
        return student, f"it could not be graded ({type(error).__name__}: {error})"


def _enter(assignment: Assignment, student: str, record: Record, result: ClassResult) -> None:
    """Bring one student's autograded notebook and gradebook entry up to date, through nbgrader."""
    if _entered(assignment, student) == entry(assignment, student, record):
        result.unchanged.append(student)
        return
    try:
        api = nbgrader_api(assignment.course)
        succeed(
            api.autograde(assignment.name, student, force=True), "nbgrader could not take it in"
        )
        result.graded.append(student)
    except CourseError as error:
        result.problems[student] = str(error)


def _entered(assignment: Assignment, student: str) -> str | None:
    """What was entered for a student (see `grading.entry`), None when the gradebook holds nothing."""
    path = (
        assignment.course.step("autograded")
        / student
        / assignment.name
        / f"{assignment.notebook}.ipynb"
    )
    with Gradebook(assignment.course.database_url, "attention") as gradebook:
        try:
            submission = gradebook.find_submission(assignment.name, student)
        except MissingEntry:
            return None
        if any(
            grade.auto_score is None and grade.cell.cell_type == "code"
            for n in submission.notebooks
            for grade in n.grades
        ):
            return None
    if not path.exists():
        return None
    return nbformat.read(path, as_version=4).metadata.get("autograder", {}).get("entry")


def _problems_file(assignment: Assignment) -> Path:
    return assignment.course.record(assignment.name, "", "problems")


def _keep_problems(assignment: Assignment, problems: dict[str, str]) -> None:
    path = _problems_file(assignment)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(problems, indent=1))


def problems(assignment: Assignment) -> dict[str, str]:
    """Hand-ins of the last run that could not be graded, with the reason."""
    path = _problems_file(assignment)
    return json.loads(path.read_text()) if path.exists() else {}


def records(assignment: Assignment) -> dict[str, Record]:
    """The records of all graded students."""
    course = assignment.course
    paths = {
        student: course.record(assignment.name, student, assignment.notebook)
        for student in course.hand_ins(assignment.name)
    }
    return {
        student: Record.from_json(path.read_text())
        for student, path in paths.items()
        if path.exists()
    }
