"""The programs that are tried on an assignment, and what the grader says of them.

Everything runs in this process through the grader's own driver, so nothing here starts a sandbox. What is drawn
and what the solution replies is kept for each assignment, question and seed.
"""

import contextlib
import copy
import resource
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import torch

from autograder.assignment import HIDDEN, Assignment, Reference, grade_id
from autograder.course import Course
from autograder.program import Program
from autograder.question import Case, Question, Reply
from autograder.sample import bank, bank_programs
from autograder.shell.inside import driver, trap
from autograder.shell.session import decode_reply
from autograder.statements import Cell
from autograder.verdict import Verdict, decide

ROOT = Path(__file__).parents[2]
COURSE = Course(ROOT, ROOT)
ASSIGNMENTS = COURSE.assignments()
MEMORY = 6_000_000_000  # a forbidden matrix must not fill the machine


@contextlib.contextmanager
def confined() -> Iterator[None]:
    """One thread and bounded memory, as a student's process has."""
    threads, bound = torch.get_num_threads(), resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    torch.set_num_threads(1)  # many tiny calls on many threads mostly wait
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, bound[1]))
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        resource.setrlimit(resource.RLIMIT_AS, bound)


@cache
def assignment(name: str) -> Assignment:
    """An assignment of the repository, such as `02-scores`."""
    return Assignment(COURSE, name)


def module_of(name: str) -> str:
    """The name of an assignment's checks, such as `scores`."""
    return assignment(name).paper.module.rpartition(".")[2]


def questions(name: str) -> dict[str, Question]:
    """The questions of an assignment by name."""
    return assignment(name).questions


def judged(name: str) -> dict[str, Question]:
    """The questions whose inputs are drawn: all but those about a file that is handed in."""
    return {key: question for key, question in questions(name).items() if not question.artefact}


@cache
def reference(name: str) -> Reference:
    """The instructor's solution of an assignment, run once."""
    return Reference(assignment(name).paper)


@dataclass(frozen=True)
class Drawn:
    """One student's cases of a question, the driver's requests for them, and the right replies."""

    cases: list[Case]
    requests: list[dict[str, Any]]
    expected: list[Reply]


@cache
def drawn(name: str, question: str, seed: int) -> Drawn:
    """What the seed draws for a question of an assignment."""
    asked = questions(name)[question]
    cases = asked.draw(seed)
    return Drawn(cases, asked.requests(cases), reference(name).replies(asked, cases))


# --- programs ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """What one student hands in: the names that the code left behind, and the code itself, for the rules."""

    assignment: str
    namespace: dict[str, Any]
    cells: tuple[str, ...] = ()

    @cached_property
    def program(self) -> Program:
        """The code as the rules read it."""
        return Program([Cell(cell) for cell in self.cells])

    @classmethod
    def of(cls, assignment: str, cells: tuple[str, ...], **names: Any) -> "Answer":
        """The answer that the cells make, run in turn beside the given names."""
        namespace = {"__name__": "__main__", **names}
        for number, cell in enumerate(cells):
            exec(compile(cell, f"cell {number}", "exec"), namespace)
        return cls(assignment, namespace, cells)


def files(name: str, kind: str) -> list[str]:
    """The bank's files of an assignment that are "right" or "wrong", without their ending."""
    return sorted(path.stem for path in (bank(assignment(name)) / kind).glob("*.py"))


@cache
def texts(name: str, kind: str, file: str) -> dict[str, str]:
    """The text handed in for each question by one file of the bank."""
    return bank_programs(assignment(name), bank(assignment(name)) / kind / f"{file}.py")


@cache
def banked(name: str, kind: str, file: str) -> Answer:
    """One file of the bank as it is handed in: `banked("02-scores", "wrong", "in_place")`."""
    return Answer.of(name, tuple(texts(name, kind, file).values()))


@cache
def misconception(name: str, question: str, mistake: str) -> Answer:
    """A misconception as a student would hand it in: its text, under the question's name."""
    [found] = [wrong for wrong in questions(name)[question].misconceptions if wrong.name == mistake]
    return Answer.of(name, (found.source(question),), np=np, torch=torch)


def misconceptions(name: str) -> Iterator[tuple[str, str]]:
    """Question and name of every misconception of an assignment."""
    for question in questions(name).values():
        for known in question.misconceptions:
            yield question.name, known.name


def wrong_programs(name: str) -> Iterator[tuple[str, str]]:
    """File and question of every wrong program in an assignment's bank."""
    for file in files(name, "wrong"):
        for question in texts(name, "wrong", file):
            yield file, question


# --- verdicts ---------------------------------------------------------------------------------------


def replies(answer: Answer, question: str, seed: int) -> list[Reply]:
    """What an answer replies to a question's cases, asked as a student's process is."""
    return ask(answer, drawn(answer.assignment, question, seed).requests)


def ask(answer: Answer, requests: list[dict[str, Any]]) -> list[Reply]:
    """What an answer replies to the driver's requests."""
    _look_at_modules(len(sys.modules))
    return [decode_reply(driver.call(answer.namespace, request)) for request in requests]


@cache
def _look_at_modules(_: int) -> None:
    """Let the trap learn of what was loaded since: a student's process loads little, this one much."""
    trap._places.cache_clear()
    trap.know_places()


def verdict(answer: Answer, question: str, seed: int = 0) -> Verdict:
    """The verdict on one question of an answer."""
    given = drawn(answer.assignment, question, seed)
    return decide(
        questions(answer.assignment)[question],
        given.cases,
        given.expected,
        replies(answer, question, seed),
        answer.program,
    )


def lost(result: Verdict) -> str:
    """What points were lost for, in one line."""
    rows = [
        f"{row.title} [{row.case}]: {row.sentence} {row.got}"
        for row in result.aspects
        if not row.earned
    ]
    return "; ".join([*result.broken, *rows])


# --- visible checks ---------------------------------------------------------------------------------


@cache
def visible(name: str, question: str) -> str:
    """The visible part of a question's check cell."""
    [cell] = [
        cell
        for cell in assignment(name).solution.cells
        if (asked := assignment(name).checks.get(str(grade_id(cell)))) and asked.name == question
    ]
    return HIDDEN.sub("", cell.source)


def run_visible(answer: Answer, question: str) -> AssertionError | None:
    """Run a question's visible checks on an answer; the assertion that failed, if one did."""
    scope = {
        # A generator is copied: no check depends on which ones ran before.
        name: copy.deepcopy(value) if isinstance(value, np.random.Generator) else value
        for name, value in reference(answer.assignment).namespace.items()
    } | {question: answer.namespace[question]}
    state = torch.get_rng_state()
    try:
        exec(compile(visible(answer.assignment, question), question, "exec"), scope)
    except AssertionError as error:
        return error
    finally:
        torch.set_rng_state(state)
    return None


def failing_line(answer: Answer, question: str) -> int | None:
    """The line of the visible check at which an answer fails; None where none does, or another error comes first."""
    try:
        error = run_visible(answer, question)
    except Exception:
        return None  # it stops with an error of its own, which is as visible
    if error is None:
        return None
    lines = traceback.extract_tb(error.__traceback__)
    return [frame.lineno for frame in lines if frame.filename == question][-1]


def solved(name: str) -> Answer:
    """The instructor's own solution as an answer."""
    return Answer(name, reference(name).namespace)


def release(name: str) -> list[nbformat.NotebookNode]:
    """The cells of the students' notebook."""
    return assignment(name).released.cells
