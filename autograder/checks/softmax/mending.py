"""The faulty listing's cases: in each, rows lie far apart, keys are hidden and the temperature is not 1."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from autograder.checks.draw import normal, rounded
from autograder.judge import differs, dtype, shape_fault, untouched, values
from autograder.question import Aspect, Case, Fault, Question, Reply


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str,
        *size: int,
        mask: tuple[int, ...] | None = None,
        kind: str = "float64",
        **options: Any,
    ) -> Case:
        # Every other row's exponentials overflow and the other rows' underflow, and of the lower rows the whole
        # array's maximum leaves nothing.
        levels = np.arange(1, 1 + np.prod(size[:-1])).reshape(*size[:-1], 1) % 2
        scores = _small(rng) if name == "small" else normal(rng, *size)
        scores = scores + (300 if kind == "float32" else 1200) * (2 * levels - 1)
        allowed = rng.random(mask or size) < 0.7
        hidden, first, second = rng.permutation(size[-1])[:3]
        allowed[..., hidden], allowed[..., [first, second]] = False, True
        temperature = float(rng.choice([0.5, 0.7, 1.25, 1.5]))
        arguments = {
            "scores": scores.astype(kind),
            "mask": allowed,
            "temperature": temperature,
        }
        return Case(name, arguments, **options)

    yield case("small", 2, 3)
    yield case("batch", 2, 3, 5)
    yield case("one query", 2, 1, 4)
    yield case("as many queries as keys", 2, 4, 4)
    yield case("padding mask", 2, 3, 6, mask=(2, 1, 6))
    yield case("batch and heads", 2, 3, 4, 5, mask=(2, 1, 4, 5))
    empty = case("rows that see nothing", 2, 3, 5)
    empty.arguments["mask"][0, 1], empty.arguments["mask"][1, 0] = False, False
    yield empty
    ahead = case("a hidden key far ahead", 2, 3, 5)
    hidden = ~ahead.arguments["mask"].any(axis=(0, 1))
    ahead.arguments["scores"][..., hidden] += 2000
    yield ahead
    yield case("float32", 2, 2, 6, kind="float32")
    yield case("non-contiguous", 2, 3, 5, strided=("scores", "mask"))


def _small(rng: np.random.Generator) -> np.ndarray:
    """Two rows whose scores differ by other steps: shared out by row and by column they are never the same."""
    rows = [rng.permutation(row) for row in ([0.5, -1.0, 2.0], [0.3, -0.2, 1.1])]
    return np.array(rows) + rounded(rng, 2, 1)


def _hidden_weigh_nothing(case: Case, expected: Reply, got: Reply) -> Fault | None:
    """Exactly 0 where hidden, and not everywhere."""
    if fault := shape_fault(expected["value"], got["value"], "The result"):
        return fault
    weights = np.asarray(got["value"])
    allowed = np.broadcast_to(case.arguments["mask"], weights.shape)
    leaks = weights[~allowed]
    if (leaks != 0).any():
        return Fault("A hidden key has a weight.", "exactly 0", f"{leaks[leaks != 0][0]:.4g}")
    if not (weights[allowed] != 0).any():
        return Fault("No key has a weight: what is visible should have one.")
    return None


def _rows_sum_to_one(_: Case, expected: Reply, got: Reply) -> Fault | None:
    """Weights that are not negative, not all the same, and sum to 1 over the keys."""
    if fault := shape_fault(expected["value"], got["value"], "The result"):
        return fault
    weights = np.asarray(got["value"])
    if (weights < 0).any():
        return Fault("Some weights are negative.", "at least 0", f"{weights.min():.3g}")
    if np.ptp(weights) == 0:
        return Fault("The result has the right shape, but every entry is the same.")
    sums = weights.sum(axis=-1)
    return differs(np.ones_like(sums), sums, "The sum of each query's weights")


_ORDINARY = (
    "small",
    "batch",
    "one query",
    "as many queries as keys",
    "padding mask",
    "batch and heads",
)

attention_weights = Question(
    name="attention_weights",
    title="Mend this softmax",
    cases=_cases,
    aspects=(
        Aspect("hidden keys weigh exactly nothing", 0.75, _hidden_weigh_nothing, _ORDINARY),
        Aspect("each row sums to 1 over the keys", 0.75, _rows_sum_to_one, _ORDINARY),
        Aspect("values", 1, values(), _ORDINARY),
        Aspect("rows that see nothing", 0.5, values(), ("rows that see nothing",)),
        Aspect("a hidden key far ahead", 0.5, values(), ("a hidden key far ahead",)),
        Aspect("the dtype of the scores is kept", 0.25, dtype(), ("float32", "batch")),
        Aspect(
            "arguments untouched, in any memory layout",
            0.25,
            untouched(),
            ("non-contiguous", "batch"),
        ),
    ),
)


@attention_weights.misconception(
    "One fault is left: the temperature multiplies. A high temperature then sharpens what it should smooth: "
    "divide the scores by it."
)
def temperature_multiplies(scores, mask, temperature):
    scores = np.where(mask, scores * temperature, -np.inf)
    largest = scores.max(axis=-1, keepdims=True)
    exponentials = np.exp(scores - np.where(largest == -np.inf, 0, largest))
    total = exponentials.sum(axis=-1, keepdims=True)
    return exponentials / np.where(total == 0, 1, total)


@attention_weights.misconception(
    "One fault is left: you subtract the largest score of the whole array. In a row far below it every "
    "exponential underflows to 0: subtract each row's own maximum."
)
def one_maximum_for_all(scores, mask, temperature):
    scores = np.where(mask, scores / temperature, -np.inf)
    exponentials = np.exp(scores - scores.max())
    total = exponentials.sum(axis=-1, keepdims=True)
    return exponentials / np.where(total == 0, 1, total)


@attention_weights.misconception(
    "You subtract the largest score of the whole array, so in a row far below it every exponential underflows "
    "and 0 / 0 gives NaN: subtract each row's own maximum."
)
def one_maximum_for_all_nan(scores, mask, temperature):
    scores = np.where(mask, scores / temperature, -np.inf)
    exponentials = np.exp(scores - scores.max())
    with np.errstate(invalid="ignore"):
        return exponentials / exponentials.sum(axis=-1, keepdims=True)


@attention_weights.misconception(
    "One fault is left: the mask multiplies the scores. A hidden key then has the score 0, which is a score like "
    "any other: give it minus infinity."
)
def mask_multiplies_scores(scores, mask, temperature):
    scores = scores / temperature * mask
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


@attention_weights.misconception(
    "You mask the weights after the softmax: the hidden keys have taken their share of the sum by then, and the "
    "rows no longer sum to 1. Mask the scores, with minus infinity."
)
def mask_multiplies_weights(scores, mask, temperature):
    scores = scores / temperature
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True) * mask


@attention_weights.misconception(
    "One fault is left: you divide by sums over the queries (axis −2), so the queries compete for each key. Each "
    "query shares out its own attention: sum over the last axis."
)
def sums_over_queries(scores, mask, temperature):
    scores = np.where(mask, scores / temperature, -np.inf)
    largest = scores.max(axis=-1, keepdims=True)
    exponentials = np.exp(scores - np.where(largest == -np.inf, 0, largest))
    total = exponentials.sum(axis=-2, keepdims=True)
    return exponentials / np.where(total == 0, 1, total)


@attention_weights.misconception(
    "You read the mask the other way round: True means that the query MAY attend to the key."
)
def mask_inverted_weights(scores, mask, temperature):
    scores = np.where(mask, -np.inf, scores / temperature)
    largest = scores.max(axis=-1, keepdims=True)
    exponentials = np.exp(scores - np.where(largest == -np.inf, 0, largest))
    total = exponentials.sum(axis=-1, keepdims=True)
    return exponentials / np.where(total == 0, 1, total)
