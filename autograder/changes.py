"""What decides a verdict, as fingerprints: what has not changed since an earlier record is not asked again.

A question depends on those statements of its checks' module and of the solution that its definition reaches
by name, on the hand-in's cells, the seeds, the limits and the grader itself; on nothing else.
"""

import ast
import hashlib
import importlib
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache, lru_cache
from importlib.metadata import version
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Any

from IPython.core.inputtransformer2 import TransformerManager

from autograder.assignment import HIDDEN, CellToRun, Paper, is_check
from autograder.course import CourseError
from autograder.shell.limits import Limits

ENGINE = Path(__file__).parent
CHECKS = "autograder.checks"
DECIDING = (
    "assignment.py",
    "changes.py",
    "grading.py",
    "judge.py",
    "program.py",
    "question.py",
    "record.py",
    "rules.py",
    "statements.py",
    "verdict.py",
    "shell/**/*.py",
)
SHOWING = ("checks/**/*.py", "autograded.py", "report/*.py", "report/*.j2")
LIBRARIES = ("numpy", "torch")
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
IMPORTS = (ast.Import, ast.ImportFrom)
ASSIGNMENTS = (ast.Assign, ast.AnnAssign, ast.AugAssign)


def digest(*parts: Any) -> str:
    """One hash of all the parts, which are anything that JSON can hold."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@cache
def engine_version() -> str:
    """A hash of the grader's own code that decides verdicts, of Python and of the libraries it stands on."""
    files = sorted(path for pattern in DECIDING for path in ENGINE.glob(pattern))
    code = [path.read_text(encoding="utf-8") for path in files]
    return digest(code, sys.version, [version(library) for library in LIBRARIES])


def whole_version(paper: Paper) -> str:
    """A hash of all that a graded hand-in could depend on, its looks included; nothing is imported for it."""
    files = sorted(path for pattern in SHOWING for path in ENGINE.glob(pattern))
    code = [path.read_text(encoding="utf-8") for path in files]
    return digest(engine_version(), code, paper.source, paper.release)


def fingerprints(
    paper: Paper, cells: list[CellToRun | None], seeds: Mapping[str, int], limits: Limits
) -> tuple[str, dict[str, str]]:
    """The fingerprint of the cells' run, and that of each question that is asked afterwards."""
    run = digest(cells, asdict(limits), seeds[""], engine_version())
    definitions = question_definitions(paper)
    asked = {
        question.name: digest(run, seeds[question.name], definitions[question.name])
        for question in paper.checks.values()
    }
    return run, asked


@lru_cache(maxsize=8)
def question_definitions(paper: Paper) -> dict[str, str]:
    """For each question a hash of its part of the checks' module and of the solution."""
    module = importlib.import_module(paper.module)
    checks = statements(Path(str(module.__file__)).read_text(encoding="utf-8"))
    transform = TransformerManager().transform_cell
    solution = [
        statement
        for cell in paper.solution.cells
        if cell.cell_type == "code" and not is_check(cell)
        for statement in statements(transform(HIDDEN.sub("", cell.source)))
    ]
    variables = {id(value): name for name, value in vars(module).items()}
    for name, question in paper.questions.items():
        if id(question) not in variables:
            raise CourseError(f"Question {name} of {module.__name__} needs a name in its module.")
    return {
        name: digest(reached(checks, variables[id(question)]), reached(solution, name))
        for name, question in paper.questions.items()
    }


@dataclass(frozen=True)
class Statement:
    """One statement of a module: its text without comments, the names it binds, and all it mentions."""

    text: str
    binds: frozenset[str]
    mentions: frozenset[str]


def statements(source: str) -> list[Statement]:
    """The statements of a module. One that binds no name, or could do anything, has empty `binds`."""
    body = ast.parse(source).body
    imported = {name for node in body if isinstance(node, IMPORTS) for name in _imported(node)}
    return [
        Statement(_text(node), frozenset(_bound(node, imported)), frozenset(_names(node)))
        for node in body
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    ]


def reached(all_statements: list[Statement], root: str) -> list[str]:
    """The texts, in order, of the statements that `root` reaches by name, and of those that bind no name."""
    found = {statement for statement in all_statements if not statement.binds}
    names = {root}.union(*(statement.mentions for statement in found))
    while True:
        more = {s for s in all_statements if s.binds & names} - found
        if not more:
            return [statement.text for statement in all_statements if statement in found]
        found |= more
        names.update(*(statement.mentions for statement in more))


def _bound(node: ast.stmt, imported: set[str]) -> Iterable[str]:
    if isinstance(node, DEFINITIONS):
        # A decorated definition may enter itself into what decorates it, as a misconception does.
        decorators = {name for part in node.decorator_list for name in _names(part)}
        return {node.name} | (decorators - imported)
    if isinstance(node, IMPORTS):
        return _imported(node) - {"*"}
    if isinstance(node, ASSIGNMENTS):
        return _names(node, ast.Store)
    return ()


def _imported(node: ast.Import | ast.ImportFrom) -> set[str]:
    return {alias.asname or alias.name.partition(".")[0] for alias in node.names}


def _names(node: ast.AST, context: type = ast.expr_context) -> set[str]:
    return {
        part.id
        for part in ast.walk(node)
        if isinstance(part, ast.Name) and isinstance(part.ctx, context)
    }


def _text(node: ast.stmt) -> str:
    """The statement's text; of an import from another module of checks, that module's text too."""
    text = ast.unparse(node)
    if isinstance(node, ast.ImportFrom):
        name = resolve_name("." * node.level + (node.module or ""), CHECKS)
        if name.startswith(CHECKS + "."):
            text += Path(str(find_spec(name).origin)).read_text(encoding="utf-8")  # type: ignore[union-attr]
    return text
