"""Query heads in groups that share one head of keys and values."""

from collections.abc import Iterator

import numpy as np

from autograder.checks.draw import normal, rounded
from autograder.judge import dtype, shape, untouched, values, within
from autograder.question import Aspect, Case, Question
from autograder.rules import Forbidden


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    # More than one group of more than one head, and more than one key: else groups and scaling could be wrong.
    def case(
        name: str,
        leading: tuple[int, ...],
        heads: tuple[int, int],
        n: int,
        m: int = 5,
        kind: str = "float64",
        strided: tuple[str, ...] = (),
    ) -> Case:
        h, g = heads
        arguments = {
            "queries": normal(rng, *leading, h, n, 6, dtype=kind),
            "keys": normal(rng, *leading, g, m, 6, dtype=kind),
            "values": normal(rng, *leading, g, m, 7, dtype=kind),
        }
        return Case(name, arguments, strided=strided)

    sizes = {"queries": (4, 1, 2), "keys": (2, 2, 2), "values": (2, 2, 1)}
    yield Case("small", {name: rounded(rng, *size) for name, size in sizes.items()})
    yield case("no leading axis", (), (6, 3), 4)
    yield case("batch", (2,), (6, 2), 3)
    yield case("one query", (2,), (8, 4), 1)
    # Only here does a program run that takes groups for heads of a group, or heads for positions.
    yield case("as many groups as heads in each", (2,), (9, 3), 3, m=3)
    # Two edges, where some mistakes are right.
    yield case("as many key heads as query heads", (2,), (3, 3), 4)
    yield case("one key head", (2,), (4, 1), 3)
    # Repeated keys or values would take 4 MB, and all that is needed not one: room is left for copies. (One key head
    # would not do: NumPy can repeat that as a view.)
    sizes = {"queries": (128, 1, 64), "keys": (2, 64, 64), "values": (2, 64, 64)}
    yield Case(
        "many query heads",
        {name: normal(rng, *size) for name, size in sizes.items()},
        held_bytes=2_000_000,
    )
    yield case("two leading axes", (3, 2), (4, 2), 3)
    yield case("float32", (2,), (6, 2), 3, kind="float32")
    yield case("non-contiguous", (2,), (6, 2), 3, strided=("queries", "keys", "values"))
    # All scores lie near 800, where e^score overflows; with eighths and d_k = 4 they are exact in any precision.
    q, k = (np.round(8 * normal(rng, 2, heads, m, 4)) / 8 for heads, m in ((6, 3), (2, 5)))
    q[..., 0] = k[..., 0] = 40
    yield Case("large scores", {"queries": q, "keys": k, "values": normal(rng, 2, 2, 5, 7)})


_not_repeated = within(
    "Right, but an array arises that is as large as the keys or values repeated for every query head.",
    "during the call",
    digits=1,
)

_PLAIN = (
    "small",
    "batch",
    "one query",
    "as many groups as heads in each",
)

grouped_query_attention = Question(
    name="grouped_query_attention",
    title="Grouped queries, nothing repeated",
    cases=_cases,
    rules=(
        Forbidden(
            names=(
                "numpy.repeat",
                "numpy.tile",
                "numpy.ndarray.repeat",
                "torch.repeat_interleave",
                "torch.tile",
                "torch.Tensor.repeat",
                "torch.Tensor.repeat_interleave",
                "torch.Tensor.tile",
            ),
            what="repeating keys and values",
            why="give the query heads an axis for the groups and let `@` broadcast",
            costs=("keys and values are not repeated",),
        ),
    ),
    aspects=(
        Aspect("shape (..., h, n, d_v)", 0.5, shape(), _PLAIN),
        Aspect("values", 1, values(), _PLAIN),
        Aspect(
            "any leading axes, any number of key heads",
            0.5,
            values(),
            (
                "no leading axis",
                "two leading axes",
                "as many key heads as query heads",
                "one key head",
            ),
        ),
        Aspect("large scores", 0.5, values(), ("large scores",)),
        Aspect(
            "keys and values are not repeated",
            0.5,
            _not_repeated,
            ("small", "batch", "many query heads"),
        ),
        Aspect("the dtype of the arguments is kept", 0.5, dtype(), ("float32", "batch")),
        Aspect(
            "arguments untouched, in any memory layout",
            0.5,
            untouched(),
            ("non-contiguous", "batch"),
        ),
    ),
)


@grouped_query_attention.misconception(
    "You deal the key heads out in turn: query head t gets key head t mod g. Neighbours form a group: query heads "
    "0 … h/g − 1 share key head 0, the next h/g key head 1."
)
def heads_dealt_in_turn(queries, keys, values):
    *leading, h, n, d_k = queries.shape
    g = keys.shape[-3]
    q = queries.reshape(*leading, h // g, g, n, d_k)
    scores = q @ np.swapaxes(keys[..., None, :, :, :], -1, -2) / d_k**0.5
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    return (weights @ values[..., None, :, :, :]).reshape(*leading, h, n, -1)


@grouped_query_attention.misconception(
    "The scaling is missing: divide every score by √d_k before the softmax."
)
def scaling_forgotten(queries, keys, values):
    *leading, h, n, d_k = queries.shape
    g = keys.shape[-3]
    q = queries.reshape(*leading, g, h // g, n, d_k)
    scores = q @ np.swapaxes(keys[..., None, :, :], -1, -2)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    return (weights @ values[..., None, :, :]).reshape(*leading, h, n, -1)


@grouped_query_attention.misconception(
    "Your softmax runs over the query heads of a group: they compete for each key. The keys compete for each query of "
    "each head: the softmax runs over the last axis of the scores."
)
def softmax_over_the_group(queries, keys, values):
    *leading, h, n, d_k = queries.shape
    g = keys.shape[-3]
    q = queries.reshape(*leading, g, h // g, n, d_k)
    scores = q @ np.swapaxes(keys[..., None, :, :], -1, -2) / d_k**0.5
    weights = np.exp(scores - scores.max(-3, keepdims=True))
    weights /= weights.sum(-3, keepdims=True)
    return (weights @ values[..., None, :, :]).reshape(*leading, h, n, -1)


@grouped_query_attention.misconception(
    "All your query heads use the first head of keys and values. That is multi-query attention, g = 1: here each group "
    "has a head of its own."
)
def first_key_head_for_all(queries, keys, values):
    scores = queries @ np.swapaxes(keys[..., :1, :, :], -1, -2) / queries.shape[-1] ** 0.5
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    return weights @ values[..., :1, :, :]


@grouped_query_attention.misconception(
    "You average the query heads of a group before they attend. A group shares keys and values only: every query head "
    "keeps its own scores, weights and context."
)
def queries_averaged(queries, keys, values):
    *leading, h, n, d_k = queries.shape
    g = keys.shape[-3]
    q = queries.reshape(*leading, g, h // g, n, d_k).mean(-3, keepdims=True)
    scores = q @ np.swapaxes(keys[..., None, :, :], -1, -2) / d_k**0.5
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    context = weights @ values[..., None, :, :]
    everyone = np.zeros((h // g, 1, 1), dtype=context.dtype)
    return (context + everyone).reshape(*leading, h, n, -1)


@grouped_query_attention.misconception(
    "You return one context for each key head: the query heads of a group were added up. All h query heads have a "
    "context of their own, so the result has h heads."
)
def contexts_added_up(queries, keys, values):
    *leading, h, n, d_k = queries.shape
    g = keys.shape[-3]
    q = queries.reshape(*leading, g, h // g, n, d_k)
    scores = q @ np.swapaxes(keys[..., None, :, :], -1, -2) / d_k**0.5
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    return (weights @ values[..., None, :, :]).sum(-3)
