"""Context and entropy of attention in one pass. The largest score of query 0 always comes in the last block."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from autograder.checks.draw import normal, rounded
from autograder.judge import dtype, item, one_at_a_time, shape, untouched, values
from autograder.question import Aspect, Case, Question

_STREAMS = ("score_blocks", "value_blocks")


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str,
        leading: tuple[int, ...],
        n: int,
        blocks: tuple[int, ...],
        d_v: int,
        kind: str = "float64",
        **options: Any,
    ) -> Case:
        m = sum(blocks)
        draw = rounded if name == "small" else normal
        scores, values = draw(rng, *leading, n, m), draw(rng, *leading, m, d_v)
        # Always far enough ahead of all before it that the rescaling counts, never so far that it is alone.
        scores[..., 0, -1] = scores[..., 0, :].max(axis=-1) + 0.7
        ends = np.cumsum(blocks)[:-1]
        arguments = {
            "score_blocks": [part.astype(kind) for part in np.split(scores, ends, axis=-1)],
            "value_blocks": [part.astype(kind) for part in np.split(values, ends, axis=-2)],
        }
        return Case(name, arguments, iterators=_STREAMS, **options)

    yield case("small", (), 1, (2, 1), 2)
    yield case("batch", (2,), 3, (4, 2, 5), 6)
    yield case("no batch", (), 3, (2, 4, 1), 5)
    yield case("one key per block", (2,), 3, (1,) * 4, 5)
    yield case("batch and heads", (2, 3), 4, (3, 5, 2), 6)

    hidden = case("hidden keys and hidden blocks", (2,), 4, (3, 2, 4, 2), 5)
    first, _, third, _ = hidden.arguments["score_blocks"]
    first[:] = -np.inf  # nothing to see yet
    third[..., 1:, :] = -np.inf
    third[..., 0, 0] = -np.inf
    for block in hidden.arguments["score_blocks"]:
        block[..., -1, :] = -np.inf  # the last query never sees a key
    yield hidden

    # In float64: a log-sum-exp of hundreds in float32 has lost four digits, and is right all the same.
    large = case("scores in the hundreds", (2,), 3, (3, 4, 2), 5)
    for number, block in enumerate(large.arguments["score_blocks"]):
        # For query 2 each block is worth nothing beside the next.
        block += np.array([[900.0], [-900.0], [800.0 * (number - 1)]])
    yield large
    yield case("float32", (2,), 3, (2, 4, 3), 5, kind="float32")
    yield case("non-contiguous", (2,), 3, (2, 3, 4), 5, strided=_STREAMS)
    # All scores are 256 kB, those of one block 8 kB.
    yield case("long stream", (), 16, (64,) * 32, 4, held_bytes=128_000)


_ORDINARY = ("small", "batch", "no batch", "one key per block", "batch and heads")

streamed_context = Question(
    name="streamed_context",
    title="Context and entropy in one pass",
    cases=_cases,
    aspects=(
        Aspect("shapes", 0.25, shape(), _ORDINARY),
        Aspect("context", 1, item(0, "The context"), _ORDINARY),
        Aspect("entropy", 1, item(1, "The entropy"), _ORDINARY),
        Aspect("hidden keys and hidden blocks", 0.5, values(), ("hidden keys and hidden blocks",)),
        Aspect("scores in the hundreds", 0.25, values(), ("scores in the hundreds",)),
        Aspect("one block at a time", 0.5, one_at_a_time("the scores"), ("long stream",)),
        Aspect("the dtype of the arguments is kept", 0.25, dtype(), ("float32", "batch")),
        Aspect(
            "arguments untouched, in any memory layout",
            0.25,
            untouched(),
            ("non-contiguous", "batch"),
        ),
    ),
)


@streamed_context.misconception(
    "You sum exponentials that were taken relative to different maxima. When a block brings a larger maximum, "
    "multiply everything summed so far by e to the power of old minus new maximum."
)
def never_rescaled(score_blocks, value_blocks):
    largest, total, context, scored = -np.inf, 0.0, 0.0, 0.0
    for scores, vectors in zip(score_blocks, value_blocks, strict=True):
        largest = np.maximum(largest, scores.max(axis=-1, keepdims=True))
        shift = np.where(largest == -np.inf, 0, largest)
        exponentials = np.exp(scores - shift)
        total = total + exponentials.sum(axis=-1, keepdims=True)
        context = context + exponentials @ vectors
        scored = scored + (exponentials * np.where(scores > -np.inf, scores, 0)).sum(
            axis=-1, keepdims=True
        )
    total = np.where(total == 0, 1, total)
    shift = np.where(largest == -np.inf, 0, largest)
    return context / total, (shift + np.log(total) - scored / total)[..., 0]


@streamed_context.misconception(
    "You rescale the sum of the exponentials but not the context: both were summed relative to the old maximum, "
    "and both must change to the new one."
)
def context_not_rescaled(score_blocks, value_blocks):
    largest, total, context, scored = -np.inf, 0.0, 0.0, 0.0
    for scores, vectors in zip(score_blocks, value_blocks, strict=True):
        new = np.maximum(largest, scores.max(axis=-1, keepdims=True))
        shift = np.where(new == -np.inf, 0, new)
        rescale, exponentials = np.exp(largest - shift), np.exp(scores - shift)
        total = rescale * total + exponentials.sum(axis=-1, keepdims=True)
        context = context + exponentials @ vectors
        scored = rescale * scored + (exponentials * np.where(scores > -np.inf, scores, 0)).sum(
            axis=-1, keepdims=True
        )
        largest = new
    total = np.where(total == 0, 1, total)
    return context / total, (shift + np.log(total) - scored / total)[..., 0]


@streamed_context.misconception(
    "Your sum for the entropy holds s − M, and you re-base only its factor. When M grows, every difference in it "
    "falls as well: add Z · (old M − new M) before you multiply."
)
def difference_not_rebased(score_blocks, value_blocks):
    largest, total, context, scored = -np.inf, 0.0, 0.0, 0.0
    for scores, vectors in zip(score_blocks, value_blocks, strict=True):
        new = np.maximum(largest, scores.max(axis=-1, keepdims=True))
        shift = np.where(new == -np.inf, 0, new)
        rescale, exponentials = np.exp(largest - shift), np.exp(scores - shift)
        total = rescale * total + exponentials.sum(axis=-1, keepdims=True)
        context = rescale * context + exponentials @ vectors
        differences = np.where(scores > -np.inf, scores - shift, 0)
        scored = rescale * scored + (exponentials * differences).sum(axis=-1, keepdims=True)
        largest = new
    total = np.where(total == 0, 1, total)
    return context / total, (np.log(total) - scored / total)[..., 0]


@streamed_context.misconception(
    "You normalise every block by itself and average the results, so a block of poor keys counts as much as one "
    "of good keys. Sum up first and divide once, at the end."
)
def mean_of_blocks(score_blocks, value_blocks):
    contexts, entropies = [], []
    for scores, vectors in zip(score_blocks, value_blocks, strict=True):
        largest = scores.max(axis=-1, keepdims=True)
        exponentials = np.exp(scores - np.where(largest == -np.inf, 0, largest))
        total = exponentials.sum(axis=-1, keepdims=True)
        weights = exponentials / np.where(total == 0, 1, total)
        contexts.append(weights @ vectors)
        entropies.append(-(weights * np.log(np.where(weights > 0, weights, 1))).sum(axis=-1))
    return sum(contexts) / len(contexts), sum(entropies) / len(entropies)


@streamed_context.misconception(
    "You start anew with every block, so only the last one counts. Carry the sums over from block to block."
)
def last_block_only(score_blocks, value_blocks):
    for scores, vectors in zip(score_blocks, value_blocks, strict=True):
        largest = scores.max(axis=-1, keepdims=True)
        exponentials = np.exp(scores - np.where(largest == -np.inf, 0, largest))
        total = exponentials.sum(axis=-1, keepdims=True)
        weights = exponentials / np.where(total == 0, 1, total)
        context = weights @ vectors
        entropy = -(weights * np.log(np.where(weights > 0, weights, 1))).sum(axis=-1)
    return context, entropy


@streamed_context.misconception(
    "Your second result is the log-sum-exp. The entropy is the log-sum-exp less the average score: H = lse − "
    "the sum of a_j s_j."
)
def log_sum_exp_for_entropy(score_blocks, value_blocks):
    largest, total, context = -np.inf, 0.0, 0.0
    for scores, vectors in zip(score_blocks, value_blocks, strict=True):
        new = np.maximum(largest, scores.max(axis=-1, keepdims=True))
        shift = np.where(new == -np.inf, 0, new)
        rescale, exponentials = np.exp(largest - shift), np.exp(scores - shift)
        total = rescale * total + exponentials.sum(axis=-1, keepdims=True)
        context = rescale * context + exponentials @ vectors
        largest = new
    total = np.where(total == 0, 1, total)
    return context / total, (shift + np.log(total))[..., 0]


@streamed_context.misconception(
    "Your entropy is in bits: you took the logarithm to base 2. The book measures in nats, with the natural "
    "logarithm."
)
def entropy_in_bits(score_blocks, value_blocks):
    largest, total, context, scored = -np.inf, 0.0, 0.0, 0.0
    for scores, vectors in zip(score_blocks, value_blocks, strict=True):
        new = np.maximum(largest, scores.max(axis=-1, keepdims=True))
        shift = np.where(new == -np.inf, 0, new)
        rescale, exponentials = np.exp(largest - shift), np.exp(scores - shift)
        total = rescale * total + exponentials.sum(axis=-1, keepdims=True)
        context = rescale * context + exponentials @ vectors
        scored = rescale * scored + (exponentials * np.where(scores > -np.inf, scores, 0)).sum(
            axis=-1, keepdims=True
        )
        largest = new
    total = np.where(total == 0, 1, total)
    return context / total, (shift + np.log(total) - scored / total)[..., 0] / np.log(2)
