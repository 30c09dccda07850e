"""A faulty training step, mended. All numbers are float32, as in training.

In most cases micro-batches are unequal, there are several steps, and the norm is above the clip. The others
leave all faults but one without effect.
"""

from collections.abc import Iterator

import numpy as np
import torch

from autograder.checks.draw import normal
from autograder.judge import dtype, every, item, untouched, values
from autograder.question import Aspect, Case, Fault, Judge, Question, Reply

NEVER = 1e6  # a clip that no norm reaches


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str,
        steps: tuple[tuple[tuple[int, int], ...], ...],
        vocabulary: int,
        clip: float,
        strided: tuple[str, ...] = (),
    ) -> Case:
        """`steps`: of each step's micro-batches, how many tokens they have, and how many of these count."""
        inputs, targets = [], []
        for step in steps:
            inputs.append([rng.integers(0, vocabulary, size=n) for n, _ in step])
            targets.append([_targets(rng, vocabulary, n, counted) for n, counted in step])
        arguments = {
            "W": normal(rng, vocabulary, vocabulary, dtype="float32"),
            "b": normal(rng, vocabulary, dtype="float32"),
            "inputs": inputs,
            "targets": targets,
            "clip": clip,
            "rate": round(float(rng.uniform(2, 3)), 2),
        }
        return Case(name, arguments, strided=strided)

    yield case("small", (((3, 3), (1, 1)), ((2, 2), (4, 3))), 3, 0.05)
    yield case("batch", (((9, 7), (4, 2), (6, 6)), ((3, 2), (8, 8)), ((2, 1), (7, 5))), 7, 0.04)
    yield case("an empty micro-batch", (((5, 4), (3, 0)), ((2, 0), (6, 6), (3, 1))), 5, 0.05)
    yield case("unequal, not clipped", (((9, 8), (2, 1), (4, 2)),), 5, NEVER)
    yield case("one micro-batch, clipped", (((8, 6),),), 5, 0.05)
    yield case("equal micro-batches, clipped", (((5, 4), (6, 4), (5, 4)),), 6, 0.05)
    yield case("two steps, not clipped", (((6, 5),), ((6, 5),)), 6, NEVER)
    yield case(
        "non-contiguous",
        (((6, 5), (3, 1)), ((2, 2), (7, 5))),
        5,
        0.05,
        strided=("W", "b", "inputs", "targets"),
    )


def _targets(rng: np.random.Generator, vocabulary: int, n: int, counted: int) -> np.ndarray:
    targets = rng.integers(0, vocabulary, size=n)
    targets[rng.permutation(n)[: n - counted]] = -1
    return targets


def _weights() -> Judge:
    """W and b after all steps are the solution's."""
    return every(item(0, "W after the steps"), item(1, "b after the steps"))


def _moved(case: Case, expected: Reply, got: Reply) -> Fault | None:
    """As `_weights`, told with the length of the way that W and b went in the one step."""
    if not (fault := _weights()(case, expected, got)):
        return None
    if isinstance(got["value"], list | tuple) and len(got["value"]) == 4:
        ways = [
            [_length(reply["value"][i] - case.arguments[name]) for i, name in enumerate("Wb")]
            for reply in (expected, got)
            if all(
                np.shape(reply["value"][i]) == case.arguments[n].shape for i, n in enumerate("Wb")
            )
        ]
        if len(ways) == 2:
            told = [f"W moves by {w:.4g}, b by {b:.4g}" for w, b in ways]
            return Fault("W and b move by another way.", *told)
    return fault


def _length(way: np.ndarray) -> float:
    return float(np.sqrt(np.square(way, dtype=float).sum()))


_PLAIN = ("small", "batch")

training_steps = Question(
    name="training_steps",
    title="Mend this training step",
    cases=_cases,
    library="torch",
    aspects=(
        Aspect("W and b after several steps", 1, _weights(), _PLAIN),
        Aspect("each counted token weighs the same", 0.5, _weights(), ("unequal, not clipped",)),
        Aspect("one norm for all parameters", 0.5, _moved, ("one micro-batch, clipped",)),
        Aspect("clipped after accumulation", 0.5, _moved, ("equal micro-batches, clipped",)),
        Aspect("no gradient is left over", 0.5, _weights(), ("two steps, not clipped",)),
        Aspect("a micro-batch in which nothing counts", 0.25, values(), ("an empty micro-batch",)),
        Aspect(
            "losses and norms of the steps",
            0.5,
            every(item(2, "The losses"), item(3, "The norms")),
            _PLAIN,
        ),
        Aspect(
            "float32, arguments untouched, in any memory layout",
            0.25,
            every(untouched(), *map(dtype, range(4))),
            ("batch", "non-contiguous"),
        ),
    ),
)


@training_steps.misconception(
    "One fault is left: each micro-batch's mean counts the same. A token of a small micro-batch then "
    "weighs more: divide the sum over all counted tokens by their number, once."
)
def mean_of_micro_means(W, b, inputs, targets, clip, rate):
    W, b = W.clone().requires_grad_(), b.clone().requires_grad_()
    losses, norms = [], []
    for xs, ys in zip(inputs, targets, strict=True):
        means = []
        for x, y in zip(xs, ys, strict=True):
            each = torch.nn.functional.cross_entropy(W[x] + b, y, ignore_index=-1, reduction="sum")
            means.append(each / max(1, int((y >= 0).sum())))
        loss = sum(means) / len(means)
        grads = torch.autograd.grad(loss, (W, b))
        norm = torch.cat([g.flatten() for g in grads]).norm()
        with torch.no_grad():
            W, b = (
                (p - rate * g * (clip / norm).clamp(max=1)).requires_grad_()
                for p, g in zip((W, b), grads, strict=True)
            )
        losses.append(float(loss))
        norms.append(float(norm))
    return W, b, torch.tensor(losses), torch.tensor(norms)


@training_steps.misconception(
    "One fault is left: you clip W and b each by its own norm, which turns the direction of the step. "
    "The norm is one, over all parameters together."
)
def each_clipped_alone(W, b, inputs, targets, clip, rate):
    W, b = W.clone().requires_grad_(), b.clone().requires_grad_()
    losses, norms = [], []
    for xs, ys in zip(inputs, targets, strict=True):
        x, y = torch.cat(xs), torch.cat(ys)
        loss = torch.nn.functional.cross_entropy(W[x] + b, y, ignore_index=-1)
        grads = torch.autograd.grad(loss, (W, b))
        norm = torch.cat([g.flatten() for g in grads]).norm()
        with torch.no_grad():
            W, b = (
                (p - rate * g * (clip / g.norm()).clamp(max=1)).requires_grad_()
                for p, g in zip((W, b), grads, strict=True)
            )
        losses.append(float(loss))
        norms.append(float(norm))
    return W, b, torch.tensor(losses), torch.tensor(norms)


@training_steps.misconception(
    "One fault is left: you clip after every micro-batch, while the gradient is still a part of itself. "
    "Accumulate all, then clip once."
)
def clipped_in_between(W, b, inputs, targets, clip, rate):
    W, b = W.clone().requires_grad_(), b.clone().requires_grad_()
    losses, norms = [], []
    for xs, ys in zip(inputs, targets, strict=True):
        count = sum(int((y >= 0).sum()) for y in ys)
        total, sums = 0.0, [torch.zeros_like(W), torch.zeros_like(b)]
        for x, y in zip(xs, ys, strict=True):
            loss = torch.nn.functional.cross_entropy(W[x] + b, y, ignore_index=-1, reduction="sum")
            grads = torch.autograd.grad(loss / count, (W, b))
            sums = [s + g for s, g in zip(sums, grads, strict=True)]
            norm = torch.cat([s.flatten() for s in sums]).norm()
            sums = [s * (clip / norm).clamp(max=1) for s in sums]
            total += float(loss) / count
        with torch.no_grad():
            W, b = ((p - rate * s).requires_grad_() for p, s in zip((W, b), sums, strict=True))
        losses.append(total)
        norms.append(float(norm))
    return W, b, torch.tensor(losses), torch.tensor(norms)


@training_steps.misconception(
    "One fault is left: the gradient of a step is still there in the next one and moves the weights "
    "again. Set it to zero before each step, not once at the start."
)
def gradient_left_over(W, b, inputs, targets, clip, rate):
    W, b = W.clone().requires_grad_(), b.clone().requires_grad_()
    losses, norms = [], []
    for xs, ys in zip(inputs, targets, strict=True):
        x, y = torch.cat(xs), torch.cat(ys)
        loss = torch.nn.functional.cross_entropy(W[x] + b, y, ignore_index=-1)
        loss.backward()
        norm = torch.cat([p.grad.flatten() for p in (W, b)]).norm()
        with torch.no_grad():
            for p in (W, b):
                p.grad *= (clip / norm).clamp(max=1)
                p -= rate * p.grad
        losses.append(float(loss))
        norms.append(float(norm))
    return W, b, torch.tensor(losses), torch.tensor(norms)


@training_steps.misconception(
    "Your loss counts the padding: you divide by all tokens of a step, also those whose target is −1. "
    "Divide by the number of those that count."
)
def padding_in_the_divisor(W, b, inputs, targets, clip, rate):
    W, b = W.clone().requires_grad_(), b.clone().requires_grad_()
    losses, norms = [], []
    for xs, ys in zip(inputs, targets, strict=True):
        x, y = torch.cat(xs), torch.cat(ys)
        loss = torch.nn.functional.cross_entropy(
            W[x] + b, y, ignore_index=-1, reduction="sum"
        ) / len(y)
        grads = torch.autograd.grad(loss, (W, b))
        norm = torch.cat([g.flatten() for g in grads]).norm()
        with torch.no_grad():
            W, b = (
                (p - rate * g * (clip / norm).clamp(max=1)).requires_grad_()
                for p, g in zip((W, b), grads, strict=True)
            )
        losses.append(float(loss))
        norms.append(float(norm))
    return W, b, torch.tensor(losses), torch.tensor(norms)
