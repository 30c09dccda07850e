"""02-scores: right answers get all points, wrong ones lose some, and known mistakes are named.

Everything runs in this process through the grader's own driver, so nothing here starts a sandbox.
"""

import ast
import itertools
import resource
import shutil
import traceback
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import torch

from autograder.assignment import HIDDEN, Assignment, Reference, grade_id, replies
from autograder.checks.scores import QUESTIONS
from autograder.course import Course, CourseError
from autograder.judge import differs
from autograder.program import Program
from autograder.question import Case, Reply
from autograder.shell.inside import driver
from autograder.shell.session import decode_reply
from autograder.statements import Cell
from autograder.verdict import Verdict, decide

ROOT = Path(__file__).parents[2]
BANK = ROOT / "tests/bank/02-scores"
SEEDS = (0, 1, 2)
ALL = {question.name: question for question in QUESTIONS}
MISTAKES = [(q.name, wrong.name) for q in QUESTIONS for wrong in q.misconceptions]
MEMORY = 6_000_000_000  # as a student's process has a bound: a forbidden matrix must not fill the machine


# One wrong program overflows, and that is its mistake.
pytestmark = pytest.mark.filterwarnings("ignore:(overflow|invalid value):RuntimeWarning")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the grader; many tiny calls on many threads mostly wait
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True, scope="module")
def bounded_memory() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def assignment(root: Path = ROOT) -> Assignment:
    return Assignment(Course(root, root), "02-scores")


@cache
def reference() -> Reference:
    return Reference(assignment())


@cache
def drawn(name: str, seed: int) -> tuple[list[Case], list[Reply]]:
    cases = ALL[name].draw(seed)
    return cases, reference().replies(ALL[name], cases)


def program(path: Path) -> dict[str, Any]:
    """The functions and classes of a file of the bank, its imports included."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(path.read_text(), path.name, "exec"), namespace)
    return namespace


def misconception(name: str, mistake: str) -> dict[str, Any]:
    """A misconception as a student would hand it in: its text, under the question's name."""
    namespace: dict[str, Any] = {"np": np, "torch": torch}
    [found] = [wrong for wrong in ALL[name].misconceptions if wrong.name == mistake]
    exec(found.source(name), namespace)
    return namespace


def verdict(namespace: dict[str, Any], name: str, seed: int, source: str = "") -> Verdict:
    """The verdict on a namespace, asked as a student's process is; `source` is read for the rules."""
    cases, expected = drawn(name, seed)
    got = [decode_reply(driver.call(namespace, ask)) for ask in ALL[name].requests(cases)]
    return decide(ALL[name], cases, expected, got, Program([Cell(source)]))


def flat(case: Case) -> list[np.ndarray]:
    """All arrays among a case's arguments, those of a stream one by one."""
    values = case.arguments.values()
    return [a for value in values for a in (value if isinstance(value, list) else [value])]


def lost(result: Verdict) -> str:
    return "; ".join(
        f"{row.title} [{row.case}]: {row.sentence} {row.got}"
        for row in result.aspects
        if not row.earned
    )


def same(one: Reply, other: Reply) -> bool:
    if "value" not in one or "value" not in other:
        return ("value" in one) == ("value" in other)
    return not differs(one["value"], other["value"], "")


# --- the solution and the cells --------------------------------------------------------------------


def test_markers_points_and_questions_agree() -> None:
    checks = assignment().checks  # raises where a cell's points are not those of its question
    assert set(checks) == {f"test_{name}" for name in ALL}
    cells = assignment().solution.cells
    assert set(ALL) < {grade_id(cell) for cell in cells}
    assert sum(cell.metadata["nbgrader"].get("points", 0) for cell in cells) == 30


@pytest.mark.parametrize("name", ALL)
def test_the_solution_answers_every_case(name: str) -> None:
    for seed in SEEDS:
        cases, expected = drawn(name, seed)
        failed = {
            case.name: reply["error"]
            for case, reply in zip(cases, expected, strict=True)
            if "error" in reply
        }
        assert not failed
        assert decide(ALL[name], cases, expected, expected).score == ALL[name].points


@pytest.mark.parametrize("name", ALL)
def test_aspects_name_cases_that_exist_and_every_case_counts(name: str) -> None:
    question = ALL[name]
    cases = [case.name for case in question.draw(0)]
    assert len(set(cases)) == len(cases)
    used = set(itertools.chain(*(aspect.cases or cases for aspect in question.aspects)))
    assert used == set(cases)


@pytest.mark.parametrize("name", ALL)
def test_seeds_draw_other_numbers_in_the_same_shapes(name: str) -> None:
    for one, other in zip(*(ALL[name].draw(seed) for seed in (0, 1)), strict=True):
        first, second = (np.concatenate([np.ravel(a) for a in flat(case)]) for case in (one, other))
        assert [a.shape for a in flat(one)] == [a.shape for a in flat(other)]
        assert not np.array_equal(first, second), one.name


# --- right answers ---------------------------------------------------------------------------------

STYLES = sorted((BANK / "right").glob("*.py"))


@pytest.mark.parametrize("path", STYLES, ids=lambda path: path.stem)
def test_right_answers_in_any_style_get_all_points(path: Path) -> None:
    namespace = program(path)
    for name, seed in itertools.product(ALL, SEEDS):
        result = verdict(namespace, name, seed, path.read_text())
        told = f"{name}, seed {seed}: {result.broken} {lost(result)}"
        assert result.score == ALL[name].points, told


def test_there_are_styles_enough() -> None:
    assert len(STYLES) >= 5


# --- misconceptions --------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "mistake"), MISTAKES)
def test_a_misconception_loses_points_and_is_named(name: str, mistake: str) -> None:
    namespace = misconception(name, mistake)
    for seed in SEEDS:
        result = verdict(namespace, name, seed)
        assert result.score < result.points
        assert result.misconception == mistake
        assert result.advice


@pytest.mark.parametrize(("name", "mistake"), MISTAKES)
def test_a_misconception_shows_on_every_case(name: str, mistake: str) -> None:
    namespace = misconception(name, mistake)
    for seed in SEEDS:
        cases, expected = drawn(name, seed)
        got = replies(namespace, ALL[name], cases)
        agreeing = [
            c.name for c, want, have in zip(cases, expected, got, strict=True) if same(want, have)
        ]
        assert not agreeing
        assert any("value" in reply for reply in got), (
            "a misconception that never runs cannot be told from a typo"
        )


@pytest.mark.parametrize("name", ALL)
def test_misconceptions_are_told_apart(name: str) -> None:
    question = ALL[name]
    assert len(question.misconceptions) >= 4
    for seed in SEEDS:
        cases, _ = drawn(name, seed)
        got = {
            m.name: replies(misconception(name, m.name), question, cases)
            for m in question.misconceptions
        }
        for one, other in itertools.combinations(got, 2):
            assert not all(map(same, got[one], got[other])), (
                f"{one} and {other} cannot be told apart"
            )


# --- other wrong programs --------------------------------------------------------------------------

WRONG = [
    (path.stem, node.name)
    for path in sorted((BANK / "wrong").glob("*.py"))
    for node in ast.parse(path.read_text()).body
    if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in ALL
]


@pytest.mark.parametrize(("file", "name"), WRONG)
def test_no_wrong_program_gets_all_points(file: str, name: str) -> None:
    namespace = program(BANK / "wrong" / f"{file}.py")
    for seed in SEEDS:
        result = verdict(namespace, name, seed)
        assert result.score < result.points
        if file == "two_mistakes":
            assert not result.misconception, (
                "a misconception was named that is only half of the truth"
            )


DISGUISES = sorted((BANK / "wrong").glob("differentiated*.py"))


@pytest.mark.parametrize("path", DISGUISES, ids=lambda path: path.stem)
def test_automatic_differentiation_breaks_a_rule_and_is_no_wrong_answer(path: Path) -> None:
    for seed in SEEDS:
        result = verdict(program(path), "scaled_dot_backward", seed, path.read_text())
        assert result.score == 0
        assert not any(row.case for row in result.aspects), "the values are right"
        assert not result.misconception
        [sentence] = result.broken
        assert sentence.startswith("The task forbids automatic differentiation (here `")


def test_the_disguises_are_read_and_the_one_that_cannot_be_is_trapped() -> None:
    """Each of the two ways of finding out is seen to work alone."""
    cases, expected = drawn("scaled_dot_backward", 0)
    question = ALL["scaled_dot_backward"]
    for path in DISGUISES:
        silent = decide(question, cases, expected, expected, Program([Cell(path.read_text())]))
        trapped = verdict(program(path), question.name, 0)
        in_hiding = path.stem == "differentiated_in_hiding"
        assert bool(silent.broken) is not in_hiding
        assert "was called while" in trapped.broken[0]


@pytest.mark.parametrize("file", ["whole_stream", "whole_stream_first"])
def test_a_stream_that_is_kept_costs_that_and_nothing_else(file: str) -> None:
    result = verdict(program(BANK / f"wrong/{file}.py"), "running_best_key", 0)
    [row] = [row for row in result.aspects if not row.earned]
    assert row.title == "one block at a time"
    assert "scores of the whole stream" in row.sentence


def test_what_was_not_computed_earns_nothing() -> None:
    def failed(name: str) -> dict[str, str]:
        result = verdict(program(BANK / "wrong/handed_back.py"), name, 0)
        return {row.title: row.sentence for row in result.aspects if not row.earned}

    assert "the argument queries" in failed("scaled_dot_backward")["shapes"]
    assert "not of the expected kind" in failed("scaled_dot_scores")["shape (..., n, m)"]
    assert "index of the best key in the whole stream" in failed("running_best_key")
    weights = failed("AdditiveEnergy")
    assert "one row of weights per query" not in weights
    assert weights["each row sums to 1 over the keys"] == "Some weights are negative."


def test_partial_credit_is_given_for_what_is_right() -> None:
    def score(file: str, name: str) -> float:
        return verdict(program(BANK / "wrong" / f"{file}.py"), name, 0).score

    assert score("full_matrix", "low_rank_bilinear_scores") == 2.5
    assert score("in_place", "scaled_dot_scores") == 2.5
    assert score("widened", "additive_scores") == 3.5
    assert score("overflows", "additive_scores") == 3.5
    assert score("shared_keys_not_summed", "scaled_dot_backward") == 3.5
    assert score("no_gradient", "location_features") == 3
    half = verdict(program(BANK / "wrong/half_gradient.py"), "location_features", 0)
    assert [row.sentence for row in half.aspects if not row.earned] == [
        "No gradient reaches filters: the result does not depend on it."
    ]
    stream = verdict(misconception("running_best_key", "last_one_wins"), "running_best_key", 0)
    assert (
        next(row.title for row in stream.aspects if not row.earned)
        == "the first of equal keys wins"
    )


# --- the checks themselves notice a broken solution --------------------------------------------------


def test_a_solution_without_the_scaling_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "solutions/02-scores"
    shutil.copytree(ROOT / "solutions/02-scores", folder, ignore=shutil.ignore_patterns("*.ipynb"))
    source = folder / "scores.md"
    scaling = " / math.sqrt(queries.shape[-1])"
    assert source.read_text().count(scaling) == 1
    source.write_text(source.read_text().replace(scaling, ""))
    with pytest.raises(CourseError, match="where is the scaling"):  # its own visible check
        Reference(assignment(tmp_path))

    name = "scaled_dot_scores"
    cases = ALL[name].draw(0)
    broken = replies(solution_functions(assignment(tmp_path)), ALL[name], cases)
    for path in STYLES:
        assert (
            decide(ALL[name], cases, broken, replies(program(path), ALL[name], cases)).score
            < ALL[name].points
        )
    namespace = misconception(name, "scaling_forgotten")
    assert (
        decide(ALL[name], cases, broken, replies(namespace, ALL[name], cases)).score
        == ALL[name].points
    )


def solution_functions(source: Assignment) -> dict[str, Any]:
    """The notebook's set-up and solutions without its tests."""
    namespace: dict[str, Any] = {}
    for cell in source.solution.cells:
        if cell.cell_type == "code" and not cell.metadata["nbgrader"]["grade"]:
            exec(cell.source, namespace)
    return namespace


# --- visible checks --------------------------------------------------------------------------------


def visible(name: str) -> nbformat.NotebookNode:
    [cell] = [cell for cell in assignment().solution.cells if grade_id(cell) == f"test_{name}"]
    return cell


def run_visible(name: str, namespace: dict[str, Any]) -> AssertionError | None:
    """Run a question's visible checks on a program; the assertion that failed, if one did."""
    scope = solution_functions_cached() | {name: namespace[name], "rng": np.random.default_rng(0)}
    try:
        exec(compile(HIDDEN.sub("", visible(name).source), name, "exec"), scope)
    except AssertionError as error:
        return error
    return None


@cache
def solution_functions_cached() -> dict[str, Any]:
    return solution_functions(assignment())


@pytest.mark.parametrize("name", ALL)
def test_visible_checks_are_silent_for_right_answers(name: str) -> None:
    assert run_visible(name, solution_functions_cached()) is None
    for path in STYLES:
        assert run_visible(name, program(path)) is None, path.stem


@pytest.mark.parametrize("name", ALL)
def test_visible_checks_alone_do_not_grade(name: str) -> None:
    namespace = program(BANK / "wrong/for_the_visible_checks.py")
    assert run_visible(name, namespace) is None
    assert verdict(namespace, name, 0).score < ALL[name].points / 2


OBVIOUS = {
    "scaling_forgotten": "where is the scaling",
    "divided_by_width": "divided by the width",
    "axes_swapped": "one row per query",
    "sums_before_product": "summed before multiplying",
    "axes_swapped_low_rank": "one row per query",
    "scaled_by_habit": "no scaling",
    "tanh_forgotten": "where is the tanh",
    "relu_for_tanh": "ReLU",
    "bias_forgotten": "where is b",
    "axes_swapped_additive": "one row per query",
    "filters_flipped": "filter flipped",
    "channels_in_the_middle": "channels come last",
    "circular_padding": "there are zeros",
    "scaling_forgotten_backward": "scaling is missing",
    "scaled_only_once": "scaling is missing",
    "results_exchanged": "exchanged",
    "upstream_ignored": "twice the upstream",
    "index_within_block": "number 3 of the stream",
    "best_of_last_block": "first block forgotten",
    "started_at_zero": "best score start",
    "scaling_forgotten_stream": "scaling is missing",
    "ReluLeft": "ReLU still there",
    "SoftmaxOverBatch": "over which axis",
    "SoftmaxOverQueries": "over which axis",
    "SoftmaxForgotten": "is there one",
    "FirstQueryForAll": "does each take part",
}


@pytest.mark.parametrize(("name", "mistake"), [pair for pair in MISTAKES if pair[1] in OBVIOUS])
def test_visible_checks_name_the_obvious_mistake(name: str, mistake: str) -> None:
    error = run_visible(name, misconception(name, mistake))
    assert error is not None
    assert OBVIOUS[mistake] in str(error)
    assert "\n" not in str(error)


def transposed(pair: tuple[Any, Any]) -> tuple[Any, Any]:
    return tuple(part.swapaxes(-1, -2) for part in pair)


def stumbles(name: str) -> list[Any]:
    """Slips that no misconception and no file of the bank makes, for the visible checks left over."""
    solutions = solution_functions_cached()
    right, energy = solutions[name], solutions["AdditiveEnergy"]

    class NoReturn(energy):
        def forward(self, queries, keys):
            super().forward(queries, keys)

    class Averaged(energy):
        def forward(self, queries, keys):
            return super().forward(queries, keys).mean(dim=1)

    class ColumnVector(energy):
        def __init__(self, *sizes):
            super().__init__(*sizes)
            self.w = torch.nn.Parameter(self.w.detach()[:, None])

    return {
        "scaled_dot_scores": [lambda q, k: np.full((2, q.shape[-2], k.shape[-2]), 2.0)],
        "low_rank_bilinear_scores": [],
        "additive_scores": [lambda *arguments: right(*arguments) / 2],
        "location_features": [lambda *arguments: right(*arguments).detach().numpy()],
        "scaled_dot_backward": [
            lambda *arguments: transposed(right(*arguments)),
            lambda *arguments: (right(*arguments)[0], transposed(right(*arguments))[1]),
        ],
        "running_best_key": [lambda *arguments: tuple(part[:1] for part in right(*arguments))],
        "AdditiveEnergy": [NoReturn, Averaged, ColumnVector],
    }[name]


def failing_line(name: str, namespace: dict[str, Any]) -> int | None:
    try:
        error = run_visible(name, namespace)
    except Exception:
        return None  # it stops with an error of its own, which is as visible
    if error is None:
        return None
    return [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == name][-1]


@pytest.mark.parametrize("name", ALL)
def test_every_visible_check_catches_something_and_says_what(name: str) -> None:
    tree = ast.parse(HIDDEN.sub("", visible(name).source))
    asserts = [node for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    assert all(isinstance(node.msg, ast.Constant | ast.JoinedStr) for node in asserts)

    attempts = [misconception(name, wrong.name) for wrong in ALL[name].misconceptions]
    attempts += [
        program(BANK / "wrong" / f"{file}.py") for file, question in WRONG if question == name
    ]
    attempts += [{name: slip} for slip in (*stumbles(name), lambda *_: None)]
    caught = {failing_line(name, attempt) for attempt in attempts}
    assert {node.lineno for node in asserts} <= caught, [
        ast.unparse(n.test) for n in asserts if n.lineno not in caught
    ]


def faulty_listing() -> dict[str, Any]:
    return {"AdditiveEnergy": solution_functions_cached()["FaultyEnergy"]}


def test_the_faulty_listing_fails_at_once_and_earns_nothing() -> None:
    assert "nn.Parameter" in str(run_visible("AdditiveEnergy", faulty_listing()))
    assert verdict(faulty_listing(), "AdditiveEnergy", 0).score == 0
