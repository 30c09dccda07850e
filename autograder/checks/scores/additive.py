"""Question 3: additive scores with a bias."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from autograder.checks.draw import normal, rounded
from autograder.judge import dtype, shape, untouched, values
from autograder.question import Aspect, Case, Question


def _additive_cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str, q: tuple, k: tuple, hidden: int, kind: str = "float64", **options: Any
    ) -> Case:
        arguments = {
            "queries": normal(rng, *q, dtype=kind),
            "keys": normal(rng, *k, dtype=kind),
            "W_q": normal(rng, q[-1], hidden, dtype=kind, width=q[-1]),
            "W_k": normal(rng, k[-1], hidden, dtype=kind, width=k[-1]),
            "b": normal(rng, hidden, dtype=kind),
            "w": normal(rng, hidden, dtype=kind),
        }
        return Case(name, arguments, **options)

    small = {"queries": (3, 4), "keys": (1, 5), "W_q": (4, 2), "W_k": (5, 2), "b": (2,), "w": (2,)}
    yield Case("small", {name: rounded(rng, *size) / 2 for name, size in small.items()})
    yield case("batch", (2, 3, 6), (2, 5, 4), 8)
    yield case("one query", (2, 1, 6), (2, 5, 4), 8)
    yield case("one key", (2, 3, 6), (2, 1, 4), 8)
    # Equal sizes let a program run that pairs query i with key i, or takes W_q for W_k.
    yield case("as many queries as keys", (2, 4, 6), (2, 4, 6), 8)
    yield case("batch and heads", (2, 3, 4, 6), (2, 3, 5, 7), 8)
    yield case("keys shared by all heads", (2, 3, 4, 6), (2, 1, 5, 7), 8)
    yield case("each lacks an axis", (2, 1, 4, 6), (3, 5, 7), 8)
    yield case("queries shared by batch and heads", (4, 7), (2, 3, 6, 5), 8)
    yield case("three leading axes", (2, 1, 2, 3, 6), (2, 3, 1, 5, 4), 8)
    yield case("float32, shared keys", (2, 3, 6), (5, 4), 8, kind="float32")
    yield case("float32", (2, 3, 6), (2, 5, 4), 8, kind="float32")
    yield case(
        "non-contiguous",
        (2, 3, 6),
        (2, 5, 4),
        8,
        strided=("queries", "keys", "W_q", "W_k", "b", "w"),
    )
    large = case("large inputs", (2, 3, 6), (2, 5, 4), 8).arguments
    # All three addends grow alike: a forgotten bias still changes the sign of many sums.
    yield Case(
        "large inputs",
        {n: a * (1e3 if n in ("queries", "keys", "b") else 1) for n, a in large.items()},
    )
    # e^x overflows earlier in float32. Eighths keep every sum exact, so that no tanh hangs on a rounding error.
    grid = {n: np.round(8 * a) / 8 for n, a in case("", (2, 3, 6), (2, 5, 4), 8).arguments.items()}
    large32 = {n: a * (256 if n in ("queries", "keys", "b") else 1) for n, a in grid.items()}
    yield Case("large inputs, float32", {n: a.astype("float32") for n, a in large32.items()})


_ADDITIVE = ("small", "batch", "one query", "one key", "as many queries as keys")
_LEADING = (
    "batch and heads",
    "keys shared by all heads",
    "each lacks an axis",
    "queries shared by batch and heads",
    "three leading axes",
)

additive_scores = Question(
    name="additive_scores",
    title="Additive scores with a bias",
    cases=_additive_cases,
    aspects=(
        Aspect("shape (..., n, m)", 0.5, shape(), _ADDITIVE),
        Aspect("values", 1.5, values(), _ADDITIVE),
        Aspect("batch and heads", 0.5, values(), _LEADING),
        Aspect("large inputs", 0.5, values(), ("large inputs", "large inputs, float32")),
        Aspect(
            "the dtype of the arguments is kept",
            0.5,
            dtype(),
            ("float32", "batch", "float32, shared keys"),
        ),
        Aspect(
            "arguments untouched, in any memory layout",
            0.5,
            untouched(),
            ("non-contiguous", "batch"),
        ),
    ),
)


@additive_scores.misconception(
    "The tanh is missing. Without it the score is a sum of a query part and a key part, the softmax cancels "
    "the query part, and every query attends alike."
)
def tanh_forgotten(queries, keys, W_q, W_k, b, w):
    return ((queries @ W_q)[..., :, None, :] + (keys @ W_k)[..., None, :, :] + b) @ w


@additive_scores.misconception(
    "You use ReLU where the additive score has tanh. ReLU is 0 for every negative input, so it cannot tell "
    "those keys apart, and it has no upper bound."
)
def relu_for_tanh(queries, keys, W_q, W_k, b, w):
    return np.maximum((queries @ W_q)[..., :, None, :] + (keys @ W_k)[..., None, :, :] + b, 0) @ w


@additive_scores.misconception(
    "You forgot the bias b: it is added to the projected query and key, inside the tanh."
)
def bias_forgotten(queries, keys, W_q, W_k, b, w):
    return np.tanh((queries @ W_q)[..., :, None, :] + (keys @ W_k)[..., None, :, :]) @ w


@additive_scores.misconception(
    "You add the bias after the tanh. There it shifts all scores alike and the softmax cancels it: it belongs "
    "inside the tanh."
)
def bias_outside_tanh(queries, keys, W_q, W_k, b, w):
    return (np.tanh((queries @ W_q)[..., :, None, :] + (keys @ W_k)[..., None, :, :]) + b) @ w


@additive_scores.misconception(
    "You take the tanh of query and key one by one and add afterwards, so they never meet inside it: add the "
    "projections and b first, then take one tanh."
)
def tanh_of_each_part(queries, keys, W_q, W_k, b, w):
    return (np.tanh(queries @ W_q)[..., :, None, :] + np.tanh(keys @ W_k + b)[..., None, :, :]) @ w


@additive_scores.misconception(
    "Your result is transposed: keys run along the rows. Give the queries the axis before last and the keys "
    "the last: the shape is (..., n, m)."
)
def axes_swapped_additive(queries, keys, W_q, W_k, b, w):
    return np.tanh((queries @ W_q)[..., None, :, :] + (keys @ W_k)[..., :, None, :] + b) @ w


@additive_scores.misconception(
    "You pair query i with key i. Every query meets every key: give each of them an axis of its own (one "
    "`None` in each index), so that broadcasting builds all n times m pairs."
)
def paired_by_position(queries, keys, W_q, W_k, b, w):
    return np.tanh(queries @ W_q + keys @ W_k + b) @ w


@additive_scores.misconception(
    "You multiply by w before the tanh, so there is one tanh for each score and none for each hidden feature. "
    "Take the tanh of all d_h features first; w weighs and adds them up."
)
def w_inside_tanh(queries, keys, W_q, W_k, b, w):
    return np.tanh(((queries @ W_q)[..., :, None, :] + (keys @ W_k)[..., None, :, :] + b) @ w)


@additive_scores.misconception(
    "You add up the hidden features without w. It says how much each feature counts, and with which sign: the "
    "score is their dot product with w."
)
def w_forgotten(queries, keys, W_q, W_k, b, w):
    hidden = np.tanh((queries @ W_q)[..., :, None, :] + (keys @ W_k)[..., None, :, :] + b)
    return hidden.sum(axis=-1)


@additive_scores.misconception(
    "You multiply the projected query by the projected key inside the tanh. There the additive score adds them, "
    "hence its name: the product belongs to the dot-product scores."
)
def multiplied_for_added(queries, keys, W_q, W_k, b, w):
    return np.tanh((queries @ W_q)[..., :, None, :] * (keys @ W_k)[..., None, :, :] + b) @ w
