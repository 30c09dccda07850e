"""Structural rules: what a task forbids or requires of the code itself, whatever values it returns.

A rule is decided on the trusted side by reading the code that the question's function reaches. A trap in the student's
process (`shell.inside.trap`) reports forbidden calls as they happen: what it reports counts, its silence proves
nothing. A broken rule is told as a rule, with the line, and never as a wrong answer.
"""

import ast
import inspect
import pydoc
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any

from autograder.program import UNKNOWN, Program, Use, located
from autograder.shell.inside.wire import plain

# Functions that run a Python loop of their own.
LOOPING = ("map", "functools.reduce", "numpy.vectorize", "numpy.apply_along_axis")
WRITTEN_OUT = ast.Tuple | ast.List


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What breaks it costs the aspects whose titles stand in `costs`; none named means the whole question.

    `why` follows a colon: what the student should do instead.
    """

    why: str
    costs: tuple[str, ...] = ()

    @property
    def trapped(self) -> tuple[str, ...]:
        """The callables whose calls the student's process should report."""
        return ()

    def breach(self, program: Program, function: str, reported: Collection[str]) -> str:
        """One sentence on how the code that `function` reaches breaks the rule, "" if it does not.

        `reported` are the callables that the student's process reported.
        """
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class _Named(Rule):
    """A rule about names: callables, methods and classes, or modules with all they hold, by full name.

    Raises ValueError where a name leads nowhere: such a rule would never be broken.
    """

    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.names:
            if pydoc.locate(name) is None:
                raise ValueError(f"{name} is neither a module nor something in one")

    @cached_property
    def _objects(self) -> dict[int, str]:
        """The full names of all that is meant, by identity: a callable may have several homes."""
        found = {}
        for name in self.names:
            thing = pydoc.locate(name)
            if isinstance(thing, ModuleType):
                found |= {id(part): f"{name}.{key}" for key, part in _public(thing)}
            else:
                found[id(thing)] = name
        return found

    @cached_property
    def _methods(self) -> frozenset[str]:
        """The last parts of what is a class's, so that it is also meant without the class before it."""
        return frozenset(
            name.rpartition(".")[2]
            for name in self.names
            if inspect.isclass(pydoc.locate(name.rpartition(".")[0]))
        )

    @cached_property
    def _modules(self) -> frozenset[str]:
        return frozenset(n for n in self.names if isinstance(pydoc.locate(n), ModuleType))

    def _meant(self, path: str, own: set[str]) -> str:
        """The full name of what a path means, if the rule is about it, and "" if it is not."""
        owner, _, last = path.rpartition(".")
        if owner == UNKNOWN:
            # An object of a class of one's own may have a method of that name; the trap tells them apart.
            return f".{last}" if last in self._methods - own else ""
        for name in self.names:
            if path.startswith(f"{name}.") or (path == name and name not in self._modules):
                return path
        return self._objects.get(id(located(path)), "") if owner else ""

    def _uses(self, program: Program, function: str) -> Iterable[tuple[Use, str]]:
        uses = list(program.reached(function))
        classes = [use.node for use in uses if isinstance(use.node, ast.ClassDef)]
        own = {node.name for class_ in classes for node in class_.body if hasattr(node, "name")}
        for use in uses:
            for path in sorted(use.paths):
                if meant := self._meant(path, own):
                    yield use, meant


@dataclass(frozen=True, kw_only=True)
class Forbidden(_Named):
    """Names that may not be used, such as "torch.nn.functional.softmax"; `what` says in words what they are."""

    what: str = ""

    @cached_property
    def trapped(self) -> tuple[str, ...]:
        """All callables that the names stand for."""
        return tuple(sorted(n for n in self._objects.values() if callable(pydoc.locate(n))))

    def breach(self, program: Program, function: str, reported: Collection[str]) -> str:
        """See `Rule.breach`."""
        for use, meant in self._uses(program, function):
            return f"{self._told(meant)} {_where(use)}"
        for name in self.trapped:
            if name in reported:
                return f"{self._told(name)} It was called while your function ran."
        return ""

    def _told(self, name: str) -> str:
        what = f"{self.what} (here `{name}`)" if self.what else f"`{name}`"
        return f"The task forbids {what}: {self.why}."


@dataclass(frozen=True, kw_only=True)
class Required(_Named):
    """Names of which at least one must be used."""

    def breach(self, program: Program, function: str, reported: Collection[str]) -> str:
        """See `Rule.breach`."""
        if any(True for _ in self._uses(program, function)):
            return ""
        return f"The task requires {' or '.join(f'`{name}`' for name in self.names)}: {self.why}."


@dataclass(frozen=True, kw_only=True)
class NoLoops(Rule):
    """No `for`, no `while`, no comprehension, no `map`; a loop over values written out one by one is none."""

    def breach(self, program: Program, function: str, reported: Collection[str]) -> str:
        """See `Rule.breach`."""
        for use in program.reached(function):
            if _loops(use):
                return f"The task forbids Python loops: {self.why}. {_where(use)}"
        return ""


def _loops(use: Use) -> bool:
    match use.node:
        case ast.While():
            return True
        case ast.For(iter=values) | ast.AsyncFor(iter=values) | ast.comprehension(iter=values):
            return not isinstance(values, WRITTEN_OUT)
        case ast.Call(args=[*_, values]):  # map(torch.as_tensor, (queries, keys)) is none
            return not use.called.isdisjoint(LOOPING) and not isinstance(values, WRITTEN_OUT)
    return False


def _where(use: Use) -> str:
    number, text = use.piece.line(use.node)
    text = plain(text, 160).replace("`", "'")  # backticks set it as code
    return f"Line {number} of its cell uses it: `{text}`."


def _public(module: ModuleType) -> list[tuple[str, Any]]:
    """What a module offers: its `__all__`, or its own functions and classes without an underscore."""
    names = getattr(module, "__all__", None)
    if names is None:
        own = (f"{module.__name__}.", f"{module.__name__.rpartition('.')[0]}._")
        names = [
            name
            for name, thing in vars(module).items()
            if callable(thing)
            and not name.startswith("_")
            and (
                (inspect.isbuiltin(thing) and thing.__name__ == name)
                or f"{getattr(thing, '__module__', '')}.".startswith(own)
            )
        ]
    return [(name, getattr(module, name)) for name in names if hasattr(module, name)]
