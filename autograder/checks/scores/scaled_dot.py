"""Question 1: scaled dot-product scores."""

from collections.abc import Iterator

import numpy as np

from autograder.checks.draw import normal, rounded
from autograder.judge import dtype, shape, untouched, values
from autograder.question import Aspect, Case, Question


def _scaled_dot_cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str, queries: np.ndarray, keys: np.ndarray, strided: tuple[str, ...] = ()
    ) -> Case:
        return Case(name, {"queries": queries, "keys": keys}, strided=strided)

    yield case("small", rounded(rng, 2, 4), rounded(rng, 3, 4))
    yield case("batch", normal(rng, 2, 3, 4), normal(rng, 2, 5, 4))
    yield case("one query", normal(rng, 2, 1, 5), normal(rng, 2, 3, 5))
    yield case("one key", normal(rng, 2, 3, 5), normal(rng, 2, 1, 5))
    # Only here does a key that was never transposed go through, so only here is it seen to be wrong.
    yield case("as many keys as features", normal(rng, 2, 3, 6), normal(rng, 2, 6, 6))
    yield case("as many keys as queries", normal(rng, 2, 3, 5), normal(rng, 2, 3, 5))
    yield case("batch and heads", normal(rng, 2, 3, 4, 5), normal(rng, 2, 3, 6, 5))
    yield case("keys shared by all heads", normal(rng, 2, 3, 4, 5), normal(rng, 2, 1, 6, 5))
    yield case("keys shared by batch and heads", normal(rng, 2, 3, 4, 5), normal(rng, 6, 5))
    yield case("each lacks an axis", normal(rng, 2, 1, 4, 5), normal(rng, 3, 6, 5))
    yield case("queries shared by batch and heads", normal(rng, 4, 5), normal(rng, 2, 3, 6, 5))
    # As many examples as heads: only the rule of broadcasting says whose keys these are.
    yield case("keys of each head", normal(rng, 3, 3, 4, 5), normal(rng, 3, 6, 5))
    yield case("three leading axes", normal(rng, 2, 1, 2, 3, 4), normal(rng, 2, 3, 1, 5, 4))
    yield case(
        "float32, shared keys",
        normal(rng, 2, 3, 6, dtype="float32"),
        normal(rng, 5, 6, dtype="float32"),
    )
    yield case(
        "float32", normal(rng, 2, 3, 6, dtype="float32"), normal(rng, 2, 5, 6, dtype="float32")
    )
    yield case("large scores", 1e3 * normal(rng, 2, 3, 4), 1e3 * normal(rng, 2, 5, 4))
    yield case("non-contiguous", normal(rng, 2, 3, 7), normal(rng, 2, 5, 7), ("queries", "keys"))


_OWN_KEYS = (
    "small",
    "batch",
    "one query",
    "one key",
    "as many keys as features",
    "as many keys as queries",
    "large scores",
)
_LEADING = (
    "batch and heads",
    "keys shared by all heads",
    "keys shared by batch and heads",
    "each lacks an axis",
    "queries shared by batch and heads",
    "keys of each head",
    "three leading axes",
)

scaled_dot_scores = Question(
    name="scaled_dot_scores",
    title="Scaled dot-product scores",
    cases=_scaled_dot_cases,
    aspects=(
        Aspect("shape (..., n, m)", 0.5, shape(), (*_OWN_KEYS, *_LEADING)),
        Aspect("values", 1, values(), _OWN_KEYS),
        Aspect("leading axes that broadcast", 0.5, values(), _LEADING),
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


@scaled_dot_scores.misconception(
    "You return plain dot products. With more features they grow like √d_k and the softmax saturates: "
    "divide every score by √d_k."
)
def scaling_forgotten(queries, keys):
    return queries @ np.swapaxes(keys, -1, -2)


@scaled_dot_scores.misconception(
    "You divide by d_k. It is the standard deviation of the dot product that grows with d_k, and that is "
    "√d_k: divide by the root."
)
def divided_by_width(queries, keys):
    return queries @ np.swapaxes(keys, -1, -2) / queries.shape[-1]


@scaled_dot_scores.misconception(
    "You multiply by √d_k, which makes large scores larger still. The scaling undoes the growth: divide."
)
def multiplied_by_root(queries, keys):
    return queries @ np.swapaxes(keys, -1, -2) * queries.shape[-1] ** 0.5


@scaled_dot_scores.misconception(
    "Your result is transposed: keys run along the rows. A row belongs to a query, its entries to the "
    "keys: the shape is (..., n, m)."
)
def axes_swapped(queries, keys):
    return keys @ np.swapaxes(queries, -1, -2) / queries.shape[-1] ** 0.5


@scaled_dot_scores.misconception(
    "You have already applied the softmax: your rows sum to 1. This function returns the scores; they "
    "become weights in the next step."
)
def softmax_applied(queries, keys):
    scores = queries @ np.swapaxes(keys, -1, -2) / queries.shape[-1] ** 0.5
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


@scaled_dot_scores.misconception(
    "You multiply queries by keys without transposing the keys. That runs only where m equals d_k, and "
    "sums over keys, not over features: swap the last two axes of the keys first."
)
def keys_not_transposed(queries, keys):
    return queries @ keys / queries.shape[-1] ** 0.5


@scaled_dot_scores.misconception(
    "You divide by the lengths of the vectors: that is the cosine of their angle, and a long key no longer "
    "counts more than a short one. Divide by √d_k only."
)
def cosine_for_scaling(queries, keys):
    queries = queries / np.linalg.norm(queries, axis=-1, keepdims=True)
    keys = keys / np.linalg.norm(keys, axis=-1, keepdims=True)
    return queries @ np.swapaxes(keys, -1, -2)
