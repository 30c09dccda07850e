"""02-scores: which mistakes the visible checks name, what partly right answers earn, and how a rule is told."""

import shutil
from pathlib import Path

import pytest

from autograder.assignment import Assignment, Reference, replies
from autograder.course import Course, CourseError
from autograder.verdict import Verdict, decide

from .programs import (
    ROOT,
    Answer,
    banked,
    drawn,
    files,
    misconception,
    misconceptions,
    questions,
    reference,
    run_visible,
    verdict,
)

NAME = "02-scores"

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
    "LastQueryForAll": "does each take part",
    "TanhOfEachPart": "does each take part",
    "padding_forgotten": "as many positions as before",
    "scaled_twice": "a query meets 5 keys",
    "cosine_for_scaling": "divided by the width itself",
    "scaled_by_key_width": "no scaling",
    "multiplied_for_added": "tanh is odd",
    "w_inside_tanh": "eight saturated terms",
}


def wrong(file: str, question: str) -> Verdict:
    return verdict(banked(NAME, "wrong", file), question)


@pytest.mark.parametrize(
    ("question", "mistake"), [pair for pair in misconceptions(NAME) if pair[1] in OBVIOUS]
)
def test_visible_checks_name_the_obvious_mistake(question: str, mistake: str) -> None:
    error = run_visible(misconception(NAME, question, mistake), question)
    assert error is not None
    assert OBVIOUS[mistake] in str(error)
    assert "\n" not in str(error)


def test_every_obvious_mistake_is_a_misconception() -> None:
    assert set(OBVIOUS) <= {mistake for _, mistake in misconceptions(NAME)}


def test_partial_credit_is_given_for_what_is_right() -> None:
    assert wrong("full_matrix", "low_rank_bilinear_scores").score == 2.5
    assert wrong("in_place", "scaled_dot_scores").score == 2.5
    assert wrong("widened", "additive_scores").score == 3.5
    assert wrong("overflows", "additive_scores").score == 3.5
    assert wrong("shared_keys_not_summed", "scaled_dot_backward").score == 3.5
    assert wrong("no_gradient", "location_features").score == 3
    half = wrong("half_gradient", "location_features")
    assert [row.sentence for row in half.aspects if not row.earned] == [
        "No gradient reaches filters: the result does not depend on it."
    ]
    stream = verdict(misconception(NAME, "running_best_key", "last_one_wins"), "running_best_key")
    first = next(row.title for row in stream.aspects if not row.earned)
    assert first == "the first of equal keys wins"


def test_what_was_not_computed_earns_nothing() -> None:
    def failed(question: str) -> dict[str, str]:
        result = wrong("handed_back", question)
        return {row.title: row.sentence for row in result.aspects if not row.earned}

    assert "the argument queries" in failed("scaled_dot_backward")["shapes"]
    assert "not of the expected kind" in failed("scaled_dot_scores")["shape (..., n, m)"]
    assert "index of the best key in the whole stream" in failed("running_best_key")
    weights = failed("AdditiveEnergy")
    assert "one row of weights per query" not in weights
    assert weights["each row sums to 1 over the keys"] == "Some weights are negative."


# --- automatic differentiation ----------------------------------------------------------------------

DISGUISES = [file for file in files(NAME, "wrong") if file.startswith("differentiated")]


@pytest.mark.parametrize("file", DISGUISES)
def test_automatic_differentiation_breaks_a_rule_and_is_no_wrong_answer(
    file: str, seeds: range
) -> None:
    for seed in seeds:
        result = verdict(banked(NAME, "wrong", file), "scaled_dot_backward", seed)
        assert result.score == 0
        assert not any(row.case for row in result.aspects), "the values are right"
        assert not result.misconception
        [sentence] = result.broken
        assert sentence.startswith("The task forbids automatic differentiation (here `")


def test_the_disguises_are_read_and_the_one_that_cannot_be_is_trapped() -> None:
    """Each of the two ways of finding out is seen to work alone."""
    question = questions(NAME)["scaled_dot_backward"]
    given = drawn(NAME, question.name, 0)
    for file in DISGUISES:
        answer = banked(NAME, "wrong", file)
        silent = decide(question, given.cases, given.expected, given.expected, answer.program)
        unread = verdict(Answer(NAME, answer.namespace), question.name)
        assert bool(silent.broken) is (file != "differentiated_in_hiding")
        assert "was called while" in unread.broken[0]


@pytest.mark.parametrize("file", ["whole_stream", "whole_stream_first"])
def test_a_stream_that_is_kept_costs_that_and_nothing_else(file: str) -> None:
    [row] = [row for row in wrong(file, "running_best_key").aspects if not row.earned]
    assert row.title == "one block at a time"
    assert "scores of the whole stream" in row.sentence


# --- the checks themselves notice a broken solution -------------------------------------------------


def test_a_solution_without_the_scaling_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "solutions" / NAME
    shutil.copytree(ROOT / "solutions" / NAME, folder, ignore=shutil.ignore_patterns("*.ipynb"))
    source = folder / "scores.md"
    scaling = " / math.sqrt(queries.shape[-1])"
    assert source.read_text().count(scaling) == 1
    source.write_text(source.read_text().replace(scaling, ""))
    broken = Assignment(Course(tmp_path, tmp_path), NAME)
    with pytest.raises(CourseError, match="where is the scaling"):  # its own visible check
        Reference(broken.paper)

    question = questions(NAME)["scaled_dot_scores"]
    cases = question.draw(0)
    [cell] = [c.source for c in broken.solution.cells if c.source.startswith("def scaled_dot_sc")]
    namespace = dict(reference(NAME).namespace)
    exec(cell, namespace)
    expected = replies(namespace, question, cases)

    def score(answer: Answer) -> float:
        return decide(question, cases, expected, replies(answer.namespace, question, cases)).score

    for style in files(NAME, "right"):
        assert score(banked(NAME, "right", style)) < question.points
    unscaled = misconception(NAME, question.name, "scaling_forgotten")
    assert score(unscaled) == question.points


def test_the_faulty_listing_fails_at_once_and_earns_nothing() -> None:
    listing = Answer(NAME, {"AdditiveEnergy": reference(NAME).namespace["FaultyEnergy"]})
    assert "nn.Parameter" in str(run_visible(listing, "AdditiveEnergy"))
    assert verdict(listing, "AdditiveEnergy").score == 0
