"""The checks of `padded_attention`: attention over keys of which only the first few are real."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from autograder.checks.draw import normal, rounded
from autograder.judge import differs, dtype, every, shape_fault, untouched
from autograder.question import Aspect, Case, Fault, Judge, Question, Reply


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str,
        q: tuple[int, ...],
        k: tuple[int, ...],
        d_v: int,
        lengths: list[int],
        kind: str = "float64",
        **options: Any,
    ) -> Case:
        arguments = {
            "queries": normal(rng, *q, dtype=kind),
            "keys": normal(rng, *k, dtype=kind),
            "values": normal(rng, *k[:-1], d_v, dtype=kind),
            "lengths": np.array(lengths),
        }
        return Case(name, arguments, **options)

    # Every case has an example without any key and one of several lengths between: what goes wrong
    # with a mask shows everywhere, and each example is judged for itself.
    small = {"queries": (2, 2, 4), "keys": (2, 3, 4), "values": (2, 3, 2)}
    arguments = {name: rounded(rng, *size) for name, size in small.items()}
    yield Case("small", arguments | {"lengths": np.array([2, 0])})
    yield case("batch", (4, 3, 4), (4, 5, 4), 7, [3, 0, 5, 2])
    yield case("one query", (3, 1, 5), (3, 4, 5), 2, [3, 2, 0])
    yield case("as many queries as keys", (3, 4, 6), (3, 4, 6), 6, [2, 0, 3])
    yield case("heads in groups", (3, 2, 4, 2, 5), (3, 2, 4, 6, 5), 7, [4, 0, 2])
    yield case("as many heads as examples", (3, 3, 2, 5), (3, 3, 4, 5), 6, [2, 3, 0])
    yield case("float32", (3, 2, 6), (3, 5, 6), 4, [4, 2, 0], kind="float32")
    strided = ("queries", "keys", "values")
    yield case("non-contiguous", (3, 2, 6), (3, 5, 6), 4, [3, 0, 2], strided=strided)
    # Large, and yet not saturated: one feature moves all scores of a query to 1500, of the other one to -1500.
    large = case("large scores", (3, 2, 4), (3, 5, 4), 3, [3, 2, 0])
    large.arguments["queries"][..., 0], large.arguments["keys"][..., 0] = [3000, -3000], 1
    yield large
    rubbish = case("rubbish in the padding", (3, 2, 4), (3, 5, 4), 3, [3, 0, 2]).arguments
    for example, length in enumerate(rubbish["lengths"]):
        for name in ("keys", "values"):
            rubbish[name][example, length:] = np.nan
            rubbish[name][example, -1] = np.inf  # no text fills all positions
    yield Case("rubbish in the padding", rubbish)


def _both(*, empty: bool = False) -> Judge:
    """Context and weights, for those examples that have keys, or for those that have none."""
    whose = " of examples without keys" if empty else ""
    parts = ("The context", "The array of weights")
    judges = [_examples(i, name + whose, empty=empty) for i, name in enumerate(parts)]

    return every(*judges)


def _examples(part: int, name: str, *, empty: bool = False) -> Judge:
    """One of the two results, for those examples that have keys, or for those that have none."""

    def judge(case: Case, expected: Reply, got: Reply) -> Fault | None:
        want, have = expected["value"], got["value"]
        if not isinstance(have, list | tuple) or len(have) != len(want):
            return differs(want, have, "The result")
        if fault := shape_fault(want[part], have[part], name):
            return fault
        rows = (case.arguments["lengths"] == 0) == empty
        if empty and not np.any(have[part][~rows]):
            return Fault("The examples that have keys get zeros, too.")
        # The others are filled in, so that the first failing example is shown whole.
        seen = np.where(rows.reshape(-1, *[1] * (want[part].ndim - 1)), have[part], want[part])
        return differs(want[part], seen, name)

    return judge


_PLAIN = ("small", "batch", "one query", "as many queries as keys")
_HEADS = ("as many heads as examples", "heads in groups")

padded_attention = Question(
    name="padded_attention",
    title="Attention over padded keys",
    cases=_cases,
    aspects=(
        Aspect("context of examples that have keys", 0.75, _examples(0, "The context"), _PLAIN),
        Aspect(
            "weights of examples that have keys", 0.5, _examples(1, "The array of weights"), _PLAIN
        ),
        Aspect("an example without keys", 0.25, _both(empty=True), _PLAIN),
        Aspect("further axes, such as heads", 0.5, _both(), _HEADS),
        Aspect("large scores", 0.25, _both(), ("large scores",)),
        Aspect("nothing of the padding gets through", 0.25, _both(), ("rubbish in the padding",)),
        Aspect("the dtype of the arguments is kept", 0.25, dtype(), ("float32", "batch")),
        Aspect(
            "arguments untouched, in any memory layout",
            0.25,
            untouched(),
            ("non-contiguous", "batch"),
        ),
    ),
)


@padded_attention.misconception(
    "You do not use the lengths: padding receives weight like a word. Give the keys from `lengths` on a score of "
    "minus infinity before the softmax."
)
def lengths_ignored(queries, keys, values, lengths):
    scores = queries @ np.swapaxes(keys, -1, -2) / queries.shape[-1] ** 0.5
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return weights @ values, weights


@padded_attention.misconception(
    "You mask after the softmax: the real keys' weights no longer add up to 1. Mask the scores, so that the "
    "softmax shares everything out among the real keys."
)
def masked_after_softmax(queries, keys, values, lengths):
    scores = queries @ np.swapaxes(keys, -1, -2) / queries.shape[-1] ** 0.5
    real = np.arange(keys.shape[-2]) < lengths.reshape(-1, *[1] * (scores.ndim - 1))
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights = exponentials / exponentials.sum(axis=-1, keepdims=True) * real
    return weights @ values, weights


@padded_attention.misconception(
    "You give padding the score 0. That is a score like any other, and e⁰ = 1: the padding keeps its share. The "
    "score that gives weight 0 is minus infinity."
)
def padding_scores_zero(queries, keys, values, lengths):
    scores = queries @ np.swapaxes(keys, -1, -2) / queries.shape[-1] ** 0.5
    real = np.arange(keys.shape[-2]) < lengths.reshape(-1, *[1] * (scores.ndim - 1))
    scores = np.where(real, scores, 0)
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return weights @ values, weights


@padded_attention.misconception(
    "An example without keys gives NaN: all its scores are minus infinity, and the softmax divides 0 by 0. Its "
    "weights and its context should be 0."
)
def empty_gives_nan(queries, keys, values, lengths):
    scores = queries @ np.swapaxes(keys, -1, -2) / queries.shape[-1] ** 0.5
    real = np.arange(keys.shape[-2]) < lengths.reshape(-1, *[1] * (scores.ndim - 1))
    scores = np.where(real, scores, -np.inf)
    with np.errstate(invalid="ignore"):
        exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return weights @ values, weights


@padded_attention.misconception(
    "An example without keys receives the average of its padding: a large negative number in every place is a "
    "tie, and a softmax shares ties out evenly. Its weights and its context should be 0."
)
def empty_reads_padding(queries, keys, values, lengths):
    scores = queries @ np.swapaxes(keys, -1, -2) / queries.shape[-1] ** 0.5
    real = np.arange(keys.shape[-2]) < lengths.reshape(-1, *[1] * (scores.ndim - 1))
    scores = np.where(real, scores, -1e9)
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return weights @ values, weights


@padded_attention.misconception(
    "You use plain dot products. The scores of this question are scaled: divide them by √d_k before the softmax."
)
def scaling_forgotten_padded(queries, keys, values, lengths):
    scores = queries @ np.swapaxes(keys, -1, -2)
    real = np.arange(keys.shape[-2]) < lengths.reshape(-1, *[1] * (scores.ndim - 1))
    scores = np.where(real, scores, -np.inf)
    top = scores.max(axis=-1, keepdims=True)
    exponentials = np.exp(scores - np.where(np.isfinite(top), top, 0))
    total = exponentials.sum(axis=-1, keepdims=True)
    weights = exponentials / np.where(total > 0, total, 1)
    return weights @ values, weights


@padded_attention.misconception(
    "You return the weights first and the context second. The order is context, weights: what a query receives, "
    "then how it came about."
)
def results_exchanged_padded(queries, keys, values, lengths):
    scores = queries @ np.swapaxes(keys, -1, -2) / queries.shape[-1] ** 0.5
    real = np.arange(keys.shape[-2]) < lengths.reshape(-1, *[1] * (scores.ndim - 1))
    scores = np.where(real, scores, -np.inf)
    top = scores.max(axis=-1, keepdims=True)
    exponentials = np.exp(scores - np.where(np.isfinite(top), top, 0))
    total = exponentials.sum(axis=-1, keepdims=True)
    weights = exponentials / np.where(total > 0, total, 1)
    return weights, weights @ values
