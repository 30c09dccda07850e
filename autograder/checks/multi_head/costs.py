"""Parameters, operations and cached bytes of a decoder, counted."""

from collections.abc import Iterator

import numpy as np

from autograder.judge import differs, every, untouched
from autograder.question import Aspect, Case, Fault, Judge, Question, Reply

PARTS = ("The number of parameters", "The number of FLOPs", "The number of cached bytes")


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    # Always fewer key heads than query heads, and heads that together are not as wide as the model.
    def case(
        name: str, vocab: int, d: int, layers: list[tuple], n: int, strided: tuple[str, ...] = ()
    ) -> Case:
        table = np.array(layers)
        table[:, 3] += rng.integers(1, 10, size=len(layers))
        sizes = {
            "vocab_size": vocab + int(rng.integers(1, 10)),
            "d": d,
            "layers": table,
            "n": n,
        }
        return Case(name, sizes, strided=strided)

    yield case("small", 10, 3, [(2, 1, 4, 5)], 2)
    yield case("several layers", 100, 10, [(6, 2, 4, 40), (4, 2, 3, 20), (8, 1, 5, 30)], 7)
    yield case("one position", 200, 12, [(6, 3, 5, 30), (6, 3, 5, 30)], 1)
    yield case("long text", 50, 8, [(4, 2, 3, 24), (2, 1, 7, 10)], 5000)
    yield case("non-contiguous", 50, 8, [(4, 2, 3, 24), (2, 1, 7, 10)], 9, strided=("layers",))
    yield case("a published model's size", 151_000, 1024, [(16, 8, 128, 3_000)] * 28, 40_960)


def _count(index: int) -> Judge:
    """One of the three numbers is the solution's, exactly."""

    def judge(_: Case, expected: Reply, got: Reply) -> Fault | None:
        want, have = expected["value"], got["value"]
        if not isinstance(have, list | tuple) or len(have) != len(want):
            return differs(want, have, "The result")
        fault = differs(want[index], have[index], PARTS[index])
        if (
            fault
            and isinstance(have[index], int | float | np.ndarray)
            and np.ndim(have[index]) == 0
        ):
            return Fault(f"{PARTS[index]} is wrong.", _grouped(want[index]), _grouped(have[index]))
        return fault

    return judge


def _untouched(case: Case, expected: Reply, got: Reply) -> Fault | None:
    """The table is as it was; it counts only where all three numbers are right."""
    return every(*map(_count, range(len(PARTS))), untouched())(case, expected, got)


def _grouped(number: int | float | np.ndarray) -> str:
    """A number with its thousands marked."""
    return f"{np.asarray(number).item():,}"


decoder_costs = Question(
    name="decoder_costs",
    title="What a decoder costs",
    cases=_cases,
    aspects=(
        Aspect("parameters", 1, _count(0)),
        Aspect("FLOPs of a forward pass", 1, _count(1)),
        Aspect("bytes of the cache", 0.5, _count(2)),
        Aspect("argument untouched", 0.5, _untouched),
    ),
)


@decoder_costs.misconception(
    "You count keys and values as if every query head had its own. With grouped heads W_K and W_V are only "
    "g·d_k wide, and no more is cached."
)
def groups_forgotten(vocab_size, d, layers, n):
    h, _, d_k, d_ff = layers.T
    matrices = (4 * d * h * d_k + 3 * d * d_ff).sum()
    parameters = vocab_size * d + matrices + (2 * len(layers) + 1) * d
    flops = 2 * n * (matrices + vocab_size * d) + 4 * (h * d_k).sum() * n * n
    return parameters, flops, 4 * (h * d_k).sum() * n


@decoder_costs.misconception(
    "You count two matrices in the feed-forward network. The gated one has three: gate, up and down, each of "
    "d·d_ff numbers."
)
def gate_forgotten(vocab_size, d, layers, n):
    h, g, d_k, d_ff = layers.T
    matrices = (2 * d * (h + g) * d_k + 2 * d * d_ff).sum()
    parameters = vocab_size * d + matrices + (2 * len(layers) + 1) * d
    flops = 2 * n * (matrices + vocab_size * d) + 4 * (h * d_k).sum() * n * n
    return parameters, flops, 4 * (g * d_k).sum() * n


@decoder_costs.misconception(
    "You count the embedding twice. It is tied: the logits use the same numbers once more, which costs FLOPs, "
    "but no parameters."
)
def embedding_counted_twice(vocab_size, d, layers, n):
    h, g, d_k, d_ff = layers.T
    matrices = (2 * d * (h + g) * d_k + 3 * d * d_ff).sum()
    parameters = 2 * vocab_size * d + matrices + (2 * len(layers) + 1) * d
    flops = 2 * n * (matrices + vocab_size * d) + 4 * (h * d_k).sum() * n * n
    return parameters, flops, 4 * (g * d_k).sum() * n


@decoder_costs.misconception(
    "You count a multiplication with its addition as one FLOP. Here they are two, so all your FLOPs double."
)
def multiply_add_as_one(vocab_size, d, layers, n):
    h, g, d_k, d_ff = layers.T
    matrices = (2 * d * (h + g) * d_k + 3 * d * d_ff).sum()
    parameters = vocab_size * d + matrices + (2 * len(layers) + 1) * d
    flops = n * (matrices + vocab_size * d) + 2 * (h * d_k).sum() * n * n
    return parameters, flops, 4 * (g * d_k).sum() * n


@decoder_costs.misconception(
    "You count two FLOPs for each parameter and position, and so leave attention itself out. Scores and contexts "
    "have no parameters, but each is a product of matrices that grows with n²."
)
def attention_without_flops(vocab_size, d, layers, n):
    h, g, d_k, d_ff = layers.T
    matrices = (2 * d * (h + g) * d_k + 3 * d * d_ff).sum()
    parameters = vocab_size * d + matrices + (2 * len(layers) + 1) * d
    flops = 2 * n * (matrices + vocab_size * d)
    return parameters, flops, 4 * (g * d_k).sum() * n


@decoder_costs.misconception(
    "You count half of attention's FLOPs. Scores and contexts are two products of the same size, n² d_k "
    "multiplications for each head, and all n² are computed, masked or not."
)
def contexts_without_flops(vocab_size, d, layers, n):
    h, g, d_k, d_ff = layers.T
    matrices = (2 * d * (h + g) * d_k + 3 * d * d_ff).sum()
    parameters = vocab_size * d + matrices + (2 * len(layers) + 1) * d
    flops = 2 * n * (matrices + vocab_size * d) + 2 * (h * d_k).sum() * n * n
    return parameters, flops, 4 * (g * d_k).sum() * n


@decoder_costs.misconception(
    "Your FLOPs lack the logits. The embedding is used a second time there, as a product with every position's "
    "vector: 2 n d FLOPs for each token of the vocabulary."
)
def logits_without_flops(vocab_size, d, layers, n):
    h, g, d_k, d_ff = layers.T
    matrices = (2 * d * (h + g) * d_k + 3 * d * d_ff).sum()
    parameters = vocab_size * d + matrices + (2 * len(layers) + 1) * d
    flops = 2 * n * matrices + 4 * (h * d_k).sum() * n * n
    return parameters, flops, 4 * (g * d_k).sum() * n


@decoder_costs.misconception(
    "You leave out the norm after the last layer. A pre-norm stack ends with one more: its gain has d parameters."
)
def last_norm_forgotten(vocab_size, d, layers, n):
    h, g, d_k, d_ff = layers.T
    matrices = (2 * d * (h + g) * d_k + 3 * d * d_ff).sum()
    parameters = vocab_size * d + matrices + 2 * len(layers) * d
    flops = 2 * n * (matrices + vocab_size * d) + 4 * (h * d_k).sum() * n * n
    return parameters, flops, 4 * (g * d_k).sum() * n
