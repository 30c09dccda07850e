"""03-softmax: which mistakes the visible checks name, what partly right answers earn, and what each check is for."""

import numpy as np
import pytest

from autograder.verdict import Verdict, decide

from .programs import (
    Answer,
    assignment,
    banked,
    drawn,
    misconception,
    misconceptions,
    questions,
    reference,
    replies,
    run_visible,
    verdict,
)

NAME = "03-softmax"

OBVIOUS = {
    "smoothing_forgotten": "where is the smoothing",
    "others_only": "which share of the target",
    "shares_exchanged": "how much of the target",
    "prediction_smoothed": "which share of the target",
    "averaged": "one loss per example",
    "spread_not_divided": "how much of the target",
    "logarithm_forgotten": "to what do you compare",
    "inverse_returned": "divided by it",
    "wrong_half": "which half do you keep",
    "two_bases": "natural logarithm",
    "one_for_all": "a temperature of its own",
    "average_forgotten": "the others lose",
    "plain_average": "the others lose",
    "temperature_forgotten": "where is the temperature",
    "sign_lost": "which sign follows",
    "temperature_not_summed": "one for each head",
    "sink_forgotten": "where is the sink",
    "sink_of_zero": "head's own sink",
    "sink_not_exponentiated": "head's own sink",
    "sink_column_left": "none for the sink",
    "masked_after": "still takes its share",
    "hidden_by_zero": "a score like any other",
    "noise_forgotten": "does the noise take part",
    "soft_returned": "the forward pass is hard",
    "mask_forgotten": "key 3 is hidden",
    "noise_not_divided": "divided by tau as well",
    "one_query_per_key": "reads exactly one key",
    "mean_of_blocks": "across blocks",
    "last_block_only": "only the last block",
    "log_sum_exp_for_entropy": "the log-sum-exp",
    "entropy_in_bits": "natural logarithm",
    "temperature_multiplies": "should smooth",
    "one_maximum_for_all": "2000 below the other",
    "one_maximum_for_all_nan": "2000 below the other",
    "mask_multiplies_scores": "which score hides a key",
    "mask_multiplies_weights": "does what is hidden take a share",
    "sums_over_queries": "who shares",
}

# What each of these programs loses, and nothing else.
ONLY = [
    ("overflows", "smoothed_cross_entropy", "large and very negative logits", 2.5),
    ("logarithm_of_nothing", "smoothed_cross_entropy", "large and very negative logits", 2.5),
    ("always_float32", "smoothed_cross_entropy", "the dtype of the logits is kept", 2.5),
    ("one_maximum", "smoothed_cross_entropy", "large and very negative logits", 2.5),
    ("another_shift", "smoothed_cross_entropy", "large and very negative logits", 2.5),
    ("overflows", "temperature_for", "high and low temperatures", 2.5),
    ("one_maximum", "temperature_for", "high and low temperatures", 2.5),
    ("absolute_error", "temperature_for", "high and low temperatures", 2.5),
    ("logarithm_of_nothing", "temperature_for", "hidden keys", 2.5),
    ("widened", "temperature_for", "the dtype of the scores is kept", 2.75),
    ("jacobian", "tempered_softmax_backward", "no (m, m) Jacobian", 3.5),
    ("logarithm_of_nothing", "tempered_softmax_backward", "hidden keys", 3.5),
    ("empty_rows", "tempered_softmax_backward", "hidden keys", 3.5),
    ("maximum_with_hidden_keys", "sink_softmax", "scores in the hundreds", 3.5),
    ("one_maximum", "sink_softmax", "scores in the hundreds", 3.5),
    ("sink_overflows", "sink_softmax", "gradient by the sink", 3.75),
    ("widened", "sink_softmax", "the dtype of the scores is kept", 3.75),
    ("finite_minus_infinity", "sink_softmax", "no sink, and rows that see nothing", 3.25),
    ("logarithm_of_nothing", "straight_through_sample", "gradient by the temperature", 3.5),
    ("in_place", "straight_through_sample", "arguments untouched, in any memory layout", 3.5),
    ("whole_stream", "streamed_context", "one block at a time", 3.5),
    ("empty_rows", "streamed_context", "hidden keys and hidden blocks", 3.5),
    ("overflows", "streamed_context", "scores in the hundreds", 3.75),
    ("one_maximum", "streamed_context", "scores in the hundreds", 3.75),
    ("another_shift", "streamed_context", "scores in the hundreds", 3.75),
    ("maximum_with_hidden_keys", "attention_weights", "a hidden key far ahead", 3.5),
    ("empty_rows", "attention_weights", "rows that see nothing", 3.5),
    ("finite_minus_infinity", "attention_weights", "rows that see nothing", 3.5),
]


def wrong(file: str, question: str) -> Verdict:
    return verdict(banked(NAME, "wrong", file), question)


def titles(result: Verdict) -> set[str]:
    """The aspects that were lost."""
    return {row.title for row in result.aspects if not row.earned}


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


@pytest.mark.parametrize(("file", "question", "title", "score"), ONLY)
def test_a_slip_costs_what_it_is_about_and_nothing_else(
    file: str, question: str, title: str, score: float
) -> None:
    result = wrong(file, question)
    assert titles(result) == {title}
    assert result.score == score
    assert not result.misconception


def test_a_gradient_is_lost_alone() -> None:
    empty = {f"gradient by the {what} where a row sees nothing" for what in ("scores", "sink")}
    assert titles(wrong("patched_afterwards", "sink_softmax")) == empty
    assert titles(wrong("half_gradient", "sink_softmax")) == {
        "gradient by the sink",
        "gradient by the sink where a row sees nothing",
    }
    both = {"gradient by the scores", "gradient by the temperature"}
    for file in ("half_gradient", "no_gradient", "temperature_left_out"):
        assert titles(wrong(file, "straight_through_sample")) == both
    soft = misconception(NAME, "straight_through_sample", "soft_returned")
    assert not titles(verdict(soft, "straight_through_sample")) & both, "its gradient is right"


def test_a_gradient_that_is_nan_is_called_so() -> None:
    result = wrong("logarithm_of_nothing", "straight_through_sample")
    [row] = [row for row in result.aspects if not row.earned]
    assert row.sentence.startswith("The gradient by tau holds NaN")


def test_half_of_a_pair_earns_its_half() -> None:
    name = "tempered_softmax_backward"
    assert "d_scores" not in titles(verdict(misconception(NAME, name, "sign_lost"), name))
    name = "streamed_context"
    bits = titles(verdict(misconception(NAME, name, "entropy_in_bits"), name))
    assert "entropy" in bits and "context" not in bits
    apart = titles(verdict(misconception(NAME, name, "context_not_rescaled"), name))
    assert "context" in apart and "entropy" not in apart


@pytest.mark.parametrize("file", ["differentiated", "backward_kernel", "through_the_engine"])
def test_automatic_differentiation_breaks_a_rule_and_is_no_wrong_answer(
    file: str, seeds: range
) -> None:
    for seed in seeds:
        result = verdict(banked(NAME, "wrong", file), "tempered_softmax_backward", seed)
        assert result.score == 0
        assert not any(row.case for row in result.aspects), "the values are right"
        [sentence] = result.broken
        assert sentence.startswith("The task forbids automatic differentiation (here `")


def test_a_read_is_decided_by_noise_mask_and_a_clear_lead(seeds: range) -> None:
    """In every case the first query is tempted both ways, and no rounding decides who is read."""
    for seed in seeds:
        for case in drawn(NAME, "straight_through_sample", seed).cases:
            scores, noise, mask = (case.arguments[name] for name in ("scores", "gumbel", "mask"))
            sums = np.where(np.broadcast_to(mask, scores.shape), scores + noise, -np.inf)
            two = np.sort(sums, axis=-1)[..., -2:]
            assert (two[..., 1] - two[..., 0]).min() > 0.04, case.name
            first = (0,) * (scores.ndim - 1)
            visible = np.where(np.broadcast_to(mask, scores.shape), scores, -np.inf)
            assert sums[first].argmax() != visible[first].argmax()
            assert sums[first].argmax() != (scores + noise)[first].argmax()


def test_a_wanted_temperature_lies_where_the_entropy_has_a_slope(seeds: range) -> None:
    """An error of the entropy moves the logarithm of a temperature by at most ten times as much."""
    for seed in seeds:
        given = drawn(NAME, "temperature_for", seed)
        for case, reply in zip(given.cases, given.expected, strict=True):
            scores, tau = case.arguments["scores"], reply["value"]
            finite = np.where(np.isfinite(scores), scores, -1e30).astype(float)
            weights = np.exp((finite - finite.max(axis=-1, keepdims=True)) / tau[..., None])
            weights /= weights.sum(axis=-1, keepdims=True)
            mean = (weights * finite).sum(axis=-1, keepdims=True)
            variance = (weights * (finite - mean) ** 2).sum(axis=-1)
            assert (variance / tau**2).min() > 0.1, case.name  # dH / d ln(tau)
            assert tau.min() > 1e-2 and tau.max() < 1e3


# --- the listing to mend ----------------------------------------------------------------------------


def test_the_faulty_listing_fails_at_once_and_earns_nothing() -> None:
    listing = Answer(NAME, {"attention_weights": reference(NAME).namespace["faulty_weights"]})
    assert "hidden key" in str(run_visible(listing, "attention_weights"))
    assert verdict(listing, "attention_weights").score == 0


def test_one_fault_left_earns_something_and_is_named() -> None:
    scores = {
        mistake: verdict(misconception(NAME, question, mistake), question).score
        for question, mistake in misconceptions(NAME)
        if question == "attention_weights"
    }
    assert scores["temperature_multiplies"] == 1.5  # its rows hide and sum as they should
    assert scores["mask_multiplies_weights"] == 0.75
    assert max(scores.values()) == 1.5


def test_no_maximum_at_all_is_not_called_one_maximum_for_all() -> None:
    result = wrong("overflows", "attention_weights")
    assert not result.misconception
    first = result.aspects[0]
    assert (first.sentence, first.got) == ("A hidden key has a weight.", "nan")


def test_what_hides_everything_earns_nothing_for_hiding() -> None:
    """Zeros everywhere hide the hidden keys, and all others; equal weights hide nothing."""
    zeros = Answer(NAME, {"attention_weights": lambda scores, mask, temperature: 0 * scores})
    result = verdict(zeros, "attention_weights")
    assert result.score == 0
    assert result.aspects[0].sentence.startswith("No key has a weight")
    equal = Answer(NAME, {"attention_weights": lambda s, mask, t: 0 * s + 1 / s.shape[-1]})
    assert verdict(equal, "attention_weights").score == 0


# --- the checks themselves notice a broken solution -------------------------------------------------

BREAKS = [
    ("smoothed_cross_entropy", "smoothing * log_p.mean(axis=-1)", "0"),
    ("temperature_for", "low, high = np.where(too_cold", "high, low = np.where(too_cold"),
    (
        "tempered_softmax_backward",
        "d_scores = weights * (upstream - average)",
        "d_scores = weights * upstream",
    ),
    ("sink_softmax", "hidden = scores.masked_fill(~mask, -torch.inf)", "hidden = scores * mask"),
    ("straight_through_sample", "((scores + gumbel) / tau)", "(scores / tau)"),
    ("streamed_context", "context = rescale * context", "context = context"),
    ("attention_weights", "total = exponentials.sum(axis=-1", "total = exponentials.sum(axis=-2"),
]


@pytest.mark.parametrize(("question", "right", "broken"), BREAKS)
def test_a_broken_solution_is_noticed_by_every_right_style(
    question: str, right: str, broken: str
) -> None:
    """Were the solution wrong, the styles of the bank would lose points; so they vouch for it."""
    namespace = dict(reference(NAME).namespace)
    [cell] = [
        cell.source
        for cell in assignment(NAME).solution.cells
        if cell.source.startswith(f"def {question}(") and right in cell.source
    ]
    exec(cell.replace(right, broken), namespace)
    given = drawn(NAME, question, 0)
    expected = replies(Answer(NAME, namespace), question, 0)
    for style in ("loops", "helpers"):
        got = replies(banked(NAME, "right", style), question, 0)
        result = decide(questions(NAME)[question], given.cases, expected, got)
        assert result.score < result.points, style
