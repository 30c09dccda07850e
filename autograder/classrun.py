"""Grade a class: hand-ins in parallel, then the gradebook, one student at a time; nothing done twice.

What is done for a student is put down in one order: the record, the gradebook, the autograded notebook, the
journal. Killed anywhere in between, the next run does that student again and comes to the same end.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from autograder.assignment import Assignment
from autograder.changes import digest, whole_version
from autograder.course import CourseError, GradebookError
from autograder.crew import Crew
from autograder.grading import NobodyGraded, Task, seeds_for
from autograder.handin import Attached, read_bytes, refuse_links
from autograder.journal import Done, Journal
from autograder.record import Record
from autograder.store import TIMESTAMP, files_of, read_text, record_path, task_for, write_whole
from autograder.work import Graded

# Whatever needs nbgrader is loaded where it is used: that takes a second, in which the workers get ready.
if TYPE_CHECKING:
    from autograder.gradebook import Writer

READ_ONLY = 0o444  # as nbgrader leaves what it has autograded


class Watch:
    """Who is told how a class run goes; this one takes no notice."""

    def started(self, student: str) -> None:
        """A worker has got the student's hand-in."""

    def finished(self, student: str, problem: str = "") -> None:
        """The student is done, or cannot be graded."""


@dataclass
class ClassResult:
    """What a class run did: students graded now, students unchanged, and problems by student."""

    graded: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class HandIn:
    """One student's hand-in as it lies in the class's folder. `key` is a hash of all that decides its grade."""

    student: str
    content: bytes
    files: dict[str, Attached]
    timestamp: datetime | None
    key: str


def hand_ins(assignment: Assignment) -> dict[str, Path]:
    """Each student's folder; a CourseError when nobody handed anything in."""
    found = assignment.course.hand_ins(assignment.name)
    if not found:
        raise CourseError(
            f"No hand-ins for {assignment.name} in {assignment.course.step('submitted')}: put each as "
            f"<student>/{assignment.name}/{assignment.notebook}.ipynb."
        )
    return found


def grade_class(
    assignment: Assignment,
    crew: Crew,
    watch: Watch | None = None,
    force: bool = False,
    sandbox: str = "bwrap",
) -> ClassResult:
    """Grade every hand-in of an assignment that is not graded yet as it is, or all of them with `force`.

    One that cannot be graded is listed and stops nobody. Raises CourseError where none can be.
    """
    folders = hand_ins(assignment)
    watch = watch or Watch()
    with ExitStack() as stack:
        journal = stack.enter_context(Journal(_folder(assignment) / "journal.jsonl"))
        if force or not all(map(journal.get, folders)):
            crew.get_ready(sandbox)  # while nbgrader is loaded for the gradebook
        writer = _writer(assignment, stack)
        run = ClassRun(assignment, writer, journal, watch, force, sandbox)
        tasks = run.tasks(folders)
        if first := next(tasks, None):  # where nothing is to be done, nothing is started
            crew.get_ready(sandbox)
            for student, graded in crew.grade(chain([first], tasks), watch.started):
                run.take_in(student, graded)
    write_whole(_problems_file(assignment), json.dumps(run.result.problems, indent=1).encode())
    return run.result


def _writer(assignment: Assignment, stack: ExitStack) -> "Writer":
    """The gradebook, once it is sure that it knows the assignment as the source has it."""
    from autograder.release import check_release, is_checked

    fresh = not is_checked(assignment)
    if fresh:
        check_release(assignment)
    try:
        return stack.enter_context(_open(assignment))
    except GradebookError:
        raise
    except CourseError:
        if fresh:
            raise
        check_release(
            assignment
        )  # a gradebook that was put aside: this enters the assignment again
        return stack.enter_context(_open(assignment))


def _open(assignment: Assignment) -> "Writer":
    from autograder.gradebook import Writer

    return Writer(assignment.course, assignment.name, assignment.notebook)


class ClassRun:
    """The part of a class run that knows the class's folder; it alone writes."""

    def __init__(
        self,
        assignment: Assignment,
        writer: "Writer",
        journal: Journal,
        watch: Watch,
        force: bool,
        sandbox: str,
    ) -> None:
        self.result = ClassResult()
        self._assignment, self._paper = assignment, assignment.paper
        self._writer, self._journal, self._watch = writer, journal, watch
        self._force, self._sandbox = force, sandbox
        self._version = whole_version(self._paper)
        self._entered = writer.complete()
        self._waiting: dict[str, HandIn] = {}

    def tasks(self, folders: dict[str, Path]) -> Iterator[tuple[str, Task]]:
        """The tasks of all students who are not done; the others are counted on the way."""
        for student, folder in folders.items():
            try:
                hand_in = self._read(student, folder)
            except CourseError as error:
                self._problem(student, str(error))
                continue
            if not self._force and self._is_done(hand_in):
                self.result.unchanged.append(student)
                self._watch.finished(student)
                continue
            task = task_for(
                self._assignment,
                self._paper,
                student,
                hand_in.content,
                self._sandbox,
                self._force,
                hand_in.files,
            )
            # Kept until the worker is done; the bytes are the task's, and may be many.
            self._waiting[student] = replace(hand_in, content=b"", files={})
            yield student, task

    def take_in(self, student: str, graded: Graded | Exception) -> None:
        """Put down what a worker found; a CourseError is that student's, whatever else the class's."""
        hand_in = self._waiting.pop(student)
        if isinstance(graded, NobodyGraded):
            raise graded
        if isinstance(graded, Exception):
            told = isinstance(graded, CourseError)
            why = str(graded) if told else f"{type(graded).__name__}: {graded}"
            self._problem(student, why if told else f"it could not be graded ({why})")
            return
        from autograder.gradebook import Entry

        path = record_path(self._assignment, student)
        write_whole(path, graded.record.encode())
        try:
            self._writer.enter(Entry(student, hand_in.timestamp, graded.scores, graded.written))
        except GradebookError:
            raise
        except CourseError as error:
            self._problem(student, str(error))
            return
        target = self._autograded(student)
        write_whole(target, graded.notebook.encode(), READ_ONLY)
        self._journal.add(Done(student, hand_in.key, _hash(path), _hash(target)))
        self.result.graded.append(student)
        self._watch.finished(student)

    def _problem(self, student: str, why: str) -> None:
        self.result.problems[student] = why
        self._watch.finished(student, why)

    def _read(self, student: str, folder: Path) -> HandIn:
        if not student.isprintable():
            raise CourseError("no student has such a name: rename the folder.")
        refuse_links(folder)
        content = read_bytes(folder / f"{self._assignment.notebook}.ipynb")
        files = files_of(self._assignment, folder)
        digests = {name: file.digest for name, file in files.items()}
        stamp = folder / TIMESTAMP
        handed_in = read_bytes(stamp) if stamp.is_symlink() or stamp.exists() else b""
        timestamp = handed_in.decode(errors="replace").strip()
        seeds = seeds_for(self._assignment.course.secret, student, self._paper)
        key = digest(hashlib.sha256(content).hexdigest(), digests, timestamp, seeds, self._version)
        return HandIn(student, content, files, _time(timestamp) if timestamp else None, key)

    def _is_done(self, hand_in: HandIn) -> bool:
        student = hand_in.student
        done = self._journal.get(student)
        return (
            done is not None
            and done.key == hand_in.key
            and student in self._entered
            and hand_in.timestamp in (None, self._entered[student])
            and done.record == _hash(record_path(self._assignment, student))
            and done.notebook == _hash(self._autograded(student))
        )

    def _autograded(self, student: str) -> Path:
        folder = self._assignment.course.step("autograded") / student / self._assignment.name
        return folder / f"{self._assignment.notebook}.ipynb"


def _time(text: str) -> datetime:
    from nbgrader.utils import parse_utc

    try:
        return parse_utc(text)
    except ValueError as error:
        raise CourseError(
            f"its timestamp.txt says “{text[:40]}”: write a time such as 2026-01-31 23:59:00 UTC."
        ) from error


def _hash(path: Path) -> str:
    """A hash of a file; of nothing where there is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _folder(assignment: Assignment) -> Path:
    return _problems_file(assignment).parent


def _problems_file(assignment: Assignment) -> Path:
    return assignment.course.record(assignment.name, "", "problems")


def problems(assignment: Assignment) -> dict[str, str]:
    """Hand-ins of the last run that could not be graded, with the reason; damaged records too."""
    try:
        found = json.loads(read_text(_problems_file(assignment)) or "{}")
    except ValueError:
        found = {}
    damaged = "its record is damaged: run `autograder grade` again"
    return {student: damaged for student, record in _records(assignment) if record is None} | found


def records(assignment: Assignment) -> dict[str, Record]:
    """The records of all graded students, but for damaged ones (see `problems`)."""
    return {student: record for student, record in _records(assignment) if record}


def _records(assignment: Assignment) -> Iterator[tuple[str, Record | None]]:
    for student in assignment.course.hand_ins(assignment.name):
        if text := read_text(record_path(assignment, student)):
            yield student, Record.from_json(text)
