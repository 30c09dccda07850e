"""04-context: which mistakes the visible checks name, what partly right answers earn, and judges of its own."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from autograder.assignment import Assignment, Reference
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

NAME = "04-context"

OBVIOUS = {
    "lengths_ignored": "is it masked",
    "masked_after_softmax": "masked too late",
    "padding_scores_zero": "is it masked",
    "empty_gives_nan": "which 0 is divided",
    "empty_reads_padding": "weights on its padding",
    "scaling_forgotten_padded": "are scores scaled",
    "results_exchanged_padded": "the context comes first",
    "padding_linked": "argmax of a row of zeros",
    "columns_linked": "argmax of which axis",
    "sure_not_possible": "sure link not possible as well",
    "recall_of_possible": "all possible links",
    "harmonic_mean": "add up numerators",
    "agreement_returned": "share of right ones",
    "averaged_over_sentences": "all sentences together",
    "never_covered": "where is the coverage",
    "coverage_outside": "first two steps",
    "coverage_subtracted": "should avoid it",
    "softmax_forgotten_coverage": "softmax in every step",
    "coverage_shared": "whose coverage",
    "as_values_only": "used as keys too",
    "as_keys_only": "as a value it is read",
    "average_not_subtracted": "no weight matters",
    "average_over_queries": "along which axis",
    "scaled_by_habit_backward": "are the scores scaled",
    "mask_ignored_backward": "is the mask used",
    "weight_gradient_per_example": "they share W",
    "greedy": "greedy search",
    "not_normalised": "does the length count",
    "multiplied_by_penalty": "does the length count",
    "stops_at_first_end": "did you go on",
    "end_not_counted": "which power of which length",
    "start_returned": "does not hold the start token",
    "goes_on_after_end": "first end token",
    "ShiftForgotten": "which token does a step read",
    "RolledRound": "which token does a step read",
    "EmbeddingAsks": "who asks",
    "PaddingScoresZero": "which weight has the padding",
    "ProbabilitiesReturned": "are these logits",
}


def wrong(file: str, question: str) -> Verdict:
    return verdict(banked(NAME, "wrong", file), question)


def failed(result: Verdict) -> dict[str, str]:
    return {row.title: row.sentence for row in result.aspects if not row.earned}


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


# --- what partly right answers earn -----------------------------------------------------------------

ONE_ASPECT = {
    ("rubbish_weighted", "padded_attention"): "nothing of the padding gets through",
    ("overflows", "padded_attention"): "large scores",
    ("three_axes_only", "padded_attention"): "further axes, such as heads",
    ("widened", "padded_attention"): "the dtype of the arguments is kept",
    ("in_place", "padded_attention"): "arguments untouched, in any memory layout",
    ("ties", "alignment_error"): "the first of equal weights wins",
    ("in_place", "alignment_error"): "arguments untouched, in any memory layout",
    ("contiguous_only", "coverage_attention"): "arguments untouched, in any memory layout",
    ("widened", "memory_backward"): "the dtype of the arguments is kept",
    ("empty_memory_nan", "memory_backward"): "an empty memory",
    ("ties", "beam_search"): "ties",
    ("impossible_kept", "beam_search"): "impossible continuations",
    ("in_place", "beam_search"): "arguments untouched, in any memory layout",
    ("in_place", "MendedDecoder"): "arguments untouched, in any memory layout",
}


@pytest.mark.parametrize(("file", "question"), ONE_ASPECT)
def test_one_slip_costs_one_aspect(file: str, question: str, seeds: range) -> None:
    for seed in seeds:
        result = verdict(banked(NAME, "wrong", file), question, seed)
        assert list(failed(result)) == [ONE_ASPECT[file, question]]


def test_partial_credit_is_given_for_what_is_right() -> None:
    def earned(question: str, mistake: str) -> float:
        return verdict(misconception(NAME, question, mistake), question).score

    assert earned("padded_attention", "empty_gives_nan") == 2
    assert earned("alignment_error", "harmonic_mean") == 2
    assert earned("memory_backward", "as_values_only") == 2.5
    assert earned("MendedDecoder", "ProbabilitiesReturned") == 1
    assert wrong("precision_of_sure_links", "alignment_error").score == 2.25
    assert wrong("mixed_the_other_way_round", "MendedDecoder").score == 1.5


def test_a_gradient_that_is_cut_costs_gradients_only() -> None:
    lost = failed(wrong("coverage_detached", "coverage_attention"))
    names = ("queries and keys", "w_c", "W_q, W_k and w")
    assert set(lost) == {f"gradient by {name}" for name in names}
    lost = failed(wrong("no_gradient", "MendedDecoder"))
    assert lost["gradient reaches W"] == "No gradient reaches W: the result does not depend on it."
    assert all(title.startswith("gradient") for title in lost)


def test_what_was_not_computed_earns_nothing() -> None:
    assert wrong("handed_back", "padded_attention").score == 0
    assert wrong("handed_back", "alignment_error").score == 0
    assert wrong("handed_back", "beam_search").score == 0
    lost = failed(wrong("handed_back", "MendedDecoder"))
    assert "should predict" in lost["no step reads its own target"]
    assert "Another memory" in lost["padding changes nothing"]


# --- the judges of this assignment ------------------------------------------------------------------


def test_links_may_be_whole_numbers_and_rates_single_precision() -> None:
    right = reference(NAME).namespace["alignment_error"]

    def whole_numbers(*arguments):
        links, *rates = right(*arguments)
        return [links.astype(int), *(float(np.float32(rate)) for rate in rates)]

    result = verdict(Answer(NAME, {"alignment_error": whole_numbers}), "alignment_error")
    assert result.score == result.points

    def shares(*arguments):
        links, *rates = right(*arguments)
        return links * 0.5, *rates

    assert len(failed(verdict(Answer(NAME, {"alignment_error": shares}), "alignment_error"))) == 3


def test_outputs_may_be_any_sequences_of_whole_numbers() -> None:
    right = reference(NAME).namespace["beam_search"]

    def as_what(kind):
        def search(*arguments):
            return tuple([kind(tokens), np.float64(score)] for tokens, score in right(*arguments))

        return verdict(Answer(NAME, {"beam_search": search}), "beam_search")

    for kind in (tuple, np.array, torch.tensor, lambda tokens: np.array(tokens, dtype="float32")):
        assert as_what(kind).score == 6
    for kind in (str, np.mean, lambda tokens: [token + 0.5 for token in tokens]):
        result = as_what(kind)
        assert result.score == 0
        assert "not a list of pairs" in failed(result)["the best output"]


def test_the_order_of_the_outputs_is_told_from_the_outputs() -> None:
    right = reference(NAME).namespace["beam_search"]
    answer = Answer(NAME, {"beam_search": lambda *arguments: right(*arguments)[::-1]})
    lost = failed(verdict(answer, "beam_search"))
    assert lost["all outputs, best first"] == "The outputs are right, their order is not."
    assert "scores normalised by length" not in lost


def test_log_probabilities_are_told_from_logits() -> None:
    lost = failed(wrong("log_probabilities", "MendedDecoder"))
    assert "logarithms of probabilities" in lost["logits, not probabilities"]
    assert "padding changes nothing" not in lost


# --- the rule ---------------------------------------------------------------------------------------

DISGUISES = [file for file in files(NAME, "wrong") if file.startswith("differentiated")]


@pytest.mark.parametrize("file", DISGUISES)
def test_automatic_differentiation_breaks_a_rule_and_is_no_wrong_answer(
    file: str, seeds: range
) -> None:
    for seed in seeds:
        result = verdict(banked(NAME, "wrong", file), "memory_backward", seed)
        assert result.score == 0
        assert not any(row.case for row in result.aspects), "the values are right"
        [sentence] = result.broken
        assert sentence.startswith("The task forbids automatic differentiation (here `")


# --- the checks themselves notice a broken solution -------------------------------------------------

# For each question what is broken in its solution, and the visible check that says so.
BREAKS = {
    "padded_attention": ("np.where(padding, 0, values)", "values", "NaN in the padding"),
    "alignment_error": (" & (weights > 0)", "", "argmax of a row of zeros"),
    "coverage_attention": (" + coverage[..., None] * w_c", "", "where is the coverage"),
    "memory_backward": ("(d_weights - average)", "d_weights", "no weight matters"),
    "beam_search": (" / ((5 + len(tokens)) / 6) ** alpha", "", "does the length count"),
    "MendedDecoder": ("(targets[:, :-1], (1, 0), value=self.start)", "(targets, (0, 0))", "a step"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_solution_is_noticed(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "solutions" / NAME
    shutil.copytree(ROOT / "solutions" / NAME, folder, ignore=shutil.ignore_patterns("*.ipynb"))
    source = folder / "context.md"
    right, broken, said = BREAKS[name]
    assert source.read_text().count(right) == 1
    source.write_text(source.read_text().replace(right, broken))
    with pytest.raises(CourseError, match=said):  # its own visible check
        Reference(Assignment(Course(tmp_path, tmp_path), NAME).paper)

    # Had there been none: right answers lose points against it.
    cell = next(
        cell.source
        for cell in Assignment(Course(tmp_path, tmp_path), NAME).solution.cells
        if cell.source.startswith((f"def {name}(", f"class {name}("))
    )
    namespace = dict(reference(NAME).namespace)
    exec(cell, namespace)
    question, given = questions(NAME)[name], drawn(NAME, name, 0)
    got = verdict(Answer(NAME, namespace), name)
    assert got.score < question.points
    assert decide(question, given.cases, given.expected, given.expected).score == question.points


def test_the_faulty_listing_fails_at_once_and_earns_nothing() -> None:
    listing = Answer(NAME, {"MendedDecoder": reference(NAME).namespace["FaultyDecoder"]})
    assert "are these logits" in str(run_visible(listing, "MendedDecoder"))
    result = verdict(listing, "MendedDecoder")
    assert result.score == 0
    lost = failed(result)
    assert "Another last target" in lost["no step reads its own target"]
    assert "Another padding" in lost["padding changes nothing"]
    assert "add up to 1" in lost["logits, not probabilities"]


REPAIRS = {
    "shift": (
        "targets.unbind(dim=1)",
        "F.pad(targets[:, :-1], (1, 0), value=self.start).unbind(dim=1)",
    ),
    "query": ("(embedded @ self.W)", "(hidden @ self.W)"),
    "padding": ("scores * mask", "scores.masked_fill(~mask, -math.inf)"),
    "logits": ("torch.softmax(self.output(fed), dim=-1)", "self.output(fed)"),
}
LEFT = {
    "shift": "ShiftForgotten",
    "query": "EmbeddingAsks",
    "padding": "PaddingScoresZero",
    "logits": "ProbabilitiesReturned",
}


@pytest.mark.parametrize("left", ["", *REPAIRS])
def test_a_listing_with_one_fault_left_is_told_which(left: str) -> None:
    [text] = [
        cell.source
        for cell in Assignment(Course(ROOT, ROOT), NAME).solution.cells
        if cell.source.startswith("class FaultyDecoder")
    ]
    for fault, (before, after) in REPAIRS.items():
        assert text.count(before) == 1
        text = text.replace(before, after) if fault != left else text
    namespace = dict(reference(NAME).namespace)
    exec(text.replace("FaultyDecoder", "MendedDecoder"), namespace)
    result = verdict(Answer(NAME, namespace), "MendedDecoder")
    assert result.misconception == LEFT.get(left, "")
    assert (result.score == result.points) is not bool(left)
