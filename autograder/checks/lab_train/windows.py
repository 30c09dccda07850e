"""Windows of a text and the tokens that follow. Every case has a window that reaches over the text's end."""

from collections.abc import Iterator

import numpy as np

from autograder.judge import differs, dtype, every, item, untouched
from autograder.question import Aspect, Case, Fault, Judge, Question, Reply

PARTS = ("The array of inputs", "The array of targets")


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str,
        length: int,
        n: int,
        batch: int,
        kind: str = "int64",
        strided: tuple[str, ...] = (),
    ) -> Case:
        # No two neighbours are equal, nor the first and the last: a wrong place is never right by chance.
        tokens = np.cumsum(1 + rng.integers(0, 9, size=length)).astype(kind)
        if kind == "uint16":
            tokens += 40_000  # more than an int16 holds
        # Never 0, so that no window begins where its number is its place; one reaches over the end.
        starts = rng.integers(2, length - n, size=batch)
        edge = int(rng.integers(batch))
        starts[edge] = length - min(n, 2)
        if batch > 1:  # token 0 is a token like any other, and no padding
            tokens[starts[edge - 1] + 1] = 0
        return Case(name, {"tokens": tokens, "starts": starts, "n": n}, strided=strided)

    yield case("small", 7, 3, 2)
    yield case("batch", 40, 6, 5)
    yield case("one window", 9, 4, 1)
    yield case("windows of one token", 12, 1, 4)
    yield case("as many windows as tokens in one", 30, 4, 4)
    yield case("tokens of 16 bits", 40, 7, 3, kind="uint16")
    yield case("non-contiguous", 30, 5, 4, strided=("tokens", "starts"))


def _within_the_text(index: int) -> Judge:
    """One of the two arrays is right wherever the text has a next token."""

    def judge(_: Case, expected: Reply, got: Reply) -> Fault | None:
        want, have = expected["value"], got["value"]
        if not isinstance(have, list | tuple) or len(have) != 2:
            return differs(want, have, "The result")
        if np.shape(have[index]) != want[index].shape:
            return differs(want[index], have[index], PARTS[index])
        inside = want[1] >= 0
        if (np.asarray(have[index])[inside] == want[index][inside]).all():
            return None
        return differs(want[index], have[index], PARTS[index]) or Fault(f"{PARTS[index]} is wrong.")

    return judge


_PLAIN = (
    "small",
    "batch",
    "one window",
    "windows of one token",
    "as many windows as tokens in one",
)

# What is made contiguous first is a copy of an array that was not, and the argument itself where it was.
_LAYOUTS = ("batch", "non-contiguous")

windows = Question(
    name="windows",
    title="Windows and what follows them",
    cases=_cases,
    aspects=(
        Aspect("inputs within the text", 0.5, _within_the_text(0), _PLAIN),
        Aspect("targets within the text", 0.5, _within_the_text(1), _PLAIN),
        Aspect(
            "over the end of the text", 0.5, every(item(0, PARTS[0]), item(1, PARTS[1])), _PLAIN
        ),
        Aspect(
            "int64, also of 16-bit tokens", 0.25, every(dtype(0), dtype(1)), ("tokens of 16 bits",)
        ),
        Aspect("arguments untouched, in any memory layout", 0.25, untouched(), _LAYOUTS),
    ),
)


@windows.misconception(
    "Your targets are the inputs themselves. Each position is to predict the token that follows it, so "
    "the targets begin one token later; else the model learns to copy what it sees."
)
def targets_not_shifted(tokens, starts, n):
    at = starts[:, None] + np.arange(n)
    inputs = np.append(tokens.astype(np.int64), [0] * n)[at]
    return inputs, np.where(at < len(tokens), inputs, -1)


@windows.misconception(
    "Your targets are the tokens before the inputs: shifted to the wrong side. A language model "
    "predicts what comes next, one token later."
)
def targets_before_inputs(tokens, starts, n):
    at = starts[:, None] + np.arange(n)
    padded = np.append(tokens.astype(np.int64), [0] * n)
    return padded[at], np.where(at - 1 < len(tokens), padded[at - 1], -1)


@windows.misconception(
    "Your targets lie two tokens after the inputs. The target of a position is its very next token: one "
    "later."
)
def targets_two_later(tokens, starts, n):
    at = starts[:, None] + np.arange(n)
    inputs = np.append(tokens.astype(np.int64), [0] * n)[at]
    return inputs, np.append(tokens.astype(np.int64), [-1] * (n + 2))[at + 2]


@windows.misconception("You return the targets before the inputs: the order is inputs, targets.")
def targets_first(tokens, starts, n):
    at = starts[:, None] + np.arange(n)
    inputs = np.append(tokens.astype(np.int64), [0] * n)[at]
    return np.append(tokens.astype(np.int64), [-1] * (n + 1))[at + 1], inputs


@windows.misconception(
    "Windows that reach over the end go on at the beginning of the text. There nothing follows: inputs "
    "beyond the end are 0 and targets −1."
)
def wraps_around(tokens, starts, n):
    at = starts[:, None] + np.arange(n)
    tokens = tokens.astype(np.int64)
    return tokens[at % len(tokens)], tokens[(at + 1) % len(tokens)]


@windows.misconception(
    "Beyond the end of the text you repeat its last token, and train the model to do so. Nothing "
    "follows there: inputs beyond the end are 0 and targets −1."
)
def last_token_repeated(tokens, starts, n):
    at = starts[:, None] + np.arange(n)
    tokens = tokens.astype(np.int64)
    return np.take(tokens, at, mode="clip"), np.take(tokens, at + 1, mode="clip")


@windows.misconception(
    "Beyond the end you pad the targets with 0, which is a token like any other, so the model is "
    "trained to predict it. Targets that do not count are −1."
)
def targets_padded_with_0(tokens, starts, n):
    at = starts[:, None] + np.arange(n)
    padded = np.append(tokens.astype(np.int64), [0] * (n + 1))
    return padded[at], padded[at + 1]
