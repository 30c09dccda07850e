"""What a question is: cases to call it with, aspects worth points, and the misconceptions it knows.

The right answer is not stated here: it is what the instructor's solution returns on the same case.
"""

import ast
import hashlib
import hmac
import inspect
import math
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from autograder.rules import Rule
from autograder.shell.inside import wire

# Of the driver, decoded: value, changed, gradients, held, or error; with forbidden; or stopped.
Reply = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One call: its name (the student reads it) and its arguments, in the order of the function's.

    `upstream` and `gradient_of` ask for the gradients of sum(upstream * output) by the named arguments or,
    of a module, parameters (PyTorch questions). `construct` and `state` build a class and load its weights
    before the call; with no `state` the module keeps the weights that it drew, and without `arguments` there
    is no call: the value is the module's state. `strided` arguments come non-contiguous, `iterators` as one-pass
    iterators, beside which no more than `held_bytes` may pile up where that is given (see
    `judge.one_at_a_time`); without an
    iterator, no more may live at once beside the arguments. `target` is never sent: what judges compare with
    where no solution says what is right.
    """

    name: str
    arguments: dict[str, Any]
    upstream: np.ndarray | None = None
    gradient_of: tuple[str, ...] = ()
    construct: tuple[Any, ...] | None = None
    state: dict[str, np.ndarray] = field(default_factory=dict)
    strided: tuple[str, ...] = ()
    iterators: tuple[str, ...] = ()
    held_bytes: int | None = None
    target: Any = None

    def request(self, function: str, library: str) -> dict[str, Any]:
        """The driver's request for this call (see `shell.inside.driver.call`)."""
        return {
            "function": function,
            "library": library,
            # Weights may be larger than what a student's call may return.
            "arguments": {
                name: wire.encode(value, most=math.inf) for name, value in self.arguments.items()
            },
            "upstream": None if self.upstream is None else wire.encode(self.upstream),
            "gradient_of": list(self.gradient_of),
            "construct": None
            if self.construct is None
            else [wire.encode(v) for v in self.construct],
            "state": {name: wire.encode(value) for name, value in self.state.items()},
            "strided": list(self.strided),
            "iterators": list(self.iterators),
            "measured": self.held_bytes is not None,
        }


@dataclass(frozen=True)
class Fault:
    """Why an aspect was lost: one sentence, and what was got beside what was expected, as `str` shows it."""

    sentence: str
    expected: Any = ""
    got: Any = ""


Judge = Callable[[Case, Reply, Reply], Fault | None]


@dataclass(frozen=True)
class Aspect:
    """A part of a question worth points: `judge` must find no fault in any of its cases.

    `cases` names them; empty means all. The first fault found is shown, so put small cases first.
    """

    title: str
    points: float
    judge: Judge
    cases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Misconception:
    """A wrong program that students really write, and the sentence its author should read."""

    name: str
    sentence: str
    program: Callable[..., Any]

    def source(self, function: str) -> str:
        """The program's text as a student would hand it in: undecorated, under the question's name."""
        text = textwrap.dedent(inspect.getsource(self.program))
        node = ast.parse(text).body[0]
        assert isinstance(node, ast.FunctionDef | ast.ClassDef)
        lines = text.splitlines()[node.lineno - 1 :]
        return "\n".join(lines).replace(self.program.__name__, function) + "\n"


@dataclass(frozen=True)
class Artefact:
    """A file that is handed in beside the notebook. More than `max_bytes` is not read.

    `advice` is the sentence for a student whose file is missing or cannot be taken.
    """

    name: str
    max_bytes: int
    advice: str


class Unusable(Exception):
    """A handed-in file cannot be used; the text says why, in a sentence or two for the student."""


@dataclass(frozen=True)
class Remark:
    """What is said of a reply beside its points; `doubt` is for the instructor only, in the class report."""

    text: str
    doubt: str = ""


@dataclass
class Question:
    """A graded question. `name` is the marker's name, the solution cell's id and the function's name.

    `cases` draws them with a generator of random numbers. Of a question with an `artefact` it is also given the
    file's bytes, or raises Unusable. Then no solution says what is right: judges have each case's `target`, and
    in the solution's place the reply to the first case, or nothing for that one; and each case is asked
    of a process of its own, which knows nothing of the others. `reads` are the files that cases are made from
    besides. `remark` says something of cases and replies, whatever they earn.
    `alike` says when two values of a reply agree, where chance has a part in them: a known mistake is never repeated
    to the last digit then. By default they agree up to rounding.

    Raises ValueError where a rule costs an aspect that does not exist.
    """

    name: str
    title: str
    cases: Callable[..., Iterator[Case]]
    aspects: tuple[Aspect, ...]
    library: str = "numpy"
    rules: tuple[Rule, ...] = ()
    misconceptions: list[Misconception] = field(default_factory=list)
    alike: Callable[[Any, Any], bool] | None = None
    artefact: Artefact | None = None
    reads: tuple[Path, ...] = ()
    remark: Callable[[list[Case], list[Reply]], Remark] | None = None

    def __post_init__(self) -> None:
        titles = {aspect.title for aspect in self.aspects}
        if unknown := {cost for rule in self.rules for cost in rule.costs} - titles:
            raise ValueError(f"a rule of {self.name} costs aspects that it lacks: {unknown}")

    @cached_property
    def points(self) -> float:
        """What all aspects are worth together."""
        return sum(aspect.points for aspect in self.aspects)

    def draw(self, seed: int, *content: bytes) -> list[Case]:
        """The cases of one student, and of the file that the student handed in."""
        return list(self.cases(np.random.default_rng(seed), *content))

    def requests(self, cases: list[Case]) -> list[dict[str, Any]]:
        """What the student's process is asked: the calls, with the names that its trap is set on."""
        forbidden = sorted({name for rule in self.rules for name in rule.trapped})
        return [case.request(self.name, self.library) | {"forbidden": forbidden} for case in cases]

    def misconception(self, sentence: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Decorator: the function below is a wrong program, and `sentence` is what helps its author."""

        def register(program: Callable[..., Any]) -> Callable[..., Any]:
            self.misconceptions.append(Misconception(program.__name__, sentence, program))
            return program

        return register


def seed_for(secret: str, student: str, assignment: str, question: str) -> int:
    """The seed of a student's inputs: nobody without the course's secret can compute it."""
    message = "\0".join((student, assignment, question)).encode()
    return int.from_bytes(hmac.new(secret.encode(), message, hashlib.sha256).digest()[:8], "big")
