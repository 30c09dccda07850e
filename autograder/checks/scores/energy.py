"""Question 7: mend this module."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from autograder.checks.draw import normal
from autograder.judge import differs, dtype, gradients, shape, untouched, values
from autograder.question import Aspect, Case, Fault, Question, Reply

_PARAMETERS = ("w", "query_layer.weight", "key_layer.weight", "key_layer.bias")


def _energy_cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str, batch: int, n: int, m: int, sizes: tuple[int, int, int], **options: Any
    ) -> Case:
        d_q, d_k, d_h = sizes
        state = {
            "w": normal(rng, d_h, dtype="float32"),
            "query_layer.weight": normal(rng, d_h, d_q, dtype="float32", width=d_q),
            "key_layer.weight": normal(rng, d_h, d_k, dtype="float32", width=d_k),
            "key_layer.bias": normal(rng, d_h, dtype="float32"),
        }
        arguments = {
            "queries": normal(rng, batch, n, d_q, dtype="float32"),
            "keys": normal(rng, batch, m, d_k, dtype="float32"),
        }
        return Case(name, arguments, construct=sizes, state=state, **options)

    both = ("queries", "keys")
    yield case("batch of one", 1, 2, 3, (4, 1, 5))
    yield case("batch", 2, 3, 5, (6, 4, 8))
    # Equal lengths let a program run that pairs query i with key i.
    yield case("as many queries as keys", 2, 4, 4, (6, 5, 8))
    yield case("one query", 2, 1, 3, (6, 4, 8))
    yield case("one key", 2, 3, 1, (6, 4, 8))
    yield case("wide queries", 3, 2, 4, (9, 5, 7))
    yield case("non-contiguous", 2, 3, 5, (6, 4, 8), strided=both)
    yield case(
        "gradient",
        2,
        3,
        5,
        (6, 4, 8),
        upstream=normal(rng, 2, 3, 5, dtype="float32"),
        gradient_of=(*both, *_PARAMETERS),
    )


def _rows_sum_to_one(case: Case, expected: Reply, got: Reply) -> Fault | None:
    """Positive weights that sum to 1 over the keys, and do not treat all keys alike."""
    if fault := shape()(case, expected, got):
        return fault
    weights = np.asarray(got["value"])
    if (weights < 0).any():
        return Fault("Some weights are negative.", "at least 0", f"{weights.min():.3g}")
    return differs(
        np.ones_like(weights[..., 0]), weights.sum(axis=-1), "The sum of each query's weights"
    )


_ENERGY = ("batch of one", "batch", "as many queries as keys", "wide queries")

AdditiveEnergy = Question(
    name="AdditiveEnergy",
    title="Mend this module",
    cases=_energy_cases,
    library="torch",
    aspects=(
        Aspect("one row of weights per query", 0.5, shape(), _ENERGY),
        Aspect("each row sums to 1 over the keys", 1, _rows_sum_to_one, _ENERGY),
        Aspect("values", 1, values(), _ENERGY),
        Aspect("one query, one key", 0.25, values(), ("one query", "one key")),
        Aspect("the dtype of the arguments is kept", 0.25, dtype(), ("batch of one", "batch")),
        Aspect("gradient reaches the queries", 0.25, values("gradients", "queries"), ("gradient",)),
        Aspect("gradient reaches the keys", 0.25, values("gradients", "keys"), ("gradient",)),
        Aspect("gradient reaches every parameter", 0.25, gradients(*_PARAMETERS), ("gradient",)),
        Aspect(
            "arguments untouched, in any memory layout",
            0.25,
            untouched(),
            ("non-contiguous", "batch"),
        ),
    ),
)


@AdditiveEnergy.misconception(
    "One fault is left: ReLU in the energy. All negative sums become 0, so keys that differ there get the same "
    "score: the additive energy uses tanh."
)
class ReluLeft(torch.nn.Module):
    def __init__(self, d_q, d_k, d_h):
        super().__init__()
        self.query_layer = torch.nn.Linear(d_q, d_h, bias=False)
        self.key_layer = torch.nn.Linear(d_k, d_h)
        self.w = torch.nn.Parameter(torch.ones(d_h))

    def forward(self, queries, keys):
        sums = self.query_layer(queries)[:, :, None] + self.key_layer(keys)[:, None]
        return torch.softmax(torch.relu(sums) @ self.w, dim=-1)


@AdditiveEnergy.misconception(
    "Your softmax still runs over the batch (dim=0): examples compete with one another. The weights of one "
    "query sum to 1 over the keys, the last axis."
)
class SoftmaxOverBatch(torch.nn.Module):
    def __init__(self, d_q, d_k, d_h):
        super().__init__()
        self.query_layer = torch.nn.Linear(d_q, d_h, bias=False)
        self.key_layer = torch.nn.Linear(d_k, d_h)
        self.w = torch.nn.Parameter(torch.ones(d_h))

    def forward(self, queries, keys):
        sums = self.query_layer(queries)[:, :, None] + self.key_layer(keys)[:, None]
        return torch.softmax(torch.tanh(sums) @ self.w, dim=0)


@AdditiveEnergy.misconception(
    "Your softmax runs over the queries (dim=1): for each key the queries compete. It is the keys that compete "
    "for a query: use the last axis."
)
class SoftmaxOverQueries(torch.nn.Module):
    def __init__(self, d_q, d_k, d_h):
        super().__init__()
        self.query_layer = torch.nn.Linear(d_q, d_h, bias=False)
        self.key_layer = torch.nn.Linear(d_k, d_h)
        self.w = torch.nn.Parameter(torch.ones(d_h))

    def forward(self, queries, keys):
        sums = self.query_layer(queries)[:, :, None] + self.key_layer(keys)[:, None]
        return torch.softmax(torch.tanh(sums) @ self.w, dim=1)


@AdditiveEnergy.misconception(
    "You return the scores: the softmax is missing. The module returns weights, one distribution over the keys "
    "per query."
)
class SoftmaxForgotten(torch.nn.Module):
    def __init__(self, d_q, d_k, d_h):
        super().__init__()
        self.query_layer = torch.nn.Linear(d_q, d_h, bias=False)
        self.key_layer = torch.nn.Linear(d_k, d_h)
        self.w = torch.nn.Parameter(torch.ones(d_h))

    def forward(self, queries, keys):
        sums = self.query_layer(queries)[:, :, None] + self.key_layer(keys)[:, None]
        return torch.tanh(sums) @ self.w


@AdditiveEnergy.misconception(
    "Every query gets the weights of the last one: the listing's `queries[:, -1]` is still there, only repeated. Let "
    "broadcasting pair all queries with all keys."
)
class LastQueryForAll(torch.nn.Module):
    def __init__(self, d_q, d_k, d_h):
        super().__init__()
        self.query_layer = torch.nn.Linear(d_q, d_h, bias=False)
        self.key_layer = torch.nn.Linear(d_k, d_h)
        self.w = torch.nn.Parameter(torch.ones(d_h))

    def forward(self, queries, keys):
        sums = self.query_layer(queries[:, -1:])[:, :, None] + self.key_layer(keys)[:, None]
        weights = torch.softmax(torch.tanh(sums) @ self.w, dim=-1)
        return weights.expand(-1, queries.shape[1], -1)


@AdditiveEnergy.misconception(
    "You take the tanh of query and key one by one and add afterwards: the softmax cancels the query's part, and "
    "every query gets the same weights. Add the projections first, then take one tanh."
)
class TanhOfEachPart(torch.nn.Module):
    def __init__(self, d_q, d_k, d_h):
        super().__init__()
        self.query_layer = torch.nn.Linear(d_q, d_h, bias=False)
        self.key_layer = torch.nn.Linear(d_k, d_h)
        self.w = torch.nn.Parameter(torch.ones(d_h))

    def forward(self, queries, keys):
        query_part = torch.tanh(self.query_layer(queries))[:, :, None]
        sums = query_part + torch.tanh(self.key_layer(keys))[:, None]
        return torch.softmax(sums @ self.w, dim=-1)
