"""What decides a verdict, as fingerprints: what has not changed since an earlier record is not asked again.

A question depends on those statements of the checks' modules and of the solution that its definition reaches
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

from autograder.assignment import HIDDEN, CellToRun, Paper, is_check, is_run
from autograder.course import CourseError
from autograder.handin import Attached
from autograder.shell.limits import Limits

ENGINE = Path(__file__).parent
CHECKS = "autograder.checks"
WHOLE = "*"  # all names of a module
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
    "weights.py",
    "shell/**/*.py",
)
SHOWING = ("checks/**/*.py", "checks/**/*.txt", "autograded.py", "report/*.py", "report/*.j2")
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
    paper: Paper,
    cells: list[CellToRun | None],
    seeds: Mapping[str, int],
    limits: Limits,
    files: Mapping[str, Attached],
) -> tuple[str, dict[str, str]]:
    """The fingerprint of the cells' run, and that of each question that is asked afterwards."""
    run = digest(cells, asdict(limits), seeds[""], engine_version())
    definitions = question_definitions(paper)
    asked = {}
    for question in paper.checks.values():
        about = question.artefact and files.get(question.artefact.name)
        made_from = [digest_of(path) for path in question.reads], about and about.digest
        asked[question.name] = digest(
            run, seeds[question.name], definitions[question.name], made_from
        )
    return run, asked


def digest_of(path: Path) -> str:
    """A hash of a file that checks read; empty where it is not there, which its question will tell."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


@lru_cache(maxsize=8)
def question_definitions(paper: Paper) -> dict[str, str]:
    """For each question a hash of its part of the checks' module and of the solution."""
    module = importlib.import_module(paper.module)
    checks = statements(text_of(paper.module), paper.module)
    transform = TransformerManager().transform_cell
    solution = [
        statement
        for cell in paper.solution.cells
        if is_run(cell) and not is_check(cell)
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


def text_of(module: str) -> str:
    """The source of a module of checks."""
    return Path(str(find_spec(module).origin)).read_text(encoding="utf-8")  # type: ignore[union-attr]


@dataclass(frozen=True)
class Statement:
    """One statement of a module: its text without comments, the names it binds, and all it mentions.

    `leads` tells which of these names come from another module of checks: module and name there.
    """

    text: str
    binds: frozenset[str]
    mentions: frozenset[str]
    leads: tuple[tuple[str, str, str], ...] = ()


def statements(source: str, module: str = CHECKS) -> list[Statement]:
    """The statements of a module. One that binds no name, or could do anything, has empty `binds`."""
    body = ast.parse(source).body
    imported = {name for node in body if isinstance(node, IMPORTS) for name in _imported(node)}
    return [
        Statement(
            ast.unparse(node),
            frozenset(_bound(node, imported)),
            frozenset(_names(node)),
            tuple(_leads(node, module)),
        )
        for node in body
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    ]


def reached(all_statements: list[Statement], root: str) -> list[str]:
    """The texts, in order, of the statements that `root` reaches by name, and of those that bind no name.

    What comes from another module of checks is followed there.
    """
    return _reached(all_statements, root, set())


def _reached(
    all_statements: list[Statement], root: str, followed: set[tuple[str, str]]
) -> list[str]:
    found = {s for s in all_statements if not s.binds or root == WHOLE}
    names = {root}.union(*(statement.mentions for statement in found))
    while more := {s for s in all_statements if s.binds & names} - found:
        found |= more
        names.update(*(statement.mentions for statement in more))
    texts = []
    for statement in all_statements:
        if statement not in found:
            continue
        texts.append(statement.text)
        for bound, *there in statement.leads:
            if (bound in names or WHOLE in (bound, root)) and tuple(there) not in followed:
                followed.add(tuple(there))
                module, name = there
                texts += _reached(statements(text_of(module), module), name, followed)
    return texts


def _leads(node: ast.stmt, module: str) -> Iterable[tuple[str, str, str]]:
    """The names that an import takes from modules of checks: name here, module, name there or WHOLE."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.name.startswith(CHECKS + "."):
                yield alias.asname or alias.name.partition(".")[0], alias.name, WHOLE
    elif isinstance(node, ast.ImportFrom):
        package = module if _is_package(module) else module.rpartition(".")[0]
        home = resolve_name("." * node.level + (node.module or ""), package)
        if f"{home}.".startswith(CHECKS + "."):
            for alias in node.names:
                inner = f"{home}.{alias.name}"
                if alias.name != WHOLE and _is_package(home) and find_spec(inner):
                    yield alias.asname or alias.name, inner, WHOLE
                else:
                    yield alias.asname or alias.name, home, alias.name


def _is_package(module: str) -> bool:
    return find_spec(module).submodule_search_locations is not None  # type: ignore[union-attr]


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
