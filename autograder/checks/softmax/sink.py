"""A masked softmax with a sink: where nothing may be read, or nothing is worth it, attention may stay away."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from autograder.checks.draw import normal, rounded
from autograder.judge import dtype, shape, untouched, values
from autograder.question import Aspect, Case, Question


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    def mask(*size: int) -> np.ndarray:
        """Key 0 is hidden from every query, the last one from none."""
        allowed = rng.random(size) < 0.6
        allowed[..., 0], allowed[..., -1] = False, True
        return allowed

    def case(
        name: str,
        size: tuple[int, int, int, int],
        mask: np.ndarray,
        kind: str = "float64",
        **options: Any,
    ) -> Case:
        arguments = {
            "scores": normal(rng, *size, dtype=kind),
            "mask": mask,
            "sink": normal(rng, size[1], dtype=kind) + np.array(0.5, kind),
        }
        return Case(name, arguments, **options)

    row = rng.permutation([True, True, False])
    small = {"scores": rounded(rng, 1, 2, 1, 3), "mask": row, "sink": rounded(rng, 2)}
    yield Case("small", small)
    yield case("batch", (2, 3, 4, 5), mask(2, 1, 4, 5))
    yield case("float32, padding mask", (2, 3, 4, 6), mask(2, 1, 1, 6), "float32")
    yield case("one query", (2, 4, 1, 5), mask(1, 5))
    no_sink = case("no sink in one head", (2, 3, 4, 5), mask(2, 1, 4, 5))
    no_sink.arguments["sink"][0] = -np.inf
    yield no_sink

    empty = case("rows that see nothing", (2, 3, 4, 5), mask(2, 1, 4, 5))
    yield _emptied(empty)

    # Exponentials overflow in head 1 and underflow in head 0, sinks and all. Query 0 has sink and scores alike,
    # query 1 has the sink far ahead and query 2 far behind, and in all rows the hidden key 0 leads by far.
    large = case("float32, scores in the hundreds", (2, 2, 3, 5), mask(2, 1, 3, 5), "float32")
    level = np.array([-300, 300], dtype="float32")
    large.arguments["scores"] += level[:, None, None] + np.array([[0], [-150], [150]], "float32")
    large.arguments["scores"][..., 0] += 400
    large.arguments["sink"] += level
    yield large

    names = ("scores", "mask", "sink")
    yield case("non-contiguous", (2, 3, 4, 5), mask(2, 1, 4, 5), strided=names)
    by = ("scores", "sink")
    upstream = normal(rng, 2, 3, 4, 5)
    yield case("gradient", (2, 3, 4, 5), mask(2, 1, 4, 5), upstream=upstream, gradient_of=by)
    # In head 0 e to the power of sink − scores is more than float32 can hold; the weights are 0 all the same.
    ahead = case(
        "gradient, a sink far ahead",
        (2, 3, 4, 5),
        mask(2, 1, 4, 5),
        "float32",
        upstream=normal(rng, 2, 3, 4, 5, dtype="float32"),
        gradient_of=("sink",),
    )
    ahead.arguments["sink"][0] += 150
    yield ahead
    nothing = case(
        "gradient, rows that see nothing",
        (2, 3, 4, 5),
        mask(2, 1, 4, 5),
        upstream=normal(rng, 2, 3, 4, 5),
        gradient_of=by,
    )
    yield _emptied(nothing)


def _emptied(case: Case) -> Case:
    """Query 1 may see no key, query 2 all, but their scores are minus infinity; head 0 has no sink."""
    case.arguments["mask"][:, :, 1] = False
    case.arguments["mask"][:, :, 2] = True
    case.arguments["scores"][:, :, 2] = -np.inf
    case.arguments["sink"][0] = -np.inf
    return case


_ORDINARY = ("small", "batch", "float32, padding mask", "one query")

sink_softmax = Question(
    name="sink_softmax",
    title="A masked softmax with a sink",
    cases=_cases,
    library="torch",
    aspects=(
        Aspect("shape (batch, heads, n, m)", 0.25, shape(), _ORDINARY),
        Aspect("values", 1, values(), _ORDINARY),
        Aspect(
            "no sink, and rows that see nothing",
            0.75,
            values(),
            ("no sink in one head", "rows that see nothing"),
        ),
        Aspect("scores in the hundreds", 0.5, values(), ("float32, scores in the hundreds",)),
        Aspect("gradient by the scores", 0.25, values("gradients", "scores"), ("gradient",)),
        Aspect(
            "gradient by the sink",
            0.25,
            values("gradients", "sink"),
            ("gradient", "gradient, a sink far ahead"),
        ),
        Aspect(
            "gradient by the scores where a row sees nothing",
            0.25,
            values("gradients", "scores"),
            ("gradient, rows that see nothing",),
        ),
        Aspect(
            "gradient by the sink where a row sees nothing",
            0.25,
            values("gradients", "sink"),
            ("gradient, rows that see nothing",),
        ),
        Aspect(
            "the dtype of the scores is kept",
            0.25,
            dtype(),
            ("float32, padding mask", "batch"),
        ),
        Aspect(
            "arguments untouched, in any memory layout",
            0.25,
            untouched(),
            ("non-contiguous", "batch"),
        ),
    ),
)


@sink_softmax.misconception(
    "The sink is missing in the denominator: your weights of a row always sum to 1. Add e to the power of the "
    "head's sink to the sum."
)
def sink_forgotten(scores, mask, sink):
    scores = scores.masked_fill(~mask, -torch.inf)
    empty = (scores == -torch.inf).all(dim=-1, keepdim=True)
    return torch.softmax(scores.masked_fill(empty, 0.0), dim=-1).masked_fill(empty, 0.0)


@sink_softmax.misconception(
    "You read the mask the other way round: True means that the query MAY attend to the key."
)
def mask_inverted(scores, mask, sink):
    scores = scores.masked_fill(mask, -torch.inf)
    column = sink[:, None, None].expand(*scores.shape[:-1], 1)
    logits = torch.cat([scores, column], dim=-1)
    empty = (logits == -torch.inf).all(dim=-1, keepdim=True)
    weights = torch.softmax(logits.masked_fill(empty, 0.0), dim=-1).masked_fill(empty, 0.0)
    return weights[..., :-1]


@sink_softmax.misconception(
    "You apply the mask after the softmax: the hidden keys have taken their share of the sum by then. Hide them "
    "before, with minus infinity."
)
def masked_after(scores, mask, sink):
    column = sink[:, None, None].expand(*scores.shape[:-1], 1)
    logits = torch.cat([scores, column], dim=-1)
    empty = (logits == -torch.inf).all(dim=-1, keepdim=True)
    weights = torch.softmax(logits.masked_fill(empty, 0.0), dim=-1).masked_fill(empty, 0.0)
    return weights[..., :-1] * mask


@sink_softmax.misconception(
    "You put the sink into the denominator as it is. It is a logit like the scores: what joins the sum is e to "
    "its power."
)
def sink_not_exponentiated(scores, mask, sink):
    exponentials = torch.exp(scores.masked_fill(~mask, -torch.inf))
    return exponentials / (sink[:, None, None] + exponentials.sum(dim=-1, keepdim=True))


@sink_softmax.misconception(
    "Your denominator has a 1 where the sink belongs: that is a sink of logit 0 in every head. Take the head's "
    "own: e to the power of sink."
)
def sink_of_zero(scores, mask, sink):
    scores = scores.masked_fill(~mask, -torch.inf)
    column = torch.zeros_like(scores[..., :1])
    return torch.softmax(torch.cat([scores, column], dim=-1), dim=-1)[..., :-1]


@sink_softmax.misconception(
    "You return the sink's own share as one more column. It belongs to no key: leave it out, and the rows sum to "
    "less than 1."
)
def sink_column_left(scores, mask, sink):
    scores = scores.masked_fill(~mask, -torch.inf)
    column = sink[:, None, None].expand(*scores.shape[:-1], 1)
    logits = torch.cat([scores, column], dim=-1)
    empty = (logits == -torch.inf).all(dim=-1, keepdim=True)
    return torch.softmax(logits.masked_fill(empty, 0.0), dim=-1).masked_fill(empty, 0.0)


@sink_softmax.misconception(
    "You hide keys by a score of 0, which is a score like any other: e⁰ = 1 joins the sum, and the hidden key "
    "gets a weight. The score of a hidden key is minus infinity."
)
def hidden_by_zero(scores, mask, sink):
    scores = scores.masked_fill(~mask, 0.0)
    column = sink[:, None, None].expand(*scores.shape[:-1], 1)
    return torch.softmax(torch.cat([scores, column], dim=-1), dim=-1)[..., :-1]
