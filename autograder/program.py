"""What a function of a hand-in reaches, and what the names in it stand for, read from the syntax tree.

Nothing is run. What a name stands for is a dotted path such as "torch.autograd.grad", found through imports,
aliases, attribute chains, `getattr` and the like; UNKNOWN stands for all that cannot be told by reading.
"""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, NamedTuple

from autograder.statements import Cell, Piece, Scope, Value, bound, changed, pieces, walk

UNKNOWN = "?"
DEPTH = 60  # of names that stand for names; further down it is unknown
TEXT = 1000  # the longest constant text that is put together
CHARACTERS = 500_000  # of a hand-in's code are read
PATHS = 50  # the most that one expression may stand for


@dataclass
class Global:
    """A name of the notebook: what it may stand for, and the statements that make it so."""

    values: list[Value] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)


class Use(NamedTuple):
    """A node of the code that a function reaches, with what it may stand for and, of a call, what is called."""

    paths: set[str]
    called: set[str]
    node: ast.AST
    piece: Piece


class Program:
    """The code cells of a hand-in, in the order in which they ran.

    What counts is the finished state: a later definition replaces an earlier one, except where it may
    not have run (below an `if`, in a cell that an error ended); then both count.
    """

    def __init__(self, cells: Iterable[Cell]) -> None:
        self.globals: dict[str, Global] = defaultdict(Global)
        self._stars: list[str] = []
        self._known: dict[tuple, Any] = {}
        left = CHARACTERS
        for cell in cells:
            left -= len(cell.source)
            if left < 0:
                break
            for piece, certain in pieces(cell):
                self._enter(piece, certain and cell.finished)

    def _enter(self, piece: Piece, certain: bool) -> None:
        for name, values in bound([piece.node]).items():
            if certain:
                self.globals[name] = Global()
            self.globals[name].values += values
            self.globals[name].pieces.append(piece)
        for name, value in changed(piece.node):
            self.globals[name].values.append(value)
            self.globals[name].pieces.append(piece)
        for node in ast.walk(piece.node):
            if isinstance(node, ast.ImportFrom) and node.names[0].name == "*" and node.module:
                self._stars.append(node.module)

    def reached(self, name: str) -> Iterator[Use]:
        """Every node of the code that the function `name` reaches by name, itself first."""
        todo, seen, names = [*self._pieces_of(name)], set(), {name}
        for piece in todo:  # grows below
            if piece.node in seen:
                continue
            seen.add(piece.node)
            for node, scope in walk(piece.node):
                if isinstance(node, ast.Name) and not (
                    node.id in names or _scope_of(node.id, scope)
                ):
                    names.add(node.id)
                    todo += self._pieces_of(node.id)
                called = self.paths(node.func, scope) if isinstance(node, ast.Call) else set()
                if called & {"exec", "eval"}:
                    todo += self._executed(node, scope, piece)
                yield Use(self.paths(node, scope), called, node, piece)

    def _pieces_of(self, name: str) -> list[Piece]:
        return self.globals[name].pieces if name in self.globals else []

    def _executed(self, call: ast.Call, scope: Scope | None, caller: Piece) -> list[Piece]:
        """The statements that a call of `exec` or `eval` runs from a constant text."""
        text = self.text(call.args[0], scope) if call.args else None
        here = caller.first + call.lineno - 1
        return [piece._replace(first=here) for piece, _ in pieces(Cell(text))] if text else []

    def paths(self, node: Value | ast.AST, scope: Scope | None, depth: int = DEPTH) -> set[str]:
        """The dotted paths that an expression may stand for; UNKNOWN is one of them."""
        if isinstance(node, str):
            return {node}
        if depth == 0 or not isinstance(node, ast.expr):
            return {UNKNOWN}
        key = ("paths", node, scope)
        if key not in self._known:  # each node once: names that stand for names could take for ever
            self._known[key] = {UNKNOWN}
            self._known[key] = set(sorted(self._paths(node, scope, depth - 1))[:PATHS])
        return self._known[key]

    def _paths(self, node: ast.expr, scope: Scope | None, depth: int) -> set[str]:
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                return self._named(name, scope, depth)
            case ast.Attribute(value=owner, attr=name, ctx=ast.Load()):
                return _joined(self.paths(owner, scope, depth), name)
            case ast.Subscript(value=owner, slice=key, ctx=ast.Load()):
                return self._item(owner, self.text(key, scope, depth), scope, depth)
            case ast.Call(func=function, args=arguments):
                return self._call(function, arguments, scope, depth)
            case ast.IfExp(body=one, orelse=other):
                return self.paths(one, scope, depth) | self.paths(other, scope, depth)
            case ast.NamedExpr(value=value):
                return self.paths(value, scope, depth)
        return {UNKNOWN}

    def _named(self, name: str, scope: Scope | None, depth: int) -> set[str]:
        values, home = self._values(name, scope)
        if values is not None:
            found = set().union(*(self.paths(value, home, depth) for value in values))
            return found or {UNKNOWN}
        stars = {f"{star}.{name}" for star in self._stars if located(f"{star}.{name}") is not None}
        return stars or {name}  # a builtin is its own path

    def _values(self, name: str, scope: Scope | None) -> tuple[list[Value] | None, Scope | None]:
        home = _scope_of(name, scope)
        if home:
            return home.bound[name], home
        return (self.globals[name].values, None) if name in self.globals else (None, None)

    def _item(self, owner: ast.expr, key: str | None, scope: Scope | None, depth: int) -> set[str]:
        if key is None:
            return {UNKNOWN}
        found = set()
        for path in self.paths(owner, scope, depth):
            if path == "sys.modules":
                found.add(key)
            elif path == "globals()":
                found |= self._named(key, None, depth)
            elif path.endswith(".__dict__"):
                found |= _joined({path.removesuffix(".__dict__")}, key)
        return found or {UNKNOWN}

    def _call(
        self, function: ast.expr, arguments: list[ast.expr], scope: Scope | None, depth: int
    ) -> set[str]:
        called = self.paths(function, scope, depth)
        if "globals" in called:
            return {"globals()"}
        first = self.text(arguments[0], scope, depth) if arguments else None
        if called & {"importlib.import_module", "__import__"} and first:
            return {first, first.split(".")[0]} if "__import__" in called else {first}
        if "operator.methodcaller" in called and first:
            return {f"{UNKNOWN}.{first}"}
        if "vars" in called and arguments:
            return _joined(self.paths(arguments[0], scope, depth), "__dict__")
        if "getattr" in called and len(arguments) >= 2:
            name = self.text(arguments[1], scope, depth)
            return _joined(self.paths(arguments[0], scope, depth), name) if name else {UNKNOWN}
        return {UNKNOWN}

    def text(self, node: Any, scope: Scope | None, depth: int = DEPTH) -> str | None:
        """The constant text of an expression, put together where it is written in parts; None if it is none."""
        if depth == 0 or not isinstance(node, ast.expr):
            return None
        key = ("text", node, scope)
        if key not in self._known:
            self._known[key] = None
            self._known[key] = self._text(node, scope, depth - 1)
        return self._known[key]

    def _text(self, node: ast.expr, scope: Scope | None, depth: int) -> str | None:
        parts: list[Any]
        between = ""
        match node:
            case ast.Constant(value=str(text)):
                return text[:TEXT]
            case ast.Name(id=name):
                values, scope = self._values(name, scope)
                parts = values if values and len(values) == 1 else [None]
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                parts = [left, right]
            case ast.JoinedStr(values=parts):
                pass
            case ast.FormattedValue(value=value, format_spec=None):
                parts = [value]
            case ast.Call(
                func=ast.Attribute(value=ast.Constant(value=str(between)), attr="join"),
                args=[ast.List(elts=parts) | ast.Tuple(elts=parts)],
            ):
                pass
            case _:
                return None
        texts = [self.text(part, scope, depth) for part in parts[:TEXT]]
        return None if None in texts else between.join(map(str, texts))[:TEXT]


def _joined(paths: set[str], name: str) -> set[str]:
    return {f"{path}.{name}" for path in paths if len(path) < TEXT}


def _scope_of(name: str, scope: Scope | None) -> Scope | None:
    """The scope inside a statement that binds the name; None where it is a name of the notebook."""
    start = scope
    while scope:
        if name in scope.bound and (scope is start or not scope.is_class):
            return scope
        scope = scope.parent
    return None


def located(path: str) -> Any:
    """The object at a dotted path of this process's modules, None where there is none. Nothing is imported or run."""
    parts = path.split(".")
    found: Any = None
    for end, part in enumerate(parts, 1):
        owners = type.mro(found) if isinstance(found, type) else [found]
        known = (vars(owner) for owner in owners if isinstance(owner, type | ModuleType))
        found = next((names[part] for names in known if part in names), None)
        found = sys.modules.get(".".join(parts[:end]), found)
        if found is None:
            return None
    return found
