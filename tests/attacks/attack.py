"""What an attack is, and the list of all of them.

The body of a decorated function is handed in as text: it runs as a cell of the notebook, and again when
the grader calls the attacked question. It may use the names of `prelude` and what it imports itself.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nbformat import NotebookNode

Mangle = Callable[[NotebookNode], Any]


@dataclass(frozen=True)
class Attack:
    """One hostile hand-in.

    `name` is also the student's; `tries` says in one sentence what it is after. `cells` are run first and
    `answers` are the programs handed in by question (others are right). `mangle` works on the finished
    notebook and gives what is written: a notebook, text or bytes. `place` writes the hand-in itself.
    `spared` questions must be at full marks all the same; `refused` hand-ins must be listed with a reason.
    `folder` is the folder's name where it is not `name`.
    """

    name: str
    tries: str
    cells: tuple[str, ...] = ()
    answers: tuple[tuple[str, str], ...] = ()
    mangle: Mangle | None = None
    place: Callable[..., None] | None = None
    spared: tuple[str, ...] = ()
    refused: bool = False
    folder: str = ""

    @property
    def student(self) -> str:
        """Whose hand-in it is."""
        return self.folder or self.name


ATTACKS: dict[str, Attack] = {}


def register(attack: Attack) -> None:
    """Add an attack to the suite."""
    assert attack.name not in ATTACKS, attack.name
    ATTACKS[attack.name] = attack


def text_of(function: Callable[..., Any]) -> str:
    """The text of a function without its decorators."""
    text = textwrap.dedent(inspect.getsource(function))
    node = ast.parse(text).body[0]
    assert isinstance(node, ast.FunctionDef)
    return "\n".join(text.splitlines()[node.lineno - 1 :])


def attack(
    tries: str, when: str = "cell and call", spares: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: the function below is an attack, made `when` a cell runs and when `target` is called.

    What it returns is printed by the cell and returned by the call. One that `spares` the other questions
    must leave them at full marks.
    """
    assert when in ("cell", "call", "cell and call")

    def take(function: Callable[..., Any]) -> Callable[..., Any]:
        name, text = function.__name__, text_of(function)
        cells = (text, f"print({name}())") if "cell" in when else (text,)
        answer = (
            f"def target(x):\n    return {name}()"
            if "call" in when
            else "def target(x):\n    return x"
        )
        spared = ("plain", "tensor") if spares else ()
        register(Attack(name.replace("_", "-"), tries, cells, (("target", answer),), spared=spared))
        return function

    return take


def returned(
    tries: str, question: str = "target"
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: the function below answers `question` with a poisoned value."""

    def take(function: Callable[..., Any]) -> Callable[..., Any]:
        text = f"{text_of(function)}\n\n{question} = {function.__name__}\n"
        others = tuple(name for name in ("plain", "tensor") if name != question)
        name = "returns-" + function.__name__.replace("_", "-")
        register(Attack(name, tries, (), ((question, text),), spared=others))
        return function

    return take


def mangled(tries: str, refused: bool = False) -> Callable[[Mangle], Mangle]:
    """Decorator: the function below changes a notebook with a wrong answer into what is handed in."""

    def take(function: Mangle) -> Mangle:
        register(
            Attack(function.__name__.replace("_", "-"), tries, mangle=function, refused=refused)
        )
        return function

    return take


def placed(
    tries: str, name: str = "", folder: str = ""
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorator: the function below writes the hand-in as files, given the stage and the notebook's text."""

    def take(function: Callable[..., None]) -> Callable[..., None]:
        own = name or function.__name__.replace("_", "-")
        register(Attack(own, tries, place=function, folder=folder))
        return function

    return take
