"""A hard read with a soft gradient. In row 0 noise, temperature and mask each decide who is read."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from autograder.checks.draw import normal
from autograder.judge import dtype, shape, untouched, values
from autograder.question import Aspect, Case, Question


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str,
        *size: int,
        kind: str = "float64",
        mask: tuple[int, ...] | None = None,
        **options: Any,
    ) -> Case:
        scores, noise = normal(rng, *size), rng.gumbel(size=size)
        allowed = rng.random(mask or size) < 0.7
        read, tempting, hidden = rng.permutation(size[-1])[:3]
        allowed[..., [read, tempting]], allowed[..., hidden] = True, False
        if size[-2] > 1:  # of the last query's keys none gets half of the weight
            scores[..., -1, :] /= 20
            noise[..., -1, :] /= 20
            if allowed.ndim > 1:
                allowed[..., -1, :] = True
        row = (0,) * (len(size) - 1)
        # The sums of the first query: 2 is read; 1.6, ahead before the noise, and 5.4, hidden, are not.
        scores[row], noise[row] = scores[row] / 4 - 1, noise[row] / 8
        scores[(*row, read)], noise[(*row, read)] = 0.0, 2.0
        scores[(*row, tempting)], noise[(*row, tempting)] = 1.5, 0.1
        scores[(*row, hidden)], noise[(*row, hidden)] = 2.4, 3.0
        scores, noise = (np.round(x + 0.01 * normal(rng, *size), 2) for x in (scores, noise))
        # No two sums of a row are closer than 0.05: rounding never decides who is read.
        noise = noise + 0.05 * (scores + noise).argsort(axis=-1).argsort(axis=-1)
        arguments = {
            "scores": scores.astype(kind),
            "gumbel": noise.astype(kind),
            "tau": np.array(round(rng.uniform(0.4, 0.6), 2), dtype=kind),
            "mask": allowed,
        }
        return Case(name, arguments, **options)

    yield case("small", 1, 4)
    yield case("batch", 2, 3, 5)
    yield case("one query", 2, 1, 6)
    yield case("batch and heads", 2, 3, 4, 5, mask=(2, 1, 4, 5))
    yield case("mask for all queries", 2, 3, 7, mask=(7,))
    yield case("float32", 2, 3, 6, kind="float32")
    yield case("non-contiguous", 2, 3, 5, strided=("scores", "gumbel", "mask"))
    by = ("scores", "tau")
    for name, size in (("gradient", (2, 3, 5)), ("gradient, batch and heads", (2, 3, 4, 6))):
        upstream = normal(rng, *size)
        yield case(name, *size, upstream=upstream, gradient_of=by)


_ORDINARY = ("small", "batch", "one query", "batch and heads", "mask for all queries")
_GRADIENTS = ("gradient", "gradient, batch and heads")

straight_through_sample = Question(
    name="straight_through_sample",
    title="A hard read with a soft gradient",
    cases=_cases,
    library="torch",
    aspects=(
        Aspect("shape (..., n, m)", 0.5, shape(), ("batch", "batch and heads")),
        Aspect("the key that is read", 1, values(), _ORDINARY),
        Aspect("gradient by the scores", 1, values("gradients", "scores"), _GRADIENTS),
        Aspect("gradient by the temperature", 0.5, values("gradients", "tau"), _GRADIENTS),
        Aspect("the dtype of the scores is kept", 0.5, dtype(), ("float32", "batch")),
        Aspect(
            "arguments untouched, in any memory layout",
            0.5,
            untouched(),
            ("non-contiguous", "batch"),
        ),
    ),
)


@straight_through_sample.misconception(
    "You read the key with the largest score: the noise plays no part in the choice, so nothing is drawn. Take "
    "the largest sum of score and noise."
)
def noise_forgotten(scores, gumbel, tau, mask):
    visible = scores.masked_fill(~mask, -torch.inf)
    soft = torch.softmax(visible / tau, dim=-1)
    hard = torch.zeros_like(soft).scatter(-1, visible.argmax(dim=-1, keepdim=True), 1.0)
    return hard + soft - soft.detach()


@straight_through_sample.misconception(
    "You return the soft weights: the forward pass must be hard, exactly one 1 in each row. The softmax is there "
    "for the backward pass only."
)
def soft_returned(scores, gumbel, tau, mask):
    return torch.softmax(((scores + gumbel) / tau).masked_fill(~mask, -torch.inf), dim=-1)


@straight_through_sample.misconception(
    "You read hidden keys too: the mask plays no part in the choice. Give hidden keys the score minus infinity "
    "before the largest is taken."
)
def mask_forgotten(scores, gumbel, tau, mask):
    noisy = scores + gumbel
    soft = torch.softmax(noisy / tau, dim=-1)
    hard = torch.zeros_like(soft).scatter(-1, noisy.argmax(dim=-1, keepdim=True), 1.0)
    return hard + soft - soft.detach()


@straight_through_sample.misconception(
    "You divide the scores by τ but not the noise. The temperature belongs to the relaxation of the draw, "
    "(s + γ) / τ; dividing s alone draws from another distribution."
)
def noise_not_divided(scores, gumbel, tau, mask):
    noisy = (scores / tau + gumbel).masked_fill(~mask, -torch.inf)
    soft = torch.softmax(noisy, dim=-1)
    hard = torch.zeros_like(soft).scatter(-1, noisy.argmax(dim=-1, keepdim=True), 1.0)
    return hard + soft - soft.detach()


@straight_through_sample.misconception(
    "For each key you choose a query. Every query reads one key: take the largest along the last axis."
)
def one_query_per_key(scores, gumbel, tau, mask):
    noisy = (scores + gumbel).masked_fill(~mask, -torch.inf)
    soft = torch.softmax(noisy / tau, dim=-1)
    hard = torch.zeros_like(soft).scatter(-2, noisy.argmax(dim=-2, keepdim=True), 1.0)
    return hard + soft - soft.detach()


@straight_through_sample.misconception(
    "You read the mask the other way round: True means that the query MAY read the key."
)
def mask_inverted(scores, gumbel, tau, mask):
    noisy = (scores + gumbel).masked_fill(mask, -torch.inf)
    soft = torch.softmax(noisy / tau, dim=-1)
    hard = torch.zeros_like(soft).scatter(-1, noisy.argmax(dim=-1, keepdim=True), 1.0)
    return hard + soft - soft.detach()
