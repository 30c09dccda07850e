"""Code cells as simple statements, and the names that statements bind: what is read off the syntax alone."""

import ast
import copy
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from IPython.core.inputtransformer2 import TransformerManager

# Cell magics that run their body in the notebook's namespace.
RUN_MAGICS = ("time", "capture", "prun")
CELL_CHARACTERS = 60_000

Functions = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
Value = ast.expr | str | None  # an expression, a dotted path, or something that cannot be told


@dataclass(frozen=True)
class Cell:
    """A code cell that ran. `finished` is False where an error ended it: then its last lines may not have run."""

    source: str
    finished: bool = True


class Piece(NamedTuple):
    """A simple statement of a cell; `lines` are the cell's, `first` the number of the first one."""

    node: ast.stmt
    lines: list[str]
    first: int

    def line(self, node: ast.AST) -> tuple[int, str]:
        """The number and the text of the line at which a node of this statement begins."""
        number = getattr(node, "lineno", self.node.lineno)
        text = self.lines[number - 1] if number <= len(self.lines) else ""
        return self.first + number - 1, text.strip()


@dataclass(eq=False)
class Scope:
    """The names that a function, class or comprehension binds, each with what it may stand for."""

    bound: dict[str, list[Value]]
    parent: "Scope | None"
    is_class: bool = False


@lru_cache(maxsize=64)  # most cells are those of the release, the same for a whole class
def pieces(cell: Cell) -> tuple[tuple[Piece, bool], ...]:
    """The simple statements of a cell, and whether each is certain to run once those before it have.

    A cell that does not parse has none: it did not run either. One that is longer than anyone writes has
    none, because its tree could fill the grader's memory.
    """
    if len(cell.source) > CELL_CHARACTERS:
        return ()
    try:
        return tuple(parsed(cell.source, 1))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()


def parsed(source: str, first: int, depth: int = 3) -> Iterator[tuple[Piece, bool]]:
    """The simple statements of a text whose first line has the number `first`. Raises what parsing raises."""
    try:
        text, tree = source, ast.parse(source)
    except SyntaxError:  # magics, as a rule
        first += len(source) - len(source.lstrip("\n"))  # blank lines at the top are taken away
        text = TransformerManager().transform_cell(source)
        tree = ast.parse(text)
    lines = text.splitlines()
    for node, certain in _simple(tree.body, True):
        inner, is_magic = _embedded(node)
        if inner is None or not depth:
            yield Piece(node, lines, first), certain
        else:  # the text is in one line; the body of a cell magic begins one line below it
            start = first + node.lineno - 1 + is_magic
            for piece, sure in parsed(inner, start, depth - 1):
                yield piece, sure and certain and is_magic


def _simple(statements: list[ast.stmt], certain: bool) -> Iterator[tuple[ast.stmt, bool]]:
    """Statements with the compound ones taken apart: their heads, then what is below them."""
    for node in statements:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node, certain
            continue
        head, below = copy.copy(node), []
        for part in ("body", "handlers", "cases", "orelse", "finalbody"):
            for child in getattr(node, part, []):
                below += [child] if isinstance(child, ast.stmt) else child.body
            if hasattr(node, part):
                setattr(head, part, [])
        yield head, certain and not below
        yield from _simple(below, False)


def _embedded(node: ast.stmt) -> tuple[str | None, bool]:
    """The code that a statement runs from a constant text, and whether it is the body of a cell magic."""
    match node:
        case ast.Expr(
            value=ast.Call(func=ast.Attribute(attr="run_cell_magic"), args=[magic, _, body])
        ):
            run = isinstance(magic, ast.Constant) and magic.value in RUN_MAGICS
            return (body.value if run and isinstance(body, ast.Constant) else None), run
        case ast.Expr(
            value=ast.Call(
                func=ast.Name(id="exec") | ast.Attribute(attr="run_cell" | "ex"),
                args=[ast.Constant(value=str(text)), *_],
            )
        ):
            return text, False
    return None, False


def bound(statements: Iterable[ast.AST]) -> dict[str, list[Value]]:
    """The names that statements bind in their own scope, each with what it may stand for."""
    found: dict[str, list[Value]] = defaultdict(list)
    elsewhere: set[str] = set()
    todo = list(statements)
    while todo:
        node = todo.pop()
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    _bind(target, value, found)
            case (
                ast.AnnAssign(target=target, value=value)
                | ast.NamedExpr(target=target, value=value)
            ):
                _bind(target, value, found)
            case ast.AugAssign(target=target):
                _bind(target, None, found)
            case ast.For(target=target, iter=values) | ast.AsyncFor(target=target, iter=values):
                for value in values.elts if isinstance(values, ast.Tuple | ast.List) else [None]:
                    _bind(target, value, found)
            case ast.withitem(optional_vars=ast.expr() as target):
                _bind(target, None, found)
            case ast.Import(names=names):
                for alias in names:
                    top = alias.name.split(".")[0]
                    found[alias.asname or top].append(alias.name if alias.asname else top)
            case ast.ImportFrom(module=module, names=names, level=level):
                for alias in names:
                    path = f"{module}.{alias.name}" if module and not level else None
                    found[alias.asname or alias.name].append(path)
            case (
                ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
                | ast.ClassDef(name=name)
            ):
                found[name].append(None)
                continue  # what is inside binds in a scope of its own
            case ast.Lambda():
                continue
            case (
                ast.ExceptHandler(name=str(name))
                | ast.MatchAs(name=str(name))
                | ast.MatchStar(name=str(name))
            ):
                found[name].append(None)
            case ast.MatchMapping(rest=str(name)):
                found[name].append(None)
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                elsewhere |= set(names)
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                todo += [n for n in ast.walk(node) if isinstance(n, ast.NamedExpr)]
                continue
        todo += ast.iter_child_nodes(node)
    return {name: values for name, values in found.items() if name not in elsewhere}


def _bind(target: ast.expr, value: ast.expr | None, found: dict[str, list[Value]]) -> None:
    pairs = [(target, value)]
    for target, value in pairs:  # grows below
        if isinstance(target, ast.Name):
            found[target.id].append(value)
        elif isinstance(target, ast.Starred):
            pairs.append((target.value, None))
        elif isinstance(target, ast.Tuple | ast.List):
            values = value.elts if isinstance(value, ast.Tuple | ast.List) else []
            plain = len(values) == len(target.elts) and not any(
                isinstance(part, ast.Starred) for part in (*target.elts, *values)
            )
            pairs += zip(target.elts, values if plain else [None] * len(target.elts), strict=True)


def changed(node: ast.stmt) -> Iterator[tuple[str, Value]]:
    """The names of the notebook that a statement changes without binding them, as `Module.forward = …` does."""
    targets = [*getattr(node, "targets", []), getattr(node, "target", None)]
    match node:
        case ast.Expr(value=ast.Call(func=ast.Name(id="setattr"), args=[target, *_])):
            targets.append(target)
        case ast.Assign(
            targets=[
                ast.Subscript(
                    value=ast.Call(func=ast.Name(id="globals")), slice=ast.Constant(value=str(name))
                )
            ],
            value=value,
        ):
            yield name, value
    for target in targets:
        inside = isinstance(target, ast.Attribute | ast.Subscript)
        root = target
        while isinstance(root, ast.Attribute | ast.Subscript):
            root = root.value
        is_setattr = isinstance(node, ast.Expr)
        if isinstance(root, ast.Name) and (inside or is_setattr):
            yield root.id, None
    for child in ast.walk(node):
        if isinstance(child, ast.Global):
            yield from ((name, None) for name in child.names)


def walk(node: ast.AST) -> Iterator[tuple[ast.AST, Scope | None]]:
    """Every node below a statement with the scope that its names are looked up in."""
    todo: list[tuple[ast.AST, Scope | None]] = [(node, None)]
    while todo:
        node, scope = todo.pop()
        yield node, scope
        inner: list[ast.AST] = []
        if isinstance(node, Functions):
            body = [node.body] if isinstance(node, ast.Lambda) else node.body
            inner = list(body)
            inside = Scope(_parameters(node.args) | bound(body), scope)
        elif isinstance(node, ast.ClassDef):
            inner = list(node.body)
            inside = Scope(bound(node.body), scope, is_class=True)
        elif isinstance(node, Comprehension):
            inner = list(ast.iter_child_nodes(node))
            loops = [ast.For(g.target, g.iter, [], []) for g in node.generators]
            inside = Scope(bound(loops), scope)
        entered = set(map(id, inner))
        outer = [child for child in ast.iter_child_nodes(node) if id(child) not in entered]
        # Popped from the end: in the order of the text.
        todo += [(child, inside) for child in reversed(inner)]
        todo += [(child, scope) for child in reversed(outer)]


def _parameters(arguments: ast.arguments) -> dict[str, list[Value]]:
    positional = [*arguments.posonlyargs, *arguments.args]
    every = [*positional, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    found: dict[str, list[Value]] = {one.arg: [None] for one in every if one}
    defaults = zip(reversed(positional), reversed(arguments.defaults), strict=False)
    for one, default in (*defaults, *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)):
        if default is not None:
            found[one.arg].append(default)
    return found
