"""Cross-entropy, perplexity and bits per byte. In every case some targets do not count, in unequal numbers."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from autograder.checks.draw import normal
from autograder.judge import differs, item, untouched, values
from autograder.question import Aspect, Case, Fault, Question, Reply

PARTS = ("The loss in nats per token", "The perplexity", "The number of bits per byte")


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str,
        counted: tuple[int, ...],
        n: int,
        vocabulary: int,
        kind: str = "float64",
        **options: Any,
    ) -> Case:
        logits = 2 * normal(rng, len(counted), n, vocabulary)
        targets = rng.integers(0, vocabulary, size=(len(counted), n))
        for row, count in zip(targets, counted, strict=True):
            row[count:] = -1
        # One token comes more often than others, and is not the only one.
        targets[0, 1] = targets[0, 0]
        last = tuple(np.argwhere(targets >= 0)[-1])
        targets[last] = (targets[0, 0] + rng.integers(1, vocabulary)) % vocabulary
        lengths = 1 + rng.integers(0, 9, size=vocabulary)
        # The vocabulary's mean length is never the text's, whose tokens are never all of one length.
        while (
            abs(lengths[targets[targets >= 0]].mean() - lengths.mean()) < 0.1
            or np.ptp(lengths[targets[targets >= 0]]) == 0
        ):
            lengths = 1 + rng.integers(0, 9, size=vocabulary)
        arguments = {"logits": logits.astype(kind), "targets": targets, "bytes_per_token": lengths}
        return Case(name, arguments, **options)

    yield case("small", (2, 1), 3, 3)
    yield case("batch", (5, 2, 3), 6, 8)
    yield case("an example without targets", (4, 0, 2), 4, 7)
    yield case("as many positions as tokens", (5, 3), 5, 5)
    yield case("one example", (3,), 5, 6)
    large = case("large logits", (4, 2), 5, 6)
    large.arguments["logits"] += 1500 * _signs(rng)
    _lower(large, 800)  # exp(-800) is 0 in float64
    yield large
    large = case("large logits, float32", (4, 2), 5, 6, kind="float32")
    large.arguments["logits"] += 200 * _signs(rng).astype("float32")
    _lower(large, 300)  # exp(-300) is 0 in float32
    yield large
    yield case("half precision", (40, 25), 50, 30, kind="float16")
    yield case("non-contiguous", (4, 2, 5), 6, 7, strided=("logits", "targets", "bytes_per_token"))


def _signs(rng: np.random.Generator) -> np.ndarray:
    """Of two examples' positions (2, 5, 1); both signs are among the first two of each, which count."""
    signs = rng.choice([-1, 1], size=(2, 5, 1))
    signs[:, 1] = -signs[:, 0]
    return signs


def _lower(case: Case, by: float) -> None:
    """Take so much from the logit of the first target, whose probability is then 0 in floating point."""
    logits, targets = case.arguments["logits"], case.arguments["targets"]
    logits[0, 0, targets[0, 0]] -= by


_PLAIN = (
    "small",
    "batch",
    "an example without targets",
    "as many positions as tokens",
    "one example",
)


def _precise(case: Case, expected: Reply, got: Reply) -> Fault | None:
    """Of half precision the numbers are right, of float64 to its digits: a result in float32 is no excuse there."""
    if case.arguments["logits"].dtype == np.float64 and isinstance(got["value"], list | tuple):
        value = [np.asarray(part, dtype=float) for part in got["value"]]
        return differs(expected["value"], value, "The result, in the digits of float64,")
    return differs(expected["value"], got["value"], "The result")


losses = Question(
    name="losses",
    title="One loss in three units",
    cases=_cases,
    aspects=(
        Aspect("nats per token", 1, item(0, PARTS[0]), _PLAIN),
        Aspect("perplexity", 0.5, item(1, PARTS[1]), _PLAIN),
        Aspect("bits per byte", 0.5, item(2, PARTS[2]), _PLAIN),
        Aspect("large logits", 0.5, values(), ("large logits", "large logits, float32")),
        Aspect("precision", 0.25, _precise, ("half precision", "batch")),
        Aspect(
            "arguments untouched, in any memory layout",
            0.25,
            untouched(),
            ("batch", "non-contiguous"),
        ),
    ),
)


@losses.misconception(
    "You count the padding. As an index −1 is the last token of the vocabulary, so each padded position "
    "adds a loss for it: leave out the positions whose target is −1."
)
def padding_counted(logits, targets, bytes_per_token):
    logits = np.asarray(logits, dtype=np.promote_types(logits.dtype, np.float32))
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    nats = -np.take_along_axis(log_p, targets[..., None], axis=-1).mean()
    return nats, np.exp(nats), nats * targets.size / np.log(2) / bytes_per_token[targets].sum()


@losses.misconception(
    "You leave the padding out of the sum but divide by the number of all positions, so the more "
    "padding, the better the loss looks. Divide by the number of targets that count."
)
def divided_by_all(logits, targets, bytes_per_token):
    logits = np.asarray(logits, dtype=np.promote_types(logits.dtype, np.float32))
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    counted = targets >= 0
    each = -np.take_along_axis(log_p, np.maximum(targets, 0)[..., None], axis=-1)[..., 0]
    nats = each[counted].sum() / targets.size
    bits = each[counted].sum() / np.log(2)
    return nats, np.exp(nats), bits / bytes_per_token[targets[counted]].sum()


@losses.misconception(
    "You average each example first, and then the averages. A token of a short example then weighs more "
    "than one of a long example: sum over all counted tokens, divide once."
)
def mean_of_means(logits, targets, bytes_per_token):
    logits = np.asarray(logits, dtype=np.promote_types(logits.dtype, np.float32))
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    counted = targets >= 0
    each = -np.take_along_axis(log_p, np.maximum(targets, 0)[..., None], axis=-1)[..., 0]
    rows = [loss[seen].mean() for loss, seen in zip(each, counted, strict=True) if seen.any()]
    nats = np.mean(rows, dtype=log_p.dtype)
    per_token = bytes_per_token[targets[counted]].mean()
    return nats, np.exp(nats), nats / np.log(2) / per_token


@losses.misconception(
    "Your loss is in bits, with the logarithm to base 2. Nats come from the natural logarithm; bits are "
    "asked for in the third number only."
)
def bits_for_nats(logits, targets, bytes_per_token):
    logits = np.asarray(logits, dtype=np.promote_types(logits.dtype, np.float32))
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    counted = targets >= 0
    each = -np.take_along_axis(log_p, np.maximum(targets, 0)[..., None], axis=-1)[..., 0]
    bits = each[counted].mean() / np.log(2)
    return bits, np.exp(bits), bits / bytes_per_token[targets[counted]].mean()


@losses.misconception(
    "Your perplexity is 2 to the power of nats. The base must fit the unit: exp(nats), or 2 to the "
    "power of the bits."
)
def two_to_the_nats(logits, targets, bytes_per_token):
    logits = np.asarray(logits, dtype=np.promote_types(logits.dtype, np.float32))
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    counted = targets >= 0
    each = -np.take_along_axis(log_p, np.maximum(targets, 0)[..., None], axis=-1)[..., 0]
    nats = each[counted].mean()
    return nats, 2**nats, nats / np.log(2) / bytes_per_token[targets[counted]].mean()


@losses.misconception(
    "Your perplexity is the mean of the tokens' 1/p. It is the exponential of the mean loss, a "
    "geometric mean: average first, then exponentiate."
)
def mean_of_perplexities(logits, targets, bytes_per_token):
    logits = np.asarray(logits, dtype=np.promote_types(logits.dtype, np.float32))
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    counted = targets >= 0
    each = -np.take_along_axis(log_p, np.maximum(targets, 0)[..., None], axis=-1)[..., 0]
    nats = each[counted].mean()
    bits = nats / np.log(2)
    return nats, np.exp(each[counted]).mean(), bits / bytes_per_token[targets[counted]].mean()


@losses.misconception("Your bits per byte are nats per byte: divide by ln 2 as well.")
def nats_per_byte(logits, targets, bytes_per_token):
    logits = np.asarray(logits, dtype=np.promote_types(logits.dtype, np.float32))
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    counted = targets >= 0
    each = -np.take_along_axis(log_p, np.maximum(targets, 0)[..., None], axis=-1)[..., 0]
    nats = each[counted].mean()
    return nats, np.exp(nats), nats / bytes_per_token[targets[counted]].mean()


@losses.misconception(
    "You divide by the mean length of the vocabulary's tokens. What counts is the text: the bytes of "
    "the targets that were predicted, each as often as it occurs."
)
def bytes_of_the_vocabulary(logits, targets, bytes_per_token):
    logits = np.asarray(logits, dtype=np.promote_types(logits.dtype, np.float32))
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    counted = targets >= 0
    each = -np.take_along_axis(log_p, np.maximum(targets, 0)[..., None], axis=-1)[..., 0]
    nats = each[counted].mean()
    return nats, np.exp(nats), nats / np.log(2) / bytes_per_token.mean()


@losses.misconception(
    "You average the bits per byte of single tokens. Rates are not averaged: divide all bits by all "
    "bytes."
)
def mean_of_rates(logits, targets, bytes_per_token):
    logits = np.asarray(logits, dtype=np.promote_types(logits.dtype, np.float32))
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    counted = targets >= 0
    each = -np.take_along_axis(log_p, np.maximum(targets, 0)[..., None], axis=-1)[..., 0]
    nats = each[counted].mean()
    rates = each[counted] / bytes_per_token[targets[counted]]
    return nats, np.exp(nats), (rates / np.log(2)).mean()
