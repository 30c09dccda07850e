"""What holds for every assignment: right answers get all points, wrong ones lose some, known mistakes are named."""

import ast
import contextlib
import io
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from typing import Any

import numpy as np
import pytest
from packaging.requirements import Requirement

from autograder.assignment import flag, grade_id, is_run
from autograder.judge import alike, differs
from autograder.question import Case, Reply
from autograder.verdict import decide, same

from .programs import (
    ASSIGNMENTS,
    Answer,
    ask,
    assignment,
    banked,
    drawn,
    failing_line,
    files,
    judged,
    lost,
    misconception,
    misconceptions,
    questions,
    reference,
    release,
    replies,
    run_visible,
    solved,
    texts,
    verdict,
    visible,
    wrong_programs,
)


def each(names: str, rows: Iterator[tuple[str, ...]]) -> pytest.MarkDecorator:
    """Parametrise over rows; a row's values, joined, are its name."""
    return pytest.mark.parametrize(names, [pytest.param(*row, id="-".join(row)) for row in rows])


def per_question() -> Iterator[tuple[str, str]]:
    return ((name, question) for name in ASSIGNMENTS for question in judged(name))


def per_check() -> Iterator[tuple[str, str]]:
    return ((name, question) for name in ASSIGNMENTS for question in questions(name))


def per_misconception() -> Iterator[tuple[str, str, str]]:
    return ((name, *pair) for name in ASSIGNMENTS for pair in misconceptions(name))


every_assignment = each("name", ((name,) for name in ASSIGNMENTS))
every_question = each("name, question", per_question())
every_check = each("name, question", per_check())  # those about a file too
every_misconception = each("name, question, mistake", per_misconception())
every_style = each(
    "name, style", ((name, style) for name in ASSIGNMENTS for style in files(name, "right"))
)
every_wrong = each(
    "name, file, question",
    (
        (name, *pair)
        for name in ASSIGNMENTS
        for pair in wrong_programs(name)
        if pair[1] in judged(name)
    ),
)


# --- the form of an assignment ----------------------------------------------------------------------

HEADING = re.compile(r"^## (\d+) · (.+)$", re.MULTILINE)
HEADER = re.compile(
    r"^(★{1,3}) · (\d+) minutes · (\d+(?:\.\d+)?) points?( · graded by a person)?$", re.MULTILINE
)


@cache
def headers(name: str) -> dict[str, dict[str, Any]]:
    """What stands above each question of an assignment: title, stars, minutes, points, and who grades it."""
    found: dict[str, dict[str, Any]] = {}
    text = ""
    for cell in assignment(name).solution.cells:
        if HEADING.search(cell.source) and cell.cell_type == "markdown":
            text = cell.source
        if flag(cell, "solution"):
            assert len(HEADING.findall(text)) == len(HEADER.findall(text)) == 1, (
                f"{grade_id(cell)} needs a heading `## 1 · …` and a line `★★ · 15 minutes · 4 points`"
            )
            (number, title), (stars, minutes, points, by_hand) = (
                HEADING.findall(text)[0],
                HEADER.findall(text)[0],
            )
            found[str(grade_id(cell))] = {
                "number": int(number),
                "title": title,
                "stars": len(stars),
                "minutes": int(minutes),
                "points": float(points),
                "by hand": bool(by_hand),
            }
    return found


@every_assignment
def test_markers_points_and_questions_agree(name: str) -> None:
    checks = assignment(name).checks  # raises where a cell's points are not those of its question
    assert sorted(q.name for q in checks.values()) == sorted(questions(name))
    assert set(headers(name)) > set(questions(name)), "no question is graded by a person"
    assert 5 <= len(questions(name)) <= 9


@every_assignment
def test_each_question_says_its_difficulty_minutes_and_points(name: str) -> None:
    above = headers(name)
    assert [row["number"] for row in above.values()] == list(range(1, len(above) + 1))
    points = {q: question.points for q, question in questions(name).items()}
    points |= {
        str(grade_id(cell)): cell.metadata.nbgrader.points
        for cell in assignment(name).solution.cells
        if flag(cell, "grade") and flag(cell, "solution")
    }
    assert {q: row["points"] for q, row in above.items()} == points
    assert {q for q, row in above.items() if row["by hand"]} == set(above) - set(questions(name))
    stars = [row["stars"] for row in above.values() if not row["by hand"]]
    assert stars == sorted(stars), "from easy to hard"
    assert stars[0] == 1 and stars[-1] == 3
    assert 24 <= sum(points.values()) <= 36
    assert 100 <= sum(row["minutes"] for row in above.values()) <= 170


@every_assignment
def test_one_question_mends_a_listing_and_one_is_written(name: str) -> None:
    assert any(row["title"].startswith("Mend") for row in headers(name).values())
    written = [
        cell.source
        for cell in assignment(name).solution.cells
        if flag(cell, "grade") and flag(cell, "solution")
    ]
    assert written and all("Mark scheme" in source for source in written)


@every_question
def test_aspects_name_cases_that_exist_and_every_case_counts(name: str, question: str) -> None:
    asked = questions(name)[question]
    cases = [case.name for case in asked.draw(0)]
    assert len(set(cases)) == len(cases)
    titles = [aspect.title for aspect in asked.aspects]
    assert len(set(titles)) == len(titles)
    used = set(itertools.chain(*(aspect.cases or cases for aspect in asked.aspects)))
    assert used == set(cases)


def flat(value: Any) -> list[np.ndarray]:
    """All numbers among a case's arguments, weights and sizes, those of a stream one by one."""
    if isinstance(value, Case):
        return flat([*value.arguments.values(), *value.state.values(), *(value.construct or ())])
    if isinstance(value, list | tuple):
        return [array for part in value for array in flat(part)]
    if isinstance(value, dict):
        return flat(list(value.values()))
    return [np.asarray(value)] if isinstance(value, np.ndarray | int | float) else []


@every_question
def test_seeds_draw_other_numbers_in_the_same_shapes(name: str, question: str) -> None:
    draw = questions(name)[question].draw
    for one, other, again in zip(draw(0), draw(1), draw(0), strict=True):
        assert [a.shape for a in flat(one)] == [a.shape for a in flat(other)]
        first, second, third = (
            np.concatenate([np.ravel(a) for a in flat(case)]) for case in (one, other, again)
        )
        assert not np.array_equal(first, second), one.name
        assert np.array_equal(first, third, equal_nan=True), one.name


@every_question
def test_cases_come_in_both_precisions_and_in_any_memory_layout(name: str, question: str) -> None:
    cases = questions(name)[question].draw(0)
    kinds = {array.dtype.name for case in cases for array in flat(case) if array.ndim}
    if questions(name)[question].library == "numpy":
        assert {"float32", "float64"} <= kinds or not kinds & {"float32", "float64"}
    assert any(case.strided for case in cases)


@every_question
def test_misconceptions_stand_beside_their_question(name: str, question: str) -> None:
    """What is regraded after a change is read off the file that defines the question."""
    asked = questions(name)[question]
    assert len(asked.misconceptions) >= 4
    homes = {known.program.__module__ for known in asked.misconceptions}
    assert homes == {asked.cases.__module__}
    sentences = [known.sentence for known in asked.misconceptions]
    assert len(set(sentences)) == len(sentences)
    assert all(re.search(r"[.?!]$", s) and 40 < len(s) < 300 for s in sentences)


# --- right answers ----------------------------------------------------------------------------------


@every_question
def test_the_solution_answers_every_case(name: str, question: str, seeds: range) -> None:
    for seed in seeds:
        given = drawn(name, question, seed)
        failed = {
            case.name: reply["error"]
            for case, reply in zip(given.cases, given.expected, strict=True)
            if "error" in reply
        }
        assert not failed
        asked = questions(name)[question]
        result = decide(asked, given.cases, given.expected, given.expected)
        assert result.score == asked.points, lost(result)


@every_style
def test_right_answers_in_any_style_get_all_points(name: str, style: str, seeds: range) -> None:
    for question, seed in itertools.product(judged(name), seeds):
        result = verdict(banked(name, "right", style), question, seed)
        assert result.score == result.points, f"{question}, seed {seed}: {lost(result)}"


@every_assignment
def test_there_are_styles_enough_and_each_answers_all(name: str) -> None:
    styles = files(name, "right")
    assert len(styles) >= 5
    for style in styles:
        assert set(texts(name, "right", style)) == set(questions(name)), style


def in_float32(value: Any) -> Any:
    """A case, or an argument of one, with every float64 rounded to float32."""
    if isinstance(value, Case):
        arguments = {key: in_float32(argument) for key, argument in value.arguments.items()}
        return replace(value, arguments=arguments, upstream=in_float32(value.upstream))
    if isinstance(value, list):
        return [in_float32(part) for part in value]
    if isinstance(value, np.ndarray) and value.dtype == np.float64:
        return value.astype(np.float32)
    return value


@every_question
def test_the_tolerance_leaves_room_for_float32(name: str, question: str) -> None:
    """In another order of operations a right answer differs by rounding; single precision shows where too much."""
    asked = questions(name)[question]
    with np.errstate(over="ignore"):
        cases = [in_float32(case) for case in asked.draw(0)]
    requests = asked.requests(cases)
    expected = reference(name).replies(asked, cases)
    for style in files(name, "right"):
        answer = banked(name, "right", style)
        for case, want, have in zip(cases, expected, ask(answer, requests), strict=True):
            what = f"{style}, {case.name}: the result"
            if asked.alike:
                assert asked.alike(want["value"], have.get("value")), (what, have.get("error"))
            else:
                fault = differs(want["value"], have.get("value"), what)
                assert not fault, (fault, have.get("error"))


# --- misconceptions ---------------------------------------------------------------------------------


@every_misconception
def test_a_misconception_loses_points_and_is_named(
    name: str, question: str, mistake: str, seeds: range
) -> None:
    for seed in seeds:
        result = verdict(misconception(name, question, mistake), question, seed)
        assert result.score < result.points
        assert result.misconception == mistake, f"seed {seed}: {lost(result)}"
        assert result.advice
        assert not result.broken, "a wrong answer that breaks a rule is told of both"


@cache
def mistaken(name: str, question: str, mistake: str, seed: int) -> list[Reply]:
    """What a misconception replies."""
    return replies(misconception(name, question, mistake), question, seed)


def agreement(name: str, question: str) -> Callable[[Any, Any], bool]:
    """When two values of a question agree."""
    return questions(name)[question].alike or alike


# Edges that a statement names, where some mistakes are right: each is still wrong on all other cases.
RIGHT_AT_THE_EDGE = {
    ("unpack_heads", "one position, as many key heads"): {"reshaped_straight", "three_equal_parts"},
    ("rotary_positions", "all features turned"): {"rates_over_all_features", "rest_dropped"},
    ("multi_head_attention", "from the start"): {"offset_forgotten"},
    ("grouped_query_attention", "as many key heads as query heads"): {
        "heads_dealt_in_turn",
        "queries_averaged",
        "contexts_added_up",
    },
    ("location_features", "one position"): {"filters_flipped", "reshaped_for_transposed"},
    ("location_features", "filters of width one"): {
        "filters_flipped",
        "circular_padding",
        "padded_on_one_side",
        "padding_forgotten",
    },
    ("location_features", "one filter"): {"reshaped_for_transposed"},
    ("AdditiveEnergy", "one query"): {"LastQueryForAll"},
    ("AdditiveEnergy", "one key"): {"ReluLeft", "LastQueryForAll", "TanhOfEachPart"},
    ("grouped_query_attention", "one key head"): {"heads_dealt_in_turn", "first_key_head_for_all"},
    ("cached_attention", "window of one"): {"chunks_alone", "last_chunk_kept"},
    ("losses", "one example"): {"mean_of_means"},
    ("learning_rate", "no warm-up"): {"first_step_lost"},
    ("learning_rate", "a warm-up of one step"): {"cosine_from_step_0"},
    ("CausalAttention", "a long window"): {"DocumentsIgnored"},
    ("decay_groups", "nothing tied"): {"tied_matrix_decays", "tied_matrix_twice"},
    ("CausalAttention", "one document"): {"DocumentsIgnored"},
    ("draw", "top_k alone"): {"nucleus_too_small", "top_p_before_top_k"},
    ("draw", "top_p alone"): {"top_p_before_top_k"},
    ("draw", "a tie"): {"top_p_before_top_k"},
    ("draw", "a tie in the nucleus"): {"top_p_before_top_k"},
    ("draw", "nothing cut off"): {
        "nucleus_too_small",
        "not_renormalised",
        "top_p_before_top_k",
        "drawn_from_all",
    },
    ("draw", "temperature 0"): {
        "nucleus_too_small",
        "not_renormalised",
        "top_p_before_top_k",
        "likeliest_taken",
        "drawn_from_all",
        "one_number_for_all_rows",
        "left_in_order",
    },
    # Each of these cases leaves one fault of the listing with an effect.
    ("training_steps", "unequal, not clipped"): {
        "each_clipped_alone",
        "clipped_in_between",
        "gradient_left_over",
    },
    ("training_steps", "one micro-batch, clipped"): {
        "mean_of_micro_means",
        "clipped_in_between",
        "gradient_left_over",
    },
    ("training_steps", "equal micro-batches, clipped"): {
        "mean_of_micro_means",
        "gradient_left_over",
    },
    ("training_steps", "two steps, not clipped"): {
        "mean_of_micro_means",
        "each_clipped_alone",
        "clipped_in_between",
    },
    # What a model computes from given weights, and which it draws itself, are two things.
    ("LanguageModel", "initial weights"): {
        "LastNormForgotten",
        "PostNorm",
        "EmbeddingScaled",
        "PositionsForgotten",
    },
} | {
    ("LanguageModel", case): {"ResidualsNotScaled", "PytorchsOwnWeights"}
    for case in (
        "small",
        "batch",
        "as many heads as examples",
        "one token",
        "changed",
        "non-contiguous",
        "gradient",
    )
}


@every_misconception
def test_a_misconception_shows_on_every_case(
    name: str, question: str, mistake: str, seeds: range
) -> None:
    for seed in seeds:
        given, got = drawn(name, question, seed), mistaken(name, question, mistake, seed)
        agreeing = [
            case.name
            for case, want, have in zip(given.cases, given.expected, got, strict=True)
            if same(want, have, agreement(name, question))
        ]
        known = [c for (q, c), at in RIGHT_AT_THE_EDGE.items() if q == question and mistake in at]
        assert sorted(agreeing) == sorted(known)
        assert any("value" in reply for reply in got), (
            "a misconception that never runs cannot be told from a typo"
        )


@every_question
def test_misconceptions_are_told_apart(name: str, question: str, seeds: range) -> None:
    known = [mistake for asked, mistake in misconceptions(name) if asked == question]
    for seed, (one, other) in itertools.product(seeds, itertools.combinations(known, 2)):
        pair = [mistaken(name, question, mistake, seed) for mistake in (one, other)]
        agree = [same(*replies, agreement(name, question)) for replies in zip(*pair, strict=True)]
        assert not all(agree), f"{one} and {other} cannot be told apart"


# --- other wrong programs ---------------------------------------------------------------------------


@every_wrong
def test_no_wrong_program_gets_all_points(
    name: str, file: str, question: str, seeds: range
) -> None:
    for seed in seeds:
        result = verdict(banked(name, "wrong", file), question, seed)
        assert result.score < result.points
        if file.startswith("two_mistakes"):
            assert not result.misconception, "a misconception was named that is half of the truth"


@every_question
def test_there_are_wrong_programs_enough(name: str, question: str) -> None:
    found = [file for file, asked in wrong_programs(name) if asked == question]
    assert len(found) >= 3, found


# --- visible checks ---------------------------------------------------------------------------------


@every_check
def test_visible_checks_are_silent_for_right_answers(name: str, question: str) -> None:
    for answer in (solved(name), *(banked(name, "right", style) for style in files(name, "right"))):
        assert run_visible(answer, question) is None


@every_check
def test_every_visible_check_catches_something_and_says_what(name: str, question: str) -> None:
    tree = ast.parse(visible(name, question))
    asserts = [node for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    assert asserts
    assert all(isinstance(node.msg, ast.Constant | ast.JoinedStr) for node in asserts)

    attempts = [
        misconception(name, question, mistake)
        for asked, mistake in misconceptions(name)
        if asked == question
    ]
    attempts += [
        banked(name, "wrong", file) for file, asked in wrong_programs(name) if asked == question
    ]
    attempts.append(Answer(name, {question: lambda *_: None}))
    caught = {failing_line(attempt, question) for attempt in attempts}
    assert {node.lineno for node in asserts} <= caught, [
        ast.unparse(node.test) for node in asserts if node.lineno not in caught
    ]


@every_assignment
def test_visible_checks_alone_do_not_grade(name: str) -> None:
    """A file of the bank silences every visible check of some questions and earns less than half their points."""
    file = "for_the_visible_checks"
    assert file in files(name, "wrong")
    answer = banked(name, "wrong", file)
    for question in texts(name, "wrong", file):
        assert run_visible(answer, question) is None
        assert verdict(answer, question).score < questions(name)[question].points / 2, question


# --- the release ------------------------------------------------------------------------------------

# Runs cells as a fresh Colab would, where nothing is installed beside these packages and theirs.
RUN = """
import importlib.abc, json, sys
cells, allowed = json.loads(sys.stdin.read())

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        offered = sys.stdlib_module_names | set(allowed)
        # One module of Python's own is named after the platform; Matplotlib needs it.
        if name.partition(".")[0] not in offered and not name.startswith("_sysconfigdata"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
sys.stdout, answer = sys.stderr, sys.stdout
stopped, scope = {}, {"__name__": "__main__"}
for number, cell in enumerate(cells):
    try:
        exec(compile(cell, f"cell {number}", "exec"), scope)
    except BaseException as error:
        stopped[number] = [type(error).__name__, str(error)]
json.dump(stopped, answer)
"""
OFFERED = ("numpy", "torch", "matplotlib")


@cache
def offered() -> list[str]:
    """The modules that NumPy, PyTorch and Matplotlib are or need."""
    needed, left = set(), list(OFFERED)
    while left:
        package = left.pop()
        if package not in needed:
            needed.add(package)
            try:
                wanted = [Requirement(text) for text in requires(package) or ()]
            except PackageNotFoundError:
                continue
            left += [
                normal(need.name)
                for need in wanted
                if not need.marker or need.marker.evaluate({"extra": ""})
            ]
    homes = packages_distributions()
    return [module for module, owners in homes.items() if needed & {normal(o) for o in owners}]


def normal(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


@every_assignment
def test_the_release_runs_and_stops_only_where_an_answer_is_missing(name: str) -> None:
    cells = [cell for cell in release(name) if is_run(cell)]
    done = subprocess.run(
        [sys.executable, "-I", "-W", "ignore", "-c", RUN],
        input=json.dumps([[cell.source for cell in cells], offered()]),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    stopped = {str(grade_id(cells[int(n)])): why for n, why in json.loads(done.stdout).items()}
    assert {kind for kind, _ in stopped.values()} == {"NotImplementedError"}, stopped
    assert set(stopped) == set(assignment(name).checks), "a check passes that nobody answered"


@cache
def blank(name: str) -> Answer:
    """The release as it is, run from top to bottom."""
    scope: dict[str, Any] = {"__name__": "__main__"}
    sources = [cell.source for cell in release(name) if is_run(cell)]
    for source in sources:
        with contextlib.suppress(NotImplementedError), contextlib.redirect_stdout(io.StringIO()):
            exec(source, scope)
    return Answer(name, scope, tuple(sources))


@every_question
def test_an_unchanged_release_earns_nothing_and_is_seen_to_be_unanswered(
    name: str, question: str
) -> None:
    result = verdict(blank(name), question)
    assert result.score == 0
    assert not result.answered
    assert not result.misconception and not result.broken
