"""Grade one notebook: a notebook in, a record out. No disk, no gradebook and no verdict from the student.

`grade` is what a class run calls in parallel, here or on other machines, and what nbgrader's own path calls.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

from nbformat import NotebookNode

from autograder.assignment import CellToRun, Paper, Reference, answers, known
from autograder.changes import engine_version, fingerprints
from autograder.course import CourseError
from autograder.handin import Attached, parse
from autograder.judge import failure
from autograder.program import Program
from autograder.question import Case, Question, Unusable, seed_for
from autograder.record import CellRun, Record, bounded
from autograder.shell.inside.wire import WireError
from autograder.shell.limits import Limits
from autograder.shell.sandbox import available
from autograder.shell.session import Session, Stopped
from autograder.shell.warm import NotStarted
from autograder.statements import Cell
from autograder.verdict import Verdict, decide, not_asked

NOT_RUN = "not run by the grader: what it makes is handed in"


class GraderFault(CourseError):
    """A check or the solution failed on a student's inputs, through nothing the student did."""


class NobodyGraded(CourseError):
    """What keeps every hand-in from being graded: the solution does not run, or the grader is another."""


class NoSandbox(NobodyGraded):
    """The sandbox that student code was to run in does not work on this machine."""


@dataclass(frozen=True)
class Task:
    """All that a worker needs to grade one hand-in, as data: it has no course, no class and no secret.

    `seeds` has one seed by question, and by "" that of the cells. `earlier` is the text of an earlier record:
    verdicts in it that nothing has changed since are taken over. `engine` is the caller's version. Without
    `limits` the assignment's own hold. `files` were handed in beside the notebook, by name.
    """

    student: str
    handed_in: bytes
    paper: Paper
    seeds: Mapping[str, int]
    sandbox: str
    engine: str
    earlier: str = ""
    limits: Limits | None = None
    files: Mapping[str, Attached] = field(default_factory=dict)

    def notebook(self) -> NotebookNode:
        """What was handed in, read anew; a CourseError where it is no notebook."""
        return parse(
            self.handed_in, f"{self.student}/{self.paper.name}/{self.paper.notebook}.ipynb"
        )


def seeds_for(secret: str, student: str, paper: Paper) -> dict[str, int]:
    """The seeds of a student's task (see `Task`)."""
    return {name: seed_for(secret, student, paper.name, name) for name in ("", *paper.asked)}


@lru_cache(maxsize=8)
def reference(paper: Paper) -> Reference:
    """The instructor's solution, run once in this process; NobodyGraded where it fails."""
    import torch  # only where a hand-in is graded: the command itself starts without it

    torch.set_num_threads(1)  # as the students' processes have; a class keeps every core busy
    try:
        return Reference(paper)
    except CourseError as error:
        raise NobodyGraded(str(error)) from error


def grade(task: Task) -> Record:
    """Run the notebook's cells, ask every question whose verdict is not known, and decide.

    Each check is asked once, after the last cell: what counts is the student's finished state. Raises
    CourseError where the hand-in is no notebook, GraderFault where a check or the solution fails.
    """
    return grade_notebook(task, task.notebook())


def grade_notebook(task: Task, notebook: NotebookNode) -> Record:
    """`grade` for a notebook that is read already."""
    started = time.monotonic()
    if task.engine != engine_version():
        raise NobodyGraded(
            "A worker has another version of the grader, of Python, NumPy or PyTorch than this command: "
            "install the same on both and start the worker again."
        )
    paper = known(task.paper)
    limits = task.limits or paper.limits
    to_run = paper.cells_to_run(notebook)
    run, asked = fingerprints(paper, to_run, task.seeds, limits, task.files)
    earlier = Record.from_json(task.earlier) if task.earlier else None
    if earlier and (earlier.run, earlier.asked) == (run, asked):
        return earlier
    verdicts = {
        name: earlier.verdicts[name]
        for name in asked
        if earlier and earlier.asked.get(name) == asked[name]
    }
    reference(paper)
    start = partial(run_cells, to_run, limits, task.sandbox, task.seeds[""])
    session, cells = start()
    try:
        program = read_program(to_run, cells)
        for name, question in paper.questions.items():
            if name not in asked or name in verdicts:
                continue
            # What one question's calls did to the process costs that question only.
            if session.ended and time.monotonic() - started < limits.notebook_seconds:
                session.close()
                session, _ = start()
            seed = task.seeds[name]
            if question.artefact:
                file = task.files.get(question.artefact.name)
                verdicts[name] = examine_file(session, start, question, file, seed, program)
            else:
                verdicts[name] = examine(session, paper, question, seed, program)
    finally:
        session.close()
    ordered = {name: verdicts[name] for name in asked}
    return Record(run, asked, time.monotonic() - started, cells, ordered)


def examine(
    session: Session, paper: Paper, question: Question, seed: int, program: Program
) -> Verdict:
    """Ask one question of the student's finished state and decide; GraderFault where a check fails."""
    solution = reference(paper)
    with _grader_fault(question):
        cases = question.draw(seed)
        requests = question.requests(cases)
        # The trap of the rules is set on the student only.
        expected = answers(solution.namespace, [{**r, "forbidden": []} for r in requests])
        for case, reply in zip(cases, expected, strict=True):
            if fault := failure(reply):
                why = f"in case “{case.name}” the solution itself has no value: {fault.sentence} {fault.got}"
                raise RuntimeError(why)
        return decide(question, cases, expected, session.ask(requests), program)


def examine_file(
    session: Session,
    start: Callable[[], tuple[Session, Any]],
    question: Question,
    file: Attached | None,
    seed: int,
    program: Program,
) -> Verdict:
    """`examine` for a question about a file; nothing is asked where that is missing or cannot be used.

    `start` runs the cells anew for every call after the first, so that none can know what another was asked.
    """
    with _grader_fault(question):
        try:
            cases = cases_of(question, file, seed)
        except Unusable as error:
            return not_asked(question, str(error), missing=file is None)
        got = session.ask(question.requests(cases[:1]))
        for case in cases[1:]:
            other, _ = start()
            with other:
                got += other.ask(question.requests([case]))
        return decide(question, cases, [{}, *got[:1] * len(cases[1:])], got, program)


def cases_of(question: Question, file: Attached | None, seed: int) -> list[Case]:
    """The cases that a question makes of its file; Unusable where there is none that can be used."""
    artefact = question.artefact
    assert artefact
    if file is None:
        raise Unusable(f"There is no `{artefact.name}` beside the notebook. {artefact.advice}")
    if file.problem:
        raise Unusable(file.problem)
    return question.draw(seed, file.content)


@contextmanager
def _grader_fault(question: Question) -> Iterator[None]:
    """What goes wrong in here is no student's doing."""
    try:
        yield
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise GraderFault(
            f"a fault of the grader, not of the student: question {question.name}: {reason}"
        ) from error


def read_program(cells: Sequence[CellToRun | None], runs: Sequence[CellRun | None]) -> Program:
    """The code whose names the finished state holds: cells that ran, without the checks."""
    return Program(
        Cell(cell.source, run.success)
        for cell, run in zip(cells, runs, strict=True)
        if cell and cell.keep and run and not run.stopped
    )


def run_cells(
    cells: Sequence[CellToRun | None], limits: Limits, sandbox: str = "bwrap", seed: int = 0
) -> tuple[Session, list[CellRun | None]]:
    """Run code cells in order, as a notebook does after "run all" with errors allowed.

    A cell that had to be stopped took its process with it: the cells before it are run again in a new
    one and that cell is passed over, so an endless loop costs no more than itself. Cells that the
    notebook's time does not reach are not run, nor those that the release says are not; a process's start does
    not count.
    """
    left = limits.notebook_seconds
    runs = [CellRun(stopped=NOT_RUN) if cell and not cell.run else None for cell in cells]
    while True:
        session = _start(limits, sandbox, seed)
        deadline = time.monotonic() + left
        try:
            if _run_through(session, cells, runs, deadline):
                return session, runs
        except BaseException:
            session.close()
            raise
        left = deadline - time.monotonic()
        session.close()


def _start(limits: Limits, sandbox: str, seed: int) -> Session:
    """A new process for a hand-in; NoSandbox where none can be started, CourseError where this one was not."""
    try:
        return Session(limits, sandbox, seed)
    except NotStarted as error:
        if why := available(sandbox):
            raise NoSandbox(f"{why}.") from error
        raise CourseError(f"its process could not be started ({error}): grade it again") from error


def _run_through(
    session: Session, cells: Sequence[CellToRun | None], runs: list[CellRun | None], deadline: float
) -> bool:
    """Run what is not known to stop; False when a cell ended the process. `runs` is brought up to date."""
    for index, cell in enumerate(cells):
        known_run = runs[index]
        if cell is None or (known_run and known_run.stopped):
            continue
        if known_run is None and time.monotonic() > deadline:
            late = f"not run: the notebook had used its {session.limits.notebook_seconds:g} s"
            runs[index] = CellRun(stopped=late)
            continue
        try:
            reply = session.run(cell.source, cell.keep)
            runs[index] = CellRun(bounded(reply.get("outputs")), reply.get("success") is True)
        except (Stopped, WireError) as error:
            runs[index] = CellRun(stopped=str(error))
            return False
    return True
