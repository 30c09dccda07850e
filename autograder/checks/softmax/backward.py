"""The backward pass of a softmax with a temperature for each head, from its weights alone."""

from collections.abc import Iterator

import numpy as np

from autograder.checks.draw import normal, rounded
from autograder.checks.forbid import DIFFERENTIATION
from autograder.judge import dtype, item, shape, untouched, values
from autograder.question import Aspect, Case, Question
from autograder.rules import Forbidden


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str,
        *size: int,
        kind: str = "float64",
        hidden: bool = False,
        strided: tuple[str, ...] = (),
    ) -> Case:
        exponentials = np.exp(normal(rng, *size))
        if hidden:  # the first key everywhere, and every key of the first query
            exponentials[..., 0] = 0
            exponentials[..., 0, :] = 0
        total = exponentials.sum(axis=-1, keepdims=True)
        weights = exponentials / np.where(total == 0, 1, total)
        arguments = {
            "weights": weights.astype(kind),
            "temperature": _temperature(rng, size[-3]).astype(kind),
            "upstream": normal(rng, *size, dtype=kind),
        }
        return Case(name, arguments, strided=strided)

    weights = rng.permuted(np.tile([0.1, 0.2, 0.7], (2, 1, 1)), axis=-1)
    temperature = rng.permutation([0.5, 2.0])
    upstream = rng.choice([-1, 1]) * rng.permuted(np.tile([0.5, -1.0, 2.0], (2, 1, 1)), axis=-1)
    upstream = upstream + rounded(rng, 2, 1, 1)
    small = {"weights": weights, "temperature": temperature, "upstream": upstream}
    yield Case("small", small)
    yield case("batch", 2, 3, 4, 5)
    yield case("no batch", 4, 3, 6)
    yield case("one query", 2, 3, 1, 5)
    yield case("as many queries as keys", 2, 3, 4, 4)
    yield case("two leading axes", 2, 3, 4, 5, 6)
    yield case("hidden keys and an empty row", 2, 3, 4, 5, hidden=True)
    yield case("float32", 2, 3, 4, 6, kind="float32")
    yield case("non-contiguous", 2, 3, 4, 5, strided=("weights", "temperature", "upstream"))
    # One Jacobian would take 12.8 GB.
    yield case("long row", 1, 1, 40_000)


def _temperature(rng: np.random.Generator, heads: int) -> np.ndarray:
    """One temperature for each head, none of them near 1."""
    return np.where(
        rng.random(heads) < 0.5, rng.uniform(0.4, 0.8, heads), rng.uniform(1.5, 3, heads)
    )


_BACKWARD = ("small", "batch", "no batch", "one query", "as many queries as keys")

tempered_softmax_backward = Question(
    name="tempered_softmax_backward",
    title="The backward pass with a learned temperature",
    cases=_cases,
    rules=(
        Forbidden(
            names=(*DIFFERENTIATION, "torch._softmax_backward_data"),
            what="automatic differentiation",
            why="write the derivative as sums over the keys",
        ),
    ),
    aspects=(
        Aspect("shapes", 0.5, shape(), (*_BACKWARD, "two leading axes")),
        Aspect("d_scores", 1, item(0, "d_scores"), (*_BACKWARD, "two leading axes")),
        Aspect("d_temperature", 1, item(1, "d_temperature"), (*_BACKWARD, "two leading axes")),
        Aspect("hidden keys", 0.5, values(), ("hidden keys and an empty row",)),
        Aspect("no (m, m) Jacobian", 0.5, values(), ("long row",)),
        Aspect("the dtype of the arguments is kept", 0.25, dtype(), ("float32", "batch")),
        Aspect(
            "arguments untouched, in any memory layout",
            0.25,
            untouched(),
            ("non-contiguous", "batch"),
        ),
    ),
)


@tempered_softmax_backward.misconception(
    "The average is missing in d_scores: a ⊙ g is only the diagonal of the Jacobian. What one key gains the "
    "others lose: subtract the average of g from each entry of g."
)
def average_forgotten(weights, temperature, upstream):
    d_scores = weights * upstream / temperature[:, None, None]
    logs = np.log(np.where(weights > 0, weights, 1))
    d_rows = -(d_scores * logs).sum(axis=(-1, -2))
    return d_scores, d_rows.sum(axis=tuple(range(d_rows.ndim - 1)))


@tempered_softmax_backward.misconception(
    "You subtract the plain mean of the upstream gradient. The average is taken with the weights themselves: "
    "the sum of a_j g_j."
)
def plain_average(weights, temperature, upstream):
    d_scaled = weights * (upstream - upstream.mean(axis=-1, keepdims=True))
    d_scores = d_scaled / temperature[:, None, None]
    logs = np.log(np.where(weights > 0, weights, 1))
    d_rows = -(d_scores * logs).sum(axis=(-1, -2))
    return d_scores, d_rows.sum(axis=tuple(range(d_rows.ndim - 1)))


@tempered_softmax_backward.misconception(
    "d_scores lacks the temperature. The softmax was taken of s / τ, so by the chain rule the gradient by s is "
    "divided by τ as well."
)
def temperature_forgotten(weights, temperature, upstream):
    average = (weights * upstream).sum(axis=-1, keepdims=True)
    d_scaled = weights * (upstream - average)
    logs = np.log(np.where(weights > 0, weights, 1))
    d_rows = -(d_scaled * logs).sum(axis=(-1, -2)) / temperature
    return d_scaled, d_rows.sum(axis=tuple(range(d_rows.ndim - 1)))


@tempered_softmax_backward.misconception(
    "In d_temperature you took ln a for the scores. ln a_j is s_j / τ up to a constant: the division by τ is "
    "in it already, and you divide once too often."
)
def logarithm_for_score(weights, temperature, upstream):
    average = (weights * upstream).sum(axis=-1, keepdims=True)
    d_scores = weights * (upstream - average) / temperature[:, None, None]
    logs = np.log(np.where(weights > 0, weights, 1))
    d_rows = -(d_scores * logs).sum(axis=(-1, -2)) / temperature
    return d_scores, d_rows.sum(axis=tuple(range(d_rows.ndim - 1)))


@tempered_softmax_backward.misconception(
    "Your d_temperature has the wrong sign: s / τ falls as τ grows (for a positive s), so the derivative by τ "
    "brings a minus."
)
def sign_lost(weights, temperature, upstream):
    average = (weights * upstream).sum(axis=-1, keepdims=True)
    d_scores = weights * (upstream - average) / temperature[:, None, None]
    logs = np.log(np.where(weights > 0, weights, 1))
    d_rows = (d_scores * logs).sum(axis=(-1, -2))
    return d_scores, d_rows.sum(axis=tuple(range(d_rows.ndim - 1)))


@tempered_softmax_backward.misconception(
    "You return one d_temperature for each row. A head's temperature was used by every query of every example: "
    "its gradient collects from all of them."
)
def temperature_not_summed(weights, temperature, upstream):
    average = (weights * upstream).sum(axis=-1, keepdims=True)
    d_scores = weights * (upstream - average) / temperature[:, None, None]
    logs = np.log(np.where(weights > 0, weights, 1))
    return d_scores, -(d_scores * logs).sum(axis=-1)
