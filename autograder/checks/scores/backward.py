"""Question 5: the backward pass by hand."""

from collections.abc import Iterator

import numpy as np

from autograder.checks.draw import normal, rounded
from autograder.checks.forbid import DIFFERENTIATION
from autograder.judge import dtype, item, shape, untouched
from autograder.question import Aspect, Case, Fault, Question, Reply
from autograder.rules import Forbidden


def _backward_cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str, q: tuple, k: tuple, strided: tuple[str, ...] = (), kind: str = "float64"
    ) -> Case:
        arguments = {
            "queries": normal(rng, *q, dtype=kind),
            "keys": normal(rng, *k, dtype=kind),
            "upstream": normal(rng, *q[:-1], k[-2], dtype=kind),
        }
        return Case(name, arguments, strided=strided)

    small = {"queries": (2, 4), "keys": (3, 4), "upstream": (2, 3)}
    yield Case("small", {name: rounded(rng, *size) for name, size in small.items()})
    yield case("batch", (2, 3, 4), (2, 5, 4))
    yield case("one query", (2, 1, 4), (2, 5, 4))
    yield case("one key", (2, 3, 4), (2, 1, 4))
    # Only here does an upstream gradient that was never transposed go through.
    yield case("as many queries as keys", (2, 3, 5), (2, 3, 5))
    yield case("batch and heads", (2, 3, 4, 5), (2, 3, 6, 5))
    yield case("keys shared by the batch", (2, 3, 6), (5, 6))
    yield case("keys shared by batch and heads", (2, 3, 4, 6), (5, 6))
    # As many keys as examples: a look at the first axis alone does not tell that the keys are shared.
    yield case("keys shared by as many examples", (5, 3, 6), (5, 6))
    yield case("keys shared by three axes", (2, 3, 2, 4, 6), (5, 6))
    yield case("float32, shared keys", (2, 3, 6), (5, 6), kind="float32")
    yield case("float32", (2, 3, 6), (2, 5, 6), kind="float32")
    yield case("non-contiguous", (2, 3, 6), (2, 5, 6), strided=("queries", "keys", "upstream"))


_BACKWARD = ("small", "batch", "one query", "one key", "as many queries as keys", "batch and heads")
_SHARED = (
    "keys shared by the batch",
    "keys shared by batch and heads",
    "keys shared by as many examples",
    "keys shared by three axes",
)


def _kept(case: Case, expected: Reply, got: Reply) -> Fault | None:
    """Both dtypes are kept; where keys are shared, d_keys counts only if it was summed at all."""
    if case.name == "float32, shared keys" and item(1, "d_keys")(case, expected, got):
        return None  # lost already, under its own aspect
    return dtype()(case, expected, got)


scaled_dot_backward = Question(
    name="scaled_dot_backward",
    title="The backward pass by hand",
    cases=_backward_cases,
    rules=(
        Forbidden(
            names=DIFFERENTIATION,
            what="automatic differentiation",
            why="write the derivative as matrix products",
        ),
    ),
    aspects=(
        Aspect("shapes", 0.5, shape(), _BACKWARD),
        Aspect("d_queries", 1, item(0, "d_queries"), (*_BACKWARD, *_SHARED)),
        Aspect("d_keys", 1, item(1, "d_keys"), _BACKWARD),
        Aspect("d_keys where keys are shared", 0.5, item(1, "d_keys"), _SHARED),
        Aspect(
            "the dtype of the arguments is kept",
            0.5,
            _kept,
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


@scaled_dot_backward.misconception(
    "The scaling is missing in your gradients. The scores were divided by √d_k, and a constant factor of the "
    "forward pass is a factor of the backward pass too."
)
def scaling_forgotten_backward(queries, keys, upstream):
    d_queries = upstream @ keys
    d_keys = np.swapaxes(upstream, -1, -2) @ queries
    return d_queries, d_keys.sum(axis=tuple(range(d_keys.ndim - keys.ndim)))


@scaled_dot_backward.misconception(
    "You scale d_queries but not d_keys. Both reach the loss through the same scaled scores: both carry the "
    "factor 1 / √d_k."
)
def scaled_only_once(queries, keys, upstream):
    d_queries = upstream @ keys / keys.shape[-1] ** 0.5
    d_keys = np.swapaxes(upstream, -1, -2) @ queries
    return d_queries, d_keys.sum(axis=tuple(range(d_keys.ndim - keys.ndim)))


@scaled_dot_backward.misconception(
    "You forgot to transpose the upstream gradient for d_keys: key j collects from all queries i, which is a "
    "sum over the rows of upstream. It runs only where n equals m."
)
def transpose_forgotten(queries, keys, upstream):
    d_queries = upstream @ keys / keys.shape[-1] ** 0.5
    d_keys = upstream @ queries / keys.shape[-1] ** 0.5
    return d_queries, d_keys.sum(axis=tuple(range(d_keys.ndim - keys.ndim)))


@scaled_dot_backward.misconception(
    "You ignore the upstream gradient and differentiate the sum of all scores. By the chain rule each score's "
    "derivative is multiplied by its entry of upstream."
)
def upstream_ignored(queries, keys, upstream):
    ones = np.ones_like(upstream)
    d_queries = ones @ keys / keys.shape[-1] ** 0.5
    d_keys = np.swapaxes(ones, -1, -2) @ queries / keys.shape[-1] ** 0.5
    return d_queries, d_keys.sum(axis=tuple(range(d_keys.ndim - keys.ndim)))


@scaled_dot_backward.misconception(
    "You return the two gradients in the wrong order: d_queries comes first and has the shape of the queries."
)
def results_exchanged(queries, keys, upstream):
    d_queries = upstream @ keys / keys.shape[-1] ** 0.5
    d_keys = np.swapaxes(upstream, -1, -2) @ queries / keys.shape[-1] ** 0.5
    return d_keys.sum(axis=tuple(range(d_keys.ndim - keys.ndim))), d_queries


@scaled_dot_backward.misconception(
    "You divide by d_k: the scaling is there twice. The gradient by the scores comes in as `upstream`; from there "
    "the chain rule meets the factor 1 / √d_k once."
)
def scaled_twice(queries, keys, upstream):
    d_queries = upstream @ keys / keys.shape[-1]
    d_keys = np.swapaxes(upstream, -1, -2) @ queries / keys.shape[-1]
    return d_queries, d_keys.sum(axis=tuple(range(d_keys.ndim - keys.ndim)))
