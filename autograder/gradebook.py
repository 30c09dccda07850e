"""nbgrader's gradebook: the one place that writes a class run's grades, one transaction per submission.

The rows are those that `nbgrader autograde` would leave; nbgrader itself opens the database nine times
for each hand-in and commits once per cell.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from nbgrader.api import (
    Assignment,
    BaseCell,
    Comment,
    Grade,
    Gradebook,
    Notebook,
    Student,
    SubmittedAssignment,
    SubmittedNotebook,
)
from nbgrader.preprocessors import AssignLatePenalties
from nbgrader.utils import parse_utc
from sqlalchemy import Engine, create_engine, func, inspect, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session
from traitlets import TraitError

from autograder.course import COURSE_ID, Course, CourseError, GradebookError

AGAIN = "run the same command again, it goes on from here"
# What a database says, in lower case, and what the instructor is told instead; the first match counts.
SENTENCES = (
    ("is locked", f"another program is writing to it: close that one, then {AGAIN}"),
    ("readonly database", "it is read-only: make the file and its folder writable"),
    ("read-only transaction", "it is read-only: ask for a server that may be written to"),
    ("insufficientprivilege", "this user may not write to it: ask its owner for the right"),
    ("disk is full", f"the disk is full: make room, then {AGAIN}"),
    ("no space left", f"the disk is full: make room, then {AGAIN}"),
    ("unable to open", "it cannot be opened: see that its folder exists and may be written to"),
    ("not a database", "the file is not a gradebook: put a copy of the gradebook back"),
    ("malformed", "the file is damaged: put a copy of the gradebook back"),
    ("no such column", "it is of an older nbgrader: run `nbgrader db upgrade`"),
    ("undefinedcolumn", "it is of an older nbgrader: run `nbgrader db upgrade`"),
)


@dataclass(frozen=True)
class Entry:
    """What the gradebook takes in of one submission; cells are named by their grade_id.

    `timestamp` is the hand-in's, in UTC where it is naive; None leaves an earlier one as it is. `scores` are the
    checked cells' points. `written` says of each solution cell in the hand-in whether it differs from the
    release: nbgrader notes "No response." where it does not, and gives 0 where a person would grade it.
    """

    student: str
    timestamp: datetime | None
    scores: dict[str, float]
    written: dict[str, bool]


@contextmanager
def explained(course: Course) -> Iterator[None]:
    """Raise what goes wrong with a course's database as a GradebookError that holds no password."""
    try:
        yield
    except SQLAlchemyError as error:
        raise GradebookError(
            f"The gradebook {place(course)} cannot be used: {_reason(course, error)}."
        ) from error


def place(course: Course) -> str:
    """Where the gradebook is: a file, or a URL without the name and the password."""
    url = make_url(course.database_url)
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return url.set(username=None, password=None, query={}).render_as_string()


def _reason(course: Course, error: SQLAlchemyError) -> str:
    original = getattr(error, "orig", None) or error
    text = f"{type(original).__name__}: {original}"
    for pattern, sentence in SENTENCES:
        if pattern in text.lower():
            return sentence
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return (
            "the connection was lost; what is entered is kept, and when the server is back the same "
            "command goes on from there"
        )
    if isinstance(error, IntegrityError):
        return f"another program entered the same submission at this moment: {AGAIN}"
    url = make_url(course.database_url)
    reason = str(original).strip().splitlines()[0].rstrip(".")
    for secret in (url.password, url.query.get("password")):
        reason = reason.replace(str(secret), "***") if secret else reason
    return f"{reason}; put this right, then {AGAIN}"


def _engine(course: Course) -> Engine:
    try:
        with explained(course):
            return create_engine(course.database_url)
    except ImportError as error:
        raise GradebookError(
            f"The gradebook {place(course)} cannot be used: its driver is not installed: "
            "`pip install 'psycopg[binary]'`."
        ) from error


def check_reachable(course: Course) -> None:
    """Raise a GradebookError unless the database can be reached; there need not be a gradebook in it yet."""
    engine = _engine(course)
    with explained(course):
        inspect(engine).get_table_names()
    engine.dispose()


def connect(course: Course) -> Engine:
    """The database of a course's gradebook; a CourseError where it cannot be reached or holds no gradebook."""
    engine = _engine(course)
    is_file = engine.dialect.name == "sqlite"
    with explained(course):
        exists = not is_file or Path(str(engine.url.database)).is_file()  # opening would make it
        exists = exists and inspect(engine).has_table(Assignment.__tablename__)
    if not exists:
        engine.dispose()
        raise CourseError(
            f"No gradebook in {place(course)} yet: run `autograder release`, then `autograder grade`."
        )
    return engine


@contextmanager
def open_gradebook(course: Course) -> Iterator[Gradebook]:
    """nbgrader's own view of a course's gradebook; a CourseError where there is none or it fails."""
    connect(course).dispose()  # nbgrader's would make an empty one where there is none
    with explained(course), Gradebook(course.database_url, COURSE_ID) as gradebook:
        yield gradebook


class Writer:
    """Enters the submissions of one assignment: a context manager, used by one process at a time.

    Every method raises a GradebookError when the database cannot be used. What was entered before is kept, and the
    same writer goes on once the database is back.
    """

    def __init__(self, course: Course, paper_name: str, notebook: str) -> None:
        self._course, self._assignment, self._notebook = course, paper_name, notebook

    def __enter__(self) -> "Writer":
        self._late = _late_penalties(self._course)
        # SQLite keeps its rollback journal: write-ahead logging would save 1 ms of 5, but leaves three files
        # to copy instead of one and does not work in a network folder.
        self._engine = connect(self._course)
        # Objects live as long as their transaction: nothing is read again after a commit.
        self._session = Session(self._engine, autoflush=False, expire_on_commit=False)
        try:
            with explained(self._course):
                self._read_cells()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: Any) -> None:
        self._session.close()
        self._engine.dispose()

    def _read_cells(self) -> None:
        """What the release told the gradebook: the notebook, and the cells that get a grade or a comment."""
        found = self._session.execute(
            select(Assignment.id, Notebook.id, Assignment.duedate)
            .join(Notebook, Notebook.assignment_id == Assignment.id)
            .where(Assignment.name == self._assignment, Notebook.name == self._notebook)
        ).first()
        if found is None:
            raise CourseError(
                f"{self._assignment} is not released into the gradebook {place(self._course)}: "
                f"run `autograder release {self._assignment}`."
            )
        self._assignment_id, self._notebook_id, self._duedate = found
        cells = self._session.execute(
            select(BaseCell.name, BaseCell.id, BaseCell.type).where(
                BaseCell.notebook_id == self._notebook_id
            )
        ).all()
        self._graded = {name: id_ for name, id_, kind in cells if kind != "SolutionCell"}
        self._commented = {name: id_ for name, id_, kind in cells if kind != "GradeCell"}
        self._session.rollback()

    def enter(self, entry: Entry) -> None:
        """Enter one submission in one transaction; again with the same entry, it leaves the same rows.

        What a person gave (scores, extra credit, comments, flags) is left as it is, and a score given by hand
        is marked for review, as nbgrader does. Raises a plain CourseError where only this entry is at fault.
        """
        unknown = sorted(
            (entry.scores.keys() - self._graded.keys())
            | (entry.written.keys() - self._commented.keys())
        )
        if unknown:
            raise CourseError(
                f"The gradebook knows no cell {unknown[0]} of {self._assignment}: "
                f"run `autograder release {self._assignment}`."
            )
        if not _is_name(entry.student):
            raise CourseError(
                f"{entry.student[:40]!r}… is no name for a student in a gradebook: rename the folder to at most "
                "128 plain characters."
            )
        try:
            with explained(self._course), self._session.begin():
                self._write(entry)
        finally:
            self._session.expunge_all()

    def _write(self, entry: Entry) -> None:
        submission, notebook = self._rows(entry.student)
        if entry.timestamp is not None:
            submission.timestamp = parse_utc(entry.timestamp)
        grades = {grade.cell_id: grade for grade in notebook.grades}
        comments = {comment.cell_id: comment for comment in notebook.comments}
        for name, answered in entry.written.items():
            comments[self._commented[name]].auto_comment = None if answered else "No response."
            if name in self._graded:
                _score(grades[self._graded[name]], None if answered else 0.0)
        for name, points in entry.scores.items():
            _score(grades[self._graded[name]], points)
        notebook.late_submission_penalty = self._penalty(submission, notebook)

    def _rows(self, student: str) -> tuple[SubmittedAssignment, SubmittedNotebook]:
        """A student's rows, made where they are missing as nbgrader's `add_submission` makes them."""
        session = self._session
        submission = session.scalar(
            select(SubmittedAssignment).where(
                SubmittedAssignment.assignment_id == self._assignment_id,
                SubmittedAssignment.student_id == student,
            )
        )
        if submission is None:
            submission = SubmittedAssignment(
                assignment_id=self._assignment_id,
                student=session.get(Student, student) or Student(id=student),
            )
            notebook = SubmittedNotebook(
                notebook_id=self._notebook_id,
                assignment=submission,
                grades=[Grade(cell_id=cell) for cell in self._graded.values()],
                comments=[Comment(cell_id=cell) for cell in self._commented.values()],
            )
            session.add(submission)
            return submission, notebook
        notebook = session.scalars(
            select(SubmittedNotebook).where(
                SubmittedNotebook.assignment_id == submission.id,
                SubmittedNotebook.notebook_id == self._notebook_id,
            )
        ).one()
        return submission, notebook

    def _penalty(
        self, submission: SubmittedAssignment, notebook: SubmittedNotebook
    ) -> float | None:
        """What the course's late plug-in takes off, within 0 and the score; None where it is not late."""
        if submission.timestamp is None or self._duedate is None:
            return None
        self._session.flush()  # makes the assignment known to the submission, and adds up its score
        late = submission.total_seconds_late
        if late <= 0:
            return None
        plugin, score = self._late.plugin_inst, notebook.score
        try:
            penalty = plugin.late_submission_penalty(submission.student_id, score, late)
            return None if penalty is None else self._late._check_late_penalty(notebook, penalty)
        except Exception as error:
            raise GradebookError(
                f"The late plug-in {type(plugin).__name__} failed for {submission.student_id} "
                f"({type(error).__name__}: {error}): correct it, then {AGAIN}."
            ) from error

    def complete(self) -> dict[str, datetime | None]:
        """The students all of whose checked cells have a score, with their hand-in's timestamp."""
        checked = [self._graded[name] for name in self._graded.keys() - self._commented.keys()]
        query = (
            select(SubmittedAssignment.student_id, SubmittedAssignment.timestamp)
            .join(SubmittedNotebook, SubmittedNotebook.assignment_id == SubmittedAssignment.id)
            .join(Grade, Grade.notebook_id == SubmittedNotebook.id)
            .where(SubmittedNotebook.notebook_id == self._notebook_id, Grade.cell_id.in_(checked))
            .group_by(SubmittedAssignment.id)
            .having(func.count(Grade.auto_score) == len(checked))
        )
        with explained(self._course), self._session.begin():
            return {student: timestamp for student, timestamp in self._session.execute(query)}


def _score(grade: Grade, points: float | None) -> None:
    """Set an automatic score and whether a person must look at it, as nbgrader's SaveAutoGrades does."""
    grade.auto_score = points
    grade.needs_manual_grade = grade.manual_score is not None or points is None


def _is_name(student: str) -> bool:
    return 0 < len(student) <= 128 and student.isprintable()


def _late_penalties(course: Course) -> AssignLatePenalties:
    """nbgrader's step that asks the late plug-in, as the course's nbgrader_config.py sets it."""
    if str(course.root) not in sys.path:
        sys.path.append(str(course.root))  # where nbgrader's own commands find a plug-in
    try:
        step = AssignLatePenalties(config=course.nbgrader_config)
        step.init_plugin()
    except (TraitError, ImportError) as error:
        raise CourseError(
            f"The late plug-in of nbgrader_config.py is not usable: {error}"
        ) from error
    return step
