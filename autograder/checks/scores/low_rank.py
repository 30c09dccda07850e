"""Question 2: bilinear scores of low rank."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from autograder.checks.draw import normal, rounded
from autograder.judge import dtype, shape, untouched, values, within
from autograder.question import Aspect, Case, Question


def _low_rank_cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str,
        q: tuple,
        k: tuple,
        rank: int,
        strided: tuple[str, ...] = (),
        kind: str = "float64",
    ) -> Case:
        arguments = {
            "queries": normal(rng, *q, dtype=kind),
            "keys": normal(rng, *k, dtype=kind),
            "U": normal(rng, q[-1], rank, dtype=kind, width=q[-1]),
            "V": normal(rng, k[-1], rank, dtype=kind, width=k[-1]),
        }
        return Case(name, arguments, strided=strided)

    small = {"queries": (3, 4), "keys": (1, 5), "U": (4, 2), "V": (5, 2)}
    yield Case("small", {name: rounded(rng, *size) for name, size in small.items()})
    yield case("batch", (2, 3, 6), (2, 5, 4), 7)
    yield case("one query", (2, 1, 6), (2, 5, 4), 3)
    yield case("one key", (2, 3, 6), (2, 1, 4), 5)
    # Only here can U and V be exchanged without an error.
    yield case("queries as wide as keys", (2, 3, 6), (2, 5, 6), 4)
    yield case("batch and heads", (2, 3, 4, 7), (2, 3, 6, 5), 2)
    yield case("keys shared by all heads", (2, 3, 4, 7), (2, 1, 6, 5), 2)
    yield case("each lacks an axis", (2, 1, 4, 7), (3, 6, 5), 2)
    yield case("queries shared by batch and heads", (4, 7), (2, 3, 6, 5), 7)
    yield case("three leading axes", (2, 1, 2, 3, 6), (2, 3, 1, 5, 4), 7)
    yield case("float32, shared keys", (2, 3, 6), (5, 4), 7, kind="float32")
    yield case("float32", (2, 3, 6), (2, 5, 4), 7, kind="float32")
    yield case("non-contiguous", (2, 3, 6), (2, 5, 4), 7, strided=("queries", "keys", "U", "V"))
    # U Vᵀ would take 12 GB here, and a sum over all four indices at once 10¹⁰ products. Its parts count too:
    # 20 MB are 100 rows of it, and several copies of all arguments. No smaller sizes tell the misconceptions apart.
    yield replace(case("wide", (1, 60_000), (2, 50_000), 2, kind="float32"), held_bytes=20_000_000)


_LOW_RANK = ("small", "batch", "one query", "one key", "queries as wide as keys", "float32")
_LEADING = (
    "batch and heads",
    "keys shared by all heads",
    "each lacks an axis",
    "queries shared by batch and heads",
    "three leading axes",
)


_no_matrix = within(
    "Your function forms a matrix of width d_k for many of the d_q features, whole or in parts.",
    "beside the arguments",
)

low_rank_bilinear_scores = Question(
    name="low_rank_bilinear_scores",
    title="Bilinear scores of low rank",
    cases=_low_rank_cases,
    aspects=(
        Aspect("shape (..., n, m)", 0.5, shape(), _LOW_RANK),
        Aspect("values", 0.75, values(), _LOW_RANK),
        Aspect("batch and heads", 0.5, values(), _LEADING),
        Aspect("no d_q by d_k matrix", 0.5, _no_matrix, ("wide",)),
        Aspect(
            "the dtype of the arguments is kept",
            0.25,
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


@low_rank_bilinear_scores.misconception(
    "You divide by the root of the rank. That belongs to the scaled dot product; a bilinear score learns "
    "its own scale in U and V."
)
def scaled_by_habit(queries, keys, U, V):
    return (queries @ U) @ np.swapaxes(keys @ V, -1, -2) / U.shape[-1] ** 0.5


@low_rank_bilinear_scores.misconception(
    "Your result is transposed: keys run along the rows. A row belongs to a query, its entries to the "
    "keys: the shape is (..., n, m)."
)
def axes_swapped_low_rank(queries, keys, U, V):
    return (keys @ V) @ np.swapaxes(queries @ U, -1, -2)


@low_rank_bilinear_scores.misconception(
    "You exchanged the factors: U projects the queries and V the keys. It goes through only where both "
    "are equally wide."
)
def factors_exchanged(queries, keys, U, V):
    return (queries @ V) @ np.swapaxes(keys @ U, -1, -2)


@low_rank_bilinear_scores.misconception(
    "You add up the projections before you multiply them. A dot product multiplies feature by feature "
    "first, and sums the products."
)
def sums_before_product(queries, keys, U, V):
    return (queries @ U).sum(axis=-1)[..., :, None] * (keys @ V).sum(axis=-1)[..., None, :]


@low_rank_bilinear_scores.misconception(
    "You passed the projections through tanh. A bilinear score has no nonlinearity; tanh belongs to the "
    "additive score."
)
def tanh_by_habit(queries, keys, U, V):
    return np.tanh(queries @ U) @ np.swapaxes(np.tanh(keys @ V), -1, -2)


@low_rank_bilinear_scores.misconception(
    "You divide by the root of the keys' width. That belongs to the scaled dot product of queries and keys; a "
    "bilinear score learns its own scale in U and V."
)
def scaled_by_key_width(queries, keys, U, V):
    return (queries @ U) @ np.swapaxes(keys @ V, -1, -2) / keys.shape[-1] ** 0.5
