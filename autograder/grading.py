"""Grade one notebook: a notebook in, a record out. No gradebook and no verdict from the student.

`grade` is what a class run calls in parallel and what nbgrader's own path calls once.
"""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from autograder.assignment import Assignment, CellToRun, Reference
from autograder.course import Course
from autograder.question import Case, Question, Reply, seed_for
from autograder.shell.inside.wire import WireError, plain
from autograder.shell.limits import Limits
from autograder.shell.session import Session, Stopped
from autograder.verdict import AspectResult, Verdict, decide

LIMITS = Limits()
SHOWN_BYTES = 400_000
SHOWN_OUTPUTS = 200
SHOWN_TEXTS = ("output_type", "name", "text", "ename", "evalue")
SHOWN_MIMES = ("text/plain", "image/png")
ENGINE = Path(__file__).parent
DECIDING = ("assignment.py", "grading.py", "judge.py", "question.py", "verdict.py", "shell/**/*.py")


@dataclass
class CellRun:
    """What one code cell did: its outputs (reduced by `bounded`), and why it was stopped, if it was."""

    outputs: list[dict[str, Any]] = field(default_factory=list)
    success: bool = False
    stopped: str = ""


@dataclass
class Record:
    """The result of grading one notebook. `cells` has one entry per cell, None for text cells."""

    fingerprint: str
    seconds: float
    cells: list[CellRun | None]
    verdicts: dict[str, Verdict]

    def to_json(self) -> str:
        """As text; `from_json` gives the same record back."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Record":
        """The record of a text that `to_json` made."""
        data = json.loads(text)
        data["cells"] = [cell and CellRun(**cell) for cell in data["cells"]]
        for name, verdict in data["verdicts"].items():
            aspects = [AspectResult(**aspect) for aspect in verdict.pop("aspects")]
            data["verdicts"][name] = Verdict(**verdict, aspects=aspects)
        return cls(**{key.name: data[key.name] for key in fields(cls)})


def fingerprint(
    assignment: Assignment, student: str, notebook: NotebookNode, limits: Limits
) -> str:
    """A hash of all that decides the record: the hand-in, the checks, the solution, the grader, the seed."""
    decisive = [
        assignment.cells_to_run(notebook),
        _engine_version(),
        _digest(assignment),
        seed_for(assignment.course.secret, student, assignment.name, ""),
        asdict(limits),
    ]
    return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()


@cache
def _engine_version() -> str:
    files = sorted(path for pattern in (*DECIDING, "checks/*.py") for path in ENGINE.glob(pattern))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


@cache
def _reference(root: Path, name: str, source: str) -> Reference:
    """The reference of an assignment whose source has this digest; a process may outlive a source."""
    return Reference(Assignment(Course(root, root), name))


def _digest(assignment: Assignment) -> str:
    return hashlib.sha256(assignment.source.read_bytes()).hexdigest()


def grade(
    assignment: Assignment, student: str, notebook: NotebookNode, limits: Limits = LIMITS
) -> Record:
    """Run the notebook's cells, ask every question, and decide.

    Each check is asked once, after the last cell: what counts is the student's finished state.
    """
    started = time.monotonic()
    reference = _reference(assignment.course.root, assignment.name, _digest(assignment))
    session, cells = run_cells(assignment.cells_to_run(notebook), limits)
    verdicts = {}
    try:
        for question in assignment.checks.values():
            cases = question.draw(
                seed_for(assignment.course.secret, student, assignment.name, question.name)
            )
            got = ask(session, question, cases)
            verdicts[question.name] = decide(
                question, cases, reference.replies(question, cases), got
            )
    finally:
        session.close()
    seconds = time.monotonic() - started
    return Record(fingerprint(assignment, student, notebook, limits), seconds, cells, verdicts)


def run_cells(
    cells: Sequence[CellToRun | None], limits: Limits
) -> tuple[Session, list[CellRun | None]]:
    """Run code cells in order, as a notebook does after "run all" with errors allowed.

    A cell that had to be stopped took its process with it: the cells before it are run again in a new
    one and that cell is passed over, so an endless loop costs no more than itself. Cells that the
    notebook's time does not reach are not run.
    """
    deadline = time.monotonic() + limits.notebook_seconds
    runs: list[CellRun | None] = [None] * len(cells)
    while True:
        session = Session(limits)
        try:
            if _run_through(session, cells, runs, deadline):
                return session, runs
        except BaseException:
            session.close()
            raise
        session.close()


def _run_through(
    session: Session, cells: Sequence[CellToRun | None], runs: list[CellRun | None], deadline: float
) -> bool:
    """Run what is not known to stop; False when a cell ended the process. `runs` is brought up to date."""
    for index, cell in enumerate(cells):
        known = runs[index]
        if cell is None or (known and known.stopped):
            continue
        if known is None and time.monotonic() > deadline:
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


def bounded(outputs: Any) -> list[dict[str, Any]]:
    """The outputs of a cell reduced to the texts and pictures that are shown, whatever was sent."""
    kept: list[dict[str, Any]] = []
    left = SHOWN_BYTES
    for item in outputs[:SHOWN_OUTPUTS] if isinstance(outputs, list) else []:
        if not isinstance(item, dict):
            continue
        shown: dict[str, Any] = {key: plain(item[key], left) for key in SHOWN_TEXTS if key in item}
        if isinstance(data := item.get("data"), dict):
            shown["data"] = {mime: plain(data[mime], left) for mime in SHOWN_MIMES if mime in data}
        if isinstance(trace := item.get("traceback"), list):
            shown["traceback"] = [plain(line, 4000) for line in trace[:60] if isinstance(line, str)]
        left -= len(str(shown))
        if left < 0:
            break
        kept.append(shown)
    return kept


def ask(session: Session, question: Question, cases: list[Case]) -> list[Reply]:
    """The student's replies to the cases, one for each."""
    return session.ask([case.request(question.name, question.library) for case in cases])


def kept(
    assignment: Assignment, student: str, notebook: NotebookNode, limits: Limits = LIMITS
) -> Record | None:
    """The record of an earlier run, if nothing that decides it has changed since."""
    path = assignment.course.record(assignment.name, student, assignment.notebook)
    if not path.exists():
        return None
    try:
        record = Record.from_json(path.read_text())
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # damaged, or of an older grader: it is made anew
    return (
        record if record.fingerprint == fingerprint(assignment, student, notebook, limits) else None
    )


def keep(assignment: Assignment, student: str, record: Record) -> None:
    """Keep a record for later runs; written whole or not at all."""
    path = assignment.course.record(assignment.name, student, assignment.notebook)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    temporary.write_text(record.to_json())
    temporary.replace(path)


def entry(assignment: Assignment, student: str, record: Record) -> str:
    """A hash of what nbgrader takes in for a student: the record, and all else that was handed in."""
    folder = assignment.course.step("submitted") / student / assignment.name
    files = [folder / f"{assignment.notebook}.ipynb", folder / "timestamp.txt"]
    content = b"\0".join(path.read_bytes() for path in files if path.exists())
    return hashlib.sha256(record.fingerprint.encode() + content).hexdigest()
