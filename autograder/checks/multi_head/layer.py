"""Multi-head attention under two masks at once, with an example in which nothing may be seen."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from autograder.checks.draw import normal, rounded
from autograder.checks.multi_head.judges import same_outputs
from autograder.judge import dtype, gradients, untouched, values
from autograder.question import Aspect, Case, Question
from autograder.rules import Forbidden

LEARNED = ("queries", "memory", "W_q", "W_k", "W_v", "W_o")


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    # In every case padding hides a key that is not in the future and the future one that is no padding, at least
    # two keys remain somewhere, and the first query is not at place 0 (but for an edge): else one of the masks could
    # be left out.
    def case(
        name: str,
        n: int,
        lengths: tuple[int, ...],
        offset: int,
        m: int = 5,
        heads: int = 3,
        kind: str = "float64",
        **options: Any,
    ) -> Case:
        d, d_memory, d_k, d_v, d_out = 6, 9, 4, 7, 8
        arguments = {
            "queries": normal(rng, len(lengths), n, d, dtype=kind),
            "memory": normal(rng, len(lengths), m, d_memory, dtype=kind),
            "W_q": normal(rng, d, heads * d_k, dtype=kind, width=d),
            "W_k": normal(rng, d_memory, heads * d_k, dtype=kind, width=d_memory),
            "W_v": normal(rng, d_memory, heads * d_v, dtype=kind, width=d_memory),
            "W_o": normal(rng, heads * d_v, d_out, dtype=kind, width=heads * d_v),
            "heads": heads,
            "lengths": np.array(lengths),
            "offset": offset,
        }
        return Case(name, arguments, **options)

    sizes = {"queries": (1, 3, 2), "memory": (1, 4, 3), "W_q": (2, 4), "W_k": (3, 4), "W_v": (3, 2)}
    small = {name: rounded(rng, *size) / 2 for name, size in sizes.items()}
    small |= {"W_o": rounded(rng, 2, 1), "heads": 2, "lengths": np.array([3]), "offset": 1}
    yield Case("small", small)
    yield case("batch", 3, (5, 3), 1)
    yield case("one query", 1, (4, 2), 2)
    yield case("as many queries as keys", 4, (2, 4, 3), 1, m=4)
    # An edge, where one mistake is right: both sequences start together.
    yield case("from the start", 3, (4, 2), 0)
    # Only here does a mask go through that lacks an axis for the heads.
    yield case("as many heads as examples", 3, (4, 2), 1, heads=2)
    yield case("float32", 3, (5, 3), 1, kind="float32")
    hidden = case("hidden", 3, (3, 3, 5, 5), 1)
    # Two pairs that are alike but for one position: padding in the first, the future in the second.
    for argument in ("queries", "memory"):
        hidden.arguments[argument][1::2] = hidden.arguments[argument][::2]
    hidden.arguments["memory"][1, 3] += 1
    hidden.arguments["memory"][3, 4] += 1
    yield hidden
    yield case("an empty example", 3, (0, 3, 5), 1)
    yield case("non-contiguous", 3, (5, 3), 1, strided=(*LEARNED, "lengths"))
    yield case("gradient", 3, (5, 3), 1, upstream=normal(rng, 2, 3, 8), gradient_of=LEARNED)
    yield case(
        "gradient, an empty example",
        2,
        (3, 0),
        1,
        upstream=normal(rng, 2, 2, 8),
        gradient_of=LEARNED,
    )


_PLAIN = (
    "small",
    "batch",
    "one query",
    "as many queries as keys",
    "from the start",
    "as many heads as examples",
)

multi_head_attention = Question(
    name="multi_head_attention",
    title="Multi-head attention under two masks",
    cases=_cases,
    library="torch",
    rules=(
        Forbidden(
            names=(
                "torch.nn.MultiheadAttention",
                "torch.nn.functional.multi_head_attention_forward",
                "torch.nn.functional.scaled_dot_product_attention",
                "torch.ops.aten.scaled_dot_product_attention",
            ),
            what="PyTorch's own attention",
            why="write it from matrix products and a softmax",
        ),
    ),
    aspects=(
        # First, so that its small example is the one shown.
        Aspect("values", 1, values(), _PLAIN),
        Aspect(
            "padding is hidden",
            0.5,
            same_outputs(
                0,
                1,
                slice(0, 3),
                "Two examples that differ in their padding only have other outputs.",
            ),
            ("hidden",),
        ),
        Aspect(
            "the future is hidden",
            0.5,
            same_outputs(
                2, 3, slice(0, 3), "Two examples that differ in the future only have other outputs."
            ),
            ("hidden",),
        ),
        Aspect("zeros where nothing may be seen", 0.5, values(), ("an empty example",)),
        Aspect("gradients", 0.5, gradients(), ("gradient",)),
        Aspect(
            "gradients where nothing may be seen",
            0.5,
            gradients(),
            ("gradient, an empty example",),
        ),
        Aspect("the dtype of the arguments is kept", 0.25, dtype(), ("float32", "batch")),
        Aspect(
            "arguments untouched, in any memory layout",
            0.25,
            untouched(),
            ("non-contiguous", "batch"),
        ),
    ),
)


@multi_head_attention.misconception(
    "Your mask has the opposite sense: you hide what may be seen and look at the rest. Here True means that a query "
    "may attend, while `masked_fill` fills where its mask is True: give it `~mask`."
)
def mask_inverted(queries, memory, W_q, W_k, W_v, W_o, heads, lengths, offset):
    q, k, v = (
        (x @ W).unflatten(-1, (heads, -1)).transpose(1, 2)
        for x, W in ((queries, W_q), (memory, W_k), (memory, W_v))
    )
    scores = q @ k.mT / q.shape[-1] ** 0.5
    places = torch.arange(k.shape[2])
    past = places <= offset + torch.arange(q.shape[2])[:, None]
    mask = ~(past & (places < lengths[:, None, None]))[:, None]
    weights = scores.masked_fill(~mask, -1e30).softmax(-1).masked_fill(~mask, 0)
    return (weights @ v).transpose(1, 2).flatten(2) @ W_o


@multi_head_attention.misconception(
    "You count the queries from 0 and forget the offset: query i stands at place offset + i, so it may see the keys up "
    "to that place. `torch.tril` alone is right only where both sequences start together."
)
def offset_forgotten(queries, memory, W_q, W_k, W_v, W_o, heads, lengths, offset):
    q, k, v = (
        (x @ W).unflatten(-1, (heads, -1)).transpose(1, 2)
        for x, W in ((queries, W_q), (memory, W_k), (memory, W_v))
    )
    scores = q @ k.mT / q.shape[-1] ** 0.5
    places = torch.arange(k.shape[2])
    past = places <= torch.arange(q.shape[2])[:, None]
    mask = (past & (places < lengths[:, None, None]))[:, None]
    weights = scores.masked_fill(~mask, -1e30).softmax(-1).masked_fill(~mask, 0)
    return (weights @ v).transpose(1, 2).flatten(2) @ W_o


@multi_head_attention.misconception(
    "Your queries see the future: only the padding is hidden. A key at place j may be seen from place offset + i only "
    "where j ≤ offset + i."
)
def future_seen(queries, memory, W_q, W_k, W_v, W_o, heads, lengths, offset):
    q, k, v = (
        (x @ W).unflatten(-1, (heads, -1)).transpose(1, 2)
        for x, W in ((queries, W_q), (memory, W_k), (memory, W_v))
    )
    scores = q @ k.mT / q.shape[-1] ** 0.5
    mask = (torch.arange(k.shape[2]) < lengths[:, None, None])[:, None]
    weights = scores.masked_fill(~mask, -1e30).softmax(-1).masked_fill(~mask, 0)
    return (weights @ v).transpose(1, 2).flatten(2) @ W_o


@multi_head_attention.misconception(
    "Your queries see the padding: only the future is hidden. In example b only the keys j < lengths[b] are real."
)
def padding_seen(queries, memory, W_q, W_k, W_v, W_o, heads, lengths, offset):
    q, k, v = (
        (x @ W).unflatten(-1, (heads, -1)).transpose(1, 2)
        for x, W in ((queries, W_q), (memory, W_k), (memory, W_v))
    )
    scores = q @ k.mT / q.shape[-1] ** 0.5
    mask = torch.arange(k.shape[2]) <= offset + torch.arange(q.shape[2])[:, None]
    weights = scores.masked_fill(~mask, -1e30).softmax(-1).masked_fill(~mask, 0)
    return (weights @ v).transpose(1, 2).flatten(2) @ W_o


@multi_head_attention.misconception(
    "You divide the scores by the root of the width of all heads together. Each head multiplies vectors of its own "
    "width d_k: divide by √d_k."
)
def scaled_by_all_heads(queries, memory, W_q, W_k, W_v, W_o, heads, lengths, offset):
    q, k, v = (
        (x @ W).unflatten(-1, (heads, -1)).transpose(1, 2)
        for x, W in ((queries, W_q), (memory, W_k), (memory, W_v))
    )
    scores = q @ k.mT / W_q.shape[-1] ** 0.5
    places = torch.arange(k.shape[2])
    past = places <= offset + torch.arange(q.shape[2])[:, None]
    mask = (past & (places < lengths[:, None, None]))[:, None]
    weights = scores.masked_fill(~mask, -1e30).softmax(-1).masked_fill(~mask, 0)
    return (weights @ v).transpose(1, 2).flatten(2) @ W_o


@multi_head_attention.misconception(
    "You set hidden weights to 0 after the softmax, so the rest no longer sums to 1. Hide the scores before the "
    "softmax, with minus infinity or a very large negative number."
)
def masked_after_the_softmax(queries, memory, W_q, W_k, W_v, W_o, heads, lengths, offset):
    q, k, v = (
        (x @ W).unflatten(-1, (heads, -1)).transpose(1, 2)
        for x, W in ((queries, W_q), (memory, W_k), (memory, W_v))
    )
    scores = q @ k.mT / q.shape[-1] ** 0.5
    places = torch.arange(k.shape[2])
    past = places <= offset + torch.arange(q.shape[2])[:, None]
    mask = (past & (places < lengths[:, None, None]))[:, None]
    weights = scores.softmax(-1).masked_fill(~mask, 0)
    return (weights @ v).transpose(1, 2).flatten(2) @ W_o


@multi_head_attention.misconception(
    "You cut the heads with one reshape to (batch, heads, n, d_k). That gives a head whole features of some positions: "
    "reshape to (batch, n, heads, d_k) and exchange the axes of positions and heads."
)
def cut_along_positions(queries, memory, W_q, W_k, W_v, W_o, heads, lengths, offset):
    q, k, v = (
        (x @ W).reshape(x.shape[0], heads, x.shape[1], -1)
        for x, W in ((queries, W_q), (memory, W_k), (memory, W_v))
    )
    scores = q @ k.mT / q.shape[-1] ** 0.5
    places = torch.arange(k.shape[2])
    past = places <= offset + torch.arange(q.shape[2])[:, None]
    mask = (past & (places < lengths[:, None, None]))[:, None]
    weights = scores.masked_fill(~mask, -1e30).softmax(-1).masked_fill(~mask, 0)
    return (weights @ v).transpose(1, 2).flatten(2) @ W_o


@multi_head_attention.misconception(
    "The output projection is missing: you return the merged heads. W_o mixes them and leads to the width d_out."
)
def output_projection_forgotten(queries, memory, W_q, W_k, W_v, W_o, heads, lengths, offset):
    q, k, v = (
        (x @ W).unflatten(-1, (heads, -1)).transpose(1, 2)
        for x, W in ((queries, W_q), (memory, W_k), (memory, W_v))
    )
    scores = q @ k.mT / q.shape[-1] ** 0.5
    places = torch.arange(k.shape[2])
    past = places <= offset + torch.arange(q.shape[2])[:, None]
    mask = (past & (places < lengths[:, None, None]))[:, None]
    weights = scores.masked_fill(~mask, -1e30).softmax(-1).masked_fill(~mask, 0)
    return (weights @ v).transpose(1, 2).flatten(2)
