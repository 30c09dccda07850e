"""The checks of `memory_backward`: gradients through attention whose keys and values are one memory."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from autograder.checks.draw import normal, rounded
from autograder.checks.forbid import DIFFERENTIATION
from autograder.judge import dtype, every, item, shape, untouched
from autograder.question import Aspect, Case, Question
from autograder.rules import Forbidden


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str,
        sizes: tuple[int, int, int],
        d_q: int,
        d: int,
        lengths: list[int],
        kind: str = "float64",
        **options: Any,
    ) -> Case:
        batch, n, m = sizes
        arguments = {
            "queries": normal(rng, batch, n, d_q, dtype=kind),
            "memory": normal(rng, batch, m, d, dtype=kind),
            "W": normal(rng, d_q, d, dtype=kind, width=d_q * d),
            "mask": np.arange(m) < np.array(lengths)[:, None],
            "upstream": normal(rng, batch, n, d, dtype=kind),
        }
        return Case(name, arguments, **options)

    # Every case has padding, and two examples whose parts of the gradient by W must be added up.
    small = {"queries": (2, 2, 3), "memory": (2, 3, 2), "W": (3, 2)}
    arguments = {name: rounded(rng, *size) / 2 for name, size in small.items()}
    mask = np.array([[True, True, False], [True, True, True]])
    yield Case("small", arguments | {"mask": mask, "upstream": rounded(rng, 2, 2, 2)})
    yield case("batch", (3, 2, 5), 6, 4, [5, 3, 4])
    yield case("one query", (2, 1, 4), 6, 3, [3, 2])
    # Only here does a W that was not transposed go through, or a transpose that was forgotten.
    yield case("queries as wide as the memory", (2, 3, 4), 5, 5, [2, 4])
    yield case("as many queries as positions", (2, 4, 4), 4, 4, [3, 4])
    gaps = case("gaps in the memory", (2, 3, 6), 5, 4, [6, 5])
    gaps.arguments["mask"][:, [0, 3]] = [[False, True], [True, False]]
    yield gaps
    yield case("an empty memory", (3, 2, 5), 4, 6, [3, 0, 4])
    yield case("float32", (2, 3, 5), 6, 4, [4, 3], kind="float32")
    names = ("queries", "memory", "W", "mask", "upstream")
    yield case("non-contiguous", (2, 3, 5), 6, 4, [4, 3], strided=names)


_GRADIENTS = ((1, "d_memory"), (0, "d_queries"), (2, "d_W"))
# An example without a memory has no gradients, and adds nothing to that of W.
_EMPTY = every(*(item(i, name) for i, name in _GRADIENTS))
_PLAIN = ("small", "batch", "one query", "queries as wide as the memory", "gaps in the memory")
_EQUAL = "as many queries as positions"

memory_backward = Question(
    name="memory_backward",
    title="The backward pass of a memory",
    cases=_cases,
    rules=(
        Forbidden(
            names=DIFFERENTIATION,
            what="automatic differentiation",
            why="write the derivative as matrix products",
        ),
    ),
    aspects=(
        Aspect("shapes", 0.5, shape(), (*_PLAIN, _EQUAL)),
        Aspect("d_queries", 1, item(0, "d_queries"), (*_PLAIN, _EQUAL)),
        Aspect("d_memory", 1.5, item(1, "d_memory"), (*_PLAIN, _EQUAL)),
        Aspect("d_W", 1, item(2, "d_W"), (*_PLAIN, _EQUAL)),
        Aspect("an empty memory", 0.5, _EMPTY, ("an empty memory",)),
        Aspect("the dtype of the arguments is kept", 0.25, dtype(), ("float32", "batch")),
        Aspect(
            "arguments untouched, in any memory layout",
            0.25,
            untouched(),
            ("non-contiguous", "batch"),
        ),
    ),
)


@memory_backward.misconception(
    "Your d_memory knows the memory as values only. It was read twice: as keys it also shaped the weights, and "
    "the two gradients add."
)
def as_values_only(queries, memory, W, mask, upstream):
    weights = np.exp(queries @ W @ memory.swapaxes(-1, -2)) * mask[:, None]
    total = weights.sum(axis=-1, keepdims=True)
    weights = weights / np.where(total > 0, total, 1)
    d_weights = upstream @ memory.swapaxes(-1, -2)
    d_scores = weights * (d_weights - (weights * d_weights).sum(axis=-1, keepdims=True))
    d_projected = d_scores @ memory
    d_queries = d_projected @ W.T
    d_memory = weights.swapaxes(-1, -2) @ upstream
    d_W = (queries.swapaxes(-1, -2) @ d_projected).sum(axis=0)
    return d_queries, d_memory, d_W


@memory_backward.misconception(
    "Your d_memory knows the memory as keys only. It was read twice: as values it is mixed into the context, with "
    "the weights as factors, and the two gradients add."
)
def as_keys_only(queries, memory, W, mask, upstream):
    weights = np.exp(queries @ W @ memory.swapaxes(-1, -2)) * mask[:, None]
    total = weights.sum(axis=-1, keepdims=True)
    weights = weights / np.where(total > 0, total, 1)
    d_weights = upstream @ memory.swapaxes(-1, -2)
    d_scores = weights * (d_weights - (weights * d_weights).sum(axis=-1, keepdims=True))
    d_projected = d_scores @ memory
    d_queries = d_projected @ W.T
    d_memory = d_scores.swapaxes(-1, -2) @ (queries @ W)
    d_W = (queries.swapaxes(-1, -2) @ d_projected).sum(axis=0)
    return d_queries, d_memory, d_W


@memory_backward.misconception(
    "Your softmax's backward is weights times gradient. Weights add up to 1, so a weight grows only at the "
    "others' cost: subtract the row's average, Σ_j a_ij ∂L/∂a_ij, before you multiply."
)
def average_not_subtracted(queries, memory, W, mask, upstream):
    weights = np.exp(queries @ W @ memory.swapaxes(-1, -2)) * mask[:, None]
    total = weights.sum(axis=-1, keepdims=True)
    weights = weights / np.where(total > 0, total, 1)
    d_weights = upstream @ memory.swapaxes(-1, -2)
    d_scores = weights * d_weights
    d_projected = d_scores @ memory
    d_queries = d_projected @ W.T
    d_memory = weights.swapaxes(-1, -2) @ upstream + d_scores.swapaxes(-1, -2) @ (queries @ W)
    d_W = (queries.swapaxes(-1, -2) @ d_projected).sum(axis=0)
    return d_queries, d_memory, d_W


@memory_backward.misconception(
    "In your softmax's backward the average is taken over the queries. Weights add up to 1 along the keys: "
    "average along the last axis."
)
def average_over_queries(queries, memory, W, mask, upstream):
    weights = np.exp(queries @ W @ memory.swapaxes(-1, -2)) * mask[:, None]
    total = weights.sum(axis=-1, keepdims=True)
    weights = weights / np.where(total > 0, total, 1)
    d_weights = upstream @ memory.swapaxes(-1, -2)
    d_scores = weights * (d_weights - (weights * d_weights).sum(axis=-2, keepdims=True))
    d_projected = d_scores @ memory
    d_queries = d_projected @ W.T
    d_memory = weights.swapaxes(-1, -2) @ upstream + d_scores.swapaxes(-1, -2) @ (queries @ W)
    d_W = (queries.swapaxes(-1, -2) @ d_projected).sum(axis=0)
    return d_queries, d_memory, d_W


@memory_backward.misconception(
    "You divide by the root of the width. That belongs to the scaled dot product; this score is the plain qᵀ W h."
)
def scaled_by_habit_backward(queries, memory, W, mask, upstream):
    weights = np.exp(queries @ W @ memory.swapaxes(-1, -2)) * mask[:, None]
    total = weights.sum(axis=-1, keepdims=True)
    weights = weights / np.where(total > 0, total, 1)
    d_weights = upstream @ memory.swapaxes(-1, -2)
    d_scores = weights * (d_weights - (weights * d_weights).sum(axis=-1, keepdims=True))
    d_scores = d_scores / W.shape[-1] ** 0.5
    d_projected = d_scores @ memory
    d_queries = d_projected @ W.T
    d_memory = weights.swapaxes(-1, -2) @ upstream + d_scores.swapaxes(-1, -2) @ (queries @ W)
    d_W = (queries.swapaxes(-1, -2) @ d_projected).sum(axis=0)
    return d_queries, d_memory, d_W


@memory_backward.misconception(
    "You do not use the mask: your weights, and so all gradients, count the padding in."
)
def mask_ignored_backward(queries, memory, W, mask, upstream):
    weights = np.exp(queries @ W @ memory.swapaxes(-1, -2))
    total = weights.sum(axis=-1, keepdims=True)
    weights = weights / np.where(total > 0, total, 1)
    d_weights = upstream @ memory.swapaxes(-1, -2)
    d_scores = weights * (d_weights - (weights * d_weights).sum(axis=-1, keepdims=True))
    d_projected = d_scores @ memory
    d_queries = d_projected @ W.T
    d_memory = weights.swapaxes(-1, -2) @ upstream + d_scores.swapaxes(-1, -2) @ (queries @ W)
    d_W = (queries.swapaxes(-1, -2) @ d_projected).sum(axis=0)
    return d_queries, d_memory, d_W


@memory_backward.misconception(
    "You use W where its transpose belongs: the way back to the queries goes through Wᵀ. It runs only where both "
    "sides are equally wide."
)
def weight_not_transposed(queries, memory, W, mask, upstream):
    weights = np.exp(queries @ W @ memory.swapaxes(-1, -2)) * mask[:, None]
    total = weights.sum(axis=-1, keepdims=True)
    weights = weights / np.where(total > 0, total, 1)
    d_weights = upstream @ memory.swapaxes(-1, -2)
    d_scores = weights * (d_weights - (weights * d_weights).sum(axis=-1, keepdims=True))
    d_projected = d_scores @ memory
    d_queries = d_projected @ W
    d_memory = weights.swapaxes(-1, -2) @ upstream + d_scores.swapaxes(-1, -2) @ (queries @ W)
    d_W = (queries.swapaxes(-1, -2) @ d_projected).sum(axis=0)
    return d_queries, d_memory, d_W


@memory_backward.misconception(
    "Your d_W has one matrix per example. W is shared by the whole batch, so its gradient is the sum over the "
    "examples, in W's own shape."
)
def weight_gradient_per_example(queries, memory, W, mask, upstream):
    weights = np.exp(queries @ W @ memory.swapaxes(-1, -2)) * mask[:, None]
    total = weights.sum(axis=-1, keepdims=True)
    weights = weights / np.where(total > 0, total, 1)
    d_weights = upstream @ memory.swapaxes(-1, -2)
    d_scores = weights * (d_weights - (weights * d_weights).sum(axis=-1, keepdims=True))
    d_projected = d_scores @ memory
    d_queries = d_projected @ W.T
    d_memory = weights.swapaxes(-1, -2) @ upstream + d_scores.swapaxes(-1, -2) @ (queries @ W)
    d_W = queries.swapaxes(-1, -2) @ d_projected
    return d_queries, d_memory, d_W
