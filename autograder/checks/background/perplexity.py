"""Question 2: perplexity and bits per character of a padded corpus."""

from collections.abc import Iterator

import numpy as np

from autograder.judge import item, untouched
from autograder.question import Aspect, Case, Fault, Judge, Question, Reply


def _perplexity_cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str, lengths: tuple[int, ...], vocabulary: int, pad: int = 0, kind: str = "float64"
    ) -> Case:
        length = max(lengths) + 1  # every text is padded
        tokens = np.setdiff1d(np.arange(vocabulary), pad)
        targets = rng.choice(tokens, size=(len(lengths), length))
        padding = np.arange(length) >= np.array(lengths)[:, None]
        characters = rng.integers(2, 9, size=vocabulary)
        # Two kinds of token among those that count, so that the mean of ratios is no ratio of means.
        characters[1], characters[2] = 1, 12
        longest, shortest = np.argmax(lengths), np.argmin(np.where(lengths, lengths, 99))
        targets[longest, :3] = 1, 2, tokens[0]  # token 0 is a word like any other, unless it is pad
        logits = rng.normal(size=(*targets.shape, vocabulary)) / 2
        # The shortest text surprises most: the mean of the texts' own means is another number.
        rows, columns = np.full(length, shortest), np.arange(length)
        logits[rows, columns, targets[shortest]] -= 2
        targets[padding] = pad
        return Case(
            name,
            {
                "logits": logits.astype(kind),
                "targets": targets,
                "pad": pad,
                "characters": characters,
            },
        )

    def padding_of(case: Case) -> np.ndarray:
        return case.arguments["targets"] == case.arguments["pad"]

    yield case("two texts", (3, 1), 4)
    yield case("four texts", (5, 2, 6, 3), 7)
    yield case("another padding id", (4, 6, 3), 7, pad=-100)
    yield case("a padding id above the vocabulary", (3, 5), 6, pad=6)
    yield case("float32", (3, 5, 2), 9, kind="float32")
    yield case("a text of padding only", (4, 0, 2), 6)
    anything = case("anything at the padding", (2, 5, 3), 6)
    logits = anything.arguments["logits"]
    logits[padding_of(anything)] = np.nan
    logits[0, -1] = 1e300
    yield anything
    large = case("large logits", (7, 5), 6)
    # The softmax ignores a shift; exp overflows at one and gives only zeros at the other.
    large.arguments["logits"][0] += 2000
    large.arguments["logits"][1] -= 2000
    # The probability of this token rounds to 0, its logarithm is a number all the same.
    large.arguments["logits"][0, 3, large.arguments["targets"][0, 3]] -= 800
    yield large
    excluded = case("excluded tokens", (4, 2, 3), 8)
    came = np.eye(8, dtype=bool)[excluded.arguments["targets"]]
    out = (rng.random(came.shape) < 0.3) & ~came
    excluded.arguments["logits"][out] = -np.inf
    yield excluded
    plain = case("non-contiguous", (4, 6, 3), 7)
    yield Case(plain.name, plain.arguments, strided=("logits", "targets"))


def _loosely(judge: Judge) -> Judge:
    """Compares in single precision: PyTorch makes float32 of a whole number times a Python float."""

    def loose(case: Case, expected: Reply, got: Reply) -> Fault | None:
        rounded = tuple(np.float32(number) for number in expected["value"])
        return judge(case, {**expected, "value": rounded}, got)

    return loose


_PLAIN = ("two texts", "four texts", "float32")


def _number(part: int, name: str) -> Judge:
    """One of the two numbers."""

    def judge(case: Case, expected: Reply, got: Reply) -> Fault | None:
        fault = _loosely(item(part, name))(case, expected, got)
        return fault and Fault(f"{name} is wrong.", fault.expected, fault.got)

    return judge


_PERPLEXITY = _number(0, "The perplexity")
_BITS = _number(1, "The number of bits per character")


def _either(case: Case, expected: Reply, got: Reply) -> Fault | None:
    """What is asked of both numbers is shown by one: a wrong formula of the other costs its own aspect."""
    fault = _PERPLEXITY(case, expected, got)
    return fault and _BITS(case, expected, got) and fault


def _both(case: Case, expected: Reply, got: Reply) -> Fault | None:
    """Each number, also where `_either` was content with one."""
    return _PERPLEXITY(case, expected, got) or _BITS(case, expected, got)


_OUTSIDE = ("another padding id", "a padding id above the vocabulary")
_UNREAD = ("a text of padding only", "anything at the padding")
_LARGE, _EXCLUDED = ("large logits",), ("excluded tokens",)

perplexity_and_bits = Question(
    name="perplexity_and_bits",
    title="Perplexity and bits of a padded corpus",
    cases=_perplexity_cases,
    aspects=(
        Aspect("perplexity", 1, _PERPLEXITY, _PLAIN),
        Aspect("bits per character", 1, _BITS, _PLAIN),
        Aspect("padding outside the vocabulary", 0.25, _either, _OUTSIDE),
        Aspect("a text of padding only, anything at the padding", 0.5, _either, _UNREAD),
        Aspect("large logits", 0.5, _either, _LARGE),
        Aspect("excluded tokens", 0.25, _either, _EXCLUDED),
        Aspect(
            "both numbers in all of these", 0.25, _both, _OUTSIDE + _UNREAD + _LARGE + _EXCLUDED
        ),
        Aspect(
            "arguments untouched, in any memory layout",
            0.25,
            _loosely(untouched()),
            ("non-contiguous", "four texts"),
        ),
    ),
)


@perplexity_and_bits.misconception(
    "You count the padding as tokens: positions whose target is pad belong to no text. Leave them out of the "
    "sum and of the number that divides it."
)
def padding_counted(logits, targets, pad, characters):
    shifted = logits - logits.max(axis=-1, keepdims=True)
    chosen = np.take_along_axis(shifted, targets[..., None], axis=-1)[..., 0]
    surprise = np.log(np.exp(shifted).sum(axis=-1)) - chosen
    bits = surprise.sum() / np.log(2) / characters[targets].sum()
    return np.exp(surprise.mean()), bits


@perplexity_and_bits.misconception(
    "You sum over the real tokens and divide by the number of all positions. Divide by the number of tokens "
    "that count, or longer padding makes every model look better."
)
def divided_by_all_positions(logits, targets, pad, characters):
    counted = targets != pad
    z, x = logits[counted], targets[counted]
    shifted = z - z.max(axis=-1, keepdims=True)
    surprise = np.log(np.exp(shifted).sum(axis=-1)) - shifted[np.arange(len(x)), x]
    bits = surprise.sum() / np.log(2) / characters[x].sum()
    return np.exp(surprise.sum() / targets.size), bits


@perplexity_and_bits.misconception(
    "You average over the texts' own means, so a token in a short text weighs more than one in a long text. "
    "Perplexity takes one mean over all tokens of the corpus."
)
def mean_of_means(logits, targets, pad, characters):
    means, bits = [], []
    for z, x in zip(logits, targets, strict=True):
        z, x = z[x != pad], x[x != pad]
        if len(x):
            shifted = z - z.max(axis=-1, keepdims=True)
            surprise = np.log(np.exp(shifted).sum(axis=-1)) - shifted[np.arange(len(x)), x]
            means.append(surprise.mean())
            bits.append(surprise.sum() / np.log(2) / characters[x].sum())
    return np.exp(np.mean(means)), np.mean(bits)


@perplexity_and_bits.misconception(
    "You mix two units: the mean surprise is in nats, so its exponential is e to that power. 2 to the power is "
    "right only for a surprise in bits."
)
def two_to_the_nats(logits, targets, pad, characters):
    counted = targets != pad
    z, x = logits[counted], targets[counted]
    shifted = z - z.max(axis=-1, keepdims=True)
    surprise = np.log(np.exp(shifted).sum(axis=-1)) - shifted[np.arange(len(x)), x]
    return 2 ** surprise.mean(), surprise.sum() / np.log(2) / characters[x].sum()


@perplexity_and_bits.misconception(
    "Your second number is in nats: divide the sum by ln 2 to have bits."
)
def nats_per_character(logits, targets, pad, characters):
    counted = targets != pad
    z, x = logits[counted], targets[counted]
    shifted = z - z.max(axis=-1, keepdims=True)
    surprise = np.log(np.exp(shifted).sum(axis=-1)) - shifted[np.arange(len(x)), x]
    return np.exp(surprise.mean()), surprise.sum() / characters[x].sum()


@perplexity_and_bits.misconception(
    "Your second number is bits per token: the sum of all bits is divided by the number of characters that the "
    "tokens stand for, not by the number of tokens."
)
def bits_per_token(logits, targets, pad, characters):
    counted = targets != pad
    z, x = logits[counted], targets[counted]
    shifted = z - z.max(axis=-1, keepdims=True)
    surprise = np.log(np.exp(shifted).sum(axis=-1)) - shifted[np.arange(len(x)), x]
    return np.exp(surprise.mean()), surprise.mean() / np.log(2)


@perplexity_and_bits.misconception(
    "You divide each token's bits by its own characters and average. That counts a short token's characters "
    "more than a long one's: divide the sum of the bits by the sum of the characters."
)
def mean_of_ratios(logits, targets, pad, characters):
    counted = targets != pad
    z, x = logits[counted], targets[counted]
    shifted = z - z.max(axis=-1, keepdims=True)
    surprise = np.log(np.exp(shifted).sum(axis=-1)) - shifted[np.arange(len(x)), x]
    return np.exp(surprise.mean()), np.mean(surprise / np.log(2) / characters[x])
