"""The checks of `coverage_attention`: weights of a decoder's steps, each of which knows the sum of the last ones."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from autograder.checks.draw import normal, rounded
from autograder.judge import differs, dtype, gradients, shape, untouched, values
from autograder.question import Aspect, Case, Fault, Question, Reply


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str,
        sizes: tuple[int, int, int],
        d_q: int,
        d_k: int,
        hidden: int,
        kind: str = "float64",
        gradient: bool = False,
        **options: Any,
    ) -> Case:
        batch, n, m = sizes
        arguments = {
            "queries": normal(rng, batch, n, d_q, dtype=kind),
            "keys": normal(rng, batch, m, d_k, dtype=kind),
            "W_q": normal(rng, d_q, hidden, dtype=kind, width=d_q),
            "W_k": normal(rng, d_k, hidden, dtype=kind, width=d_k),
            # Coverage has to matter: its share of every sum is as large as the others'.
            "w_c": 2 * normal(rng, hidden, dtype=kind),
            "w": normal(rng, hidden, dtype=kind),
        }
        if gradient:
            options |= {"upstream": normal(rng, batch, n, m), "gradient_of": tuple(arguments)}
        return Case(name, arguments, **options)

    # Three steps at least: in the second the sum of the weights is still the last weights.
    small = {"queries": (2, 3, 2), "keys": (2, 3, 4), "W_q": (2, 2), "W_k": (4, 2)}
    arguments = {name: rounded(rng, *size) / 2 for name, size in small.items()}
    yield Case("small", arguments | {"w_c": 2 * rounded(rng, 2), "w": rounded(rng, 2)})
    yield case("batch", (2, 4, 5), 6, 3, 8)
    yield case("two keys", (3, 4, 2), 5, 3, 8)
    yield case("as many steps as keys", (2, 4, 4), 6, 6, 8)
    yield case("many steps", (2, 9, 3), 4, 5, 7)
    yield case("float32", (2, 4, 5), 6, 3, 8, kind="float32")
    yield case("non-contiguous", (2, 4, 5), 6, 3, 8, strided=("queries", "keys", "W_q", "W_k"))
    yield case("gradient", (2, 4, 5), 6, 3, 8, gradient=True)


def _first_step(case: Case, expected: Reply, got: Reply) -> Fault | None:
    """Where nothing has been covered yet: the additive attention of the page."""
    if fault := shape()(case, expected, got):
        return fault
    return differs(
        expected["value"][:, 0], got["value"][:, 0], "The array of the first step's weights"
    )


_PLAIN = ("small", "batch", "two keys", "as many steps as keys", "many steps")

coverage_attention = Question(
    name="coverage_attention",
    title="Attention with coverage",
    cases=_cases,
    library="torch",
    aspects=(
        Aspect("shape (batch, n, m)", 0.5, shape(), _PLAIN),
        Aspect("the first step", 0.5, _first_step, _PLAIN),
        Aspect("all steps", 1, values(), _PLAIN),
        Aspect("gradient by queries and keys", 0.5, gradients("queries", "keys"), ("gradient",)),
        Aspect("gradient by w_c", 0.5, gradients("w_c"), ("gradient",)),
        Aspect("gradient by W_q, W_k and w", 0.5, gradients("W_q", "W_k", "w"), ("gradient",)),
        Aspect("the dtype of the arguments is kept", 0.25, dtype(), ("float32", "batch")),
        Aspect(
            "arguments untouched, in any memory layout",
            0.25,
            untouched(),
            ("non-contiguous", "batch"),
        ),
    ),
)


@coverage_attention.misconception(
    "Your coverage stays 0: every step attends as if it were the first. Add a step's weights to it before the "
    "next step begins."
)
def never_covered(queries, keys, W_q, W_k, w_c, w):
    hidden = (queries @ W_q)[:, :, None] + (keys @ W_k)[:, None]
    return torch.softmax(torch.tanh(hidden) @ w, dim=-1)


@coverage_attention.misconception(
    "Your coverage is the last step's weights. That tells where the decoder was a moment ago; coverage tells "
    "what it has read so far, the sum over all earlier steps."
)
def last_weights_only(queries, keys, W_q, W_k, w_c, w):
    coverage, steps = torch.zeros_like(keys[..., 0]), []
    for query in queries.unbind(dim=1):
        hidden = (query @ W_q)[:, None] + keys @ W_k + coverage[..., None] * w_c
        coverage = torch.softmax(torch.tanh(hidden) @ w, dim=-1)
        steps.append(coverage)
    return torch.stack(steps, dim=1)


@coverage_attention.misconception(
    "Your coverage is the mean of the earlier weights. A mean never exceeds 1, however often a word was read: "
    "coverage is their sum, and grows."
)
def coverage_averaged(queries, keys, W_q, W_k, w_c, w):
    coverage, steps = torch.zeros_like(keys[..., 0]), []
    for query in queries.unbind(dim=1):
        mean = coverage / max(len(steps), 1)
        hidden = (query @ W_q)[:, None] + keys @ W_k + mean[..., None] * w_c
        steps.append(torch.softmax(torch.tanh(hidden) @ w, dim=-1))
        coverage = coverage + steps[-1]
    return torch.stack(steps, dim=1)


@coverage_attention.misconception(
    "You add the coverage after the tanh. There each position's coverage changes its score by a fixed multiple, "
    "whatever stands there: it belongs inside, with query and key."
)
def coverage_outside(queries, keys, W_q, W_k, w_c, w):
    coverage, steps = torch.zeros_like(keys[..., 0]), []
    for query in queries.unbind(dim=1):
        hidden = torch.tanh((query @ W_q)[:, None] + keys @ W_k) + coverage[..., None] * w_c
        steps.append(torch.softmax(hidden @ w, dim=-1))
        coverage = coverage + steps[-1]
    return torch.stack(steps, dim=1)


@coverage_attention.misconception(
    "You subtract the coverage. Whether reading a word again is good or bad is for w_c to learn: the formula "
    "adds."
)
def coverage_subtracted(queries, keys, W_q, W_k, w_c, w):
    coverage, steps = torch.zeros_like(keys[..., 0]), []
    for query in queries.unbind(dim=1):
        hidden = (query @ W_q)[:, None] + keys @ W_k - coverage[..., None] * w_c
        steps.append(torch.softmax(torch.tanh(hidden) @ w, dim=-1))
        coverage = coverage + steps[-1]
    return torch.stack(steps, dim=1)


@coverage_attention.misconception(
    "You return scores, and their sum is your coverage. The softmax over the keys is missing in every step: "
    "coverage adds up weights."
)
def softmax_forgotten_coverage(queries, keys, W_q, W_k, w_c, w):
    coverage, steps = torch.zeros_like(keys[..., 0]), []
    for query in queries.unbind(dim=1):
        hidden = (query @ W_q)[:, None] + keys @ W_k + coverage[..., None] * w_c
        steps.append(torch.tanh(hidden) @ w)
        coverage = coverage + steps[-1]
    return torch.stack(steps, dim=1)


@coverage_attention.misconception(
    "All your examples have the same coverage, that of the whole batch. What one text has been read of is nothing "
    "to the next: keep one number per example and position."
)
def coverage_shared(queries, keys, W_q, W_k, w_c, w):
    coverage, steps = torch.zeros_like(keys[0, :, 0]), []
    for query in queries.unbind(dim=1):
        hidden = (query @ W_q)[:, None] + keys @ W_k + coverage[:, None] * w_c
        steps.append(torch.softmax(torch.tanh(hidden) @ w, dim=-1))
        coverage = coverage + steps[-1].sum(dim=0)
    return torch.stack(steps, dim=1)
