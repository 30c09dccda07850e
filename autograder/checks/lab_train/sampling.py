"""The next token: its distribution, exactly, and what is drawn from it, by statistics.

A draw is judged by how often each token came, and by how often each pair of tokens came in two rows, and in the two
halves of one row, which are independent. Each distance has a bound that a right program exceeds with a probability of
at most 1e-8, in all cases of one hand-in together below 1e-6 (`chance.largest_distance`).
"""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
import torch

from autograder.checks.lab_train.chance import NotSeeded, frequencies, largest_distance
from autograder.judge import alike, every, item
from autograder.question import Aspect, Case, Fault, Judge, Question, Reply

COUNT = 5000  # draws of each row
FALSE_ALARM = 1e-8

# Of the likeliest tokens, in order; the others have less. Temperature, top_k and top_p change them clearly.
LADDER = (0.30, 0.22, 0.16, 0.12, 0.08)


def _row(rng: np.random.Generator, vocabulary: int, tie: bool) -> np.ndarray:
    """Logits in any order. No sum of the likeliest is close to a top_p; a tie is of the third and the fourth."""
    rest = vocabulary - len(LADDER)
    p = np.array([*LADDER, *rng.uniform(0.9, 1.1, size=rest) * 0.12 / rest])
    logits = np.log(p) + rng.normal()
    if tie:
        logits[2:4] = logits[2:4].mean()
    return logits[rng.permutation(vocabulary)]


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str,
        rows: int,
        vocabulary: int,
        temperature: float,
        top_k: int | None,
        top_p: float | None,
        tie: bool = False,
        kind: str = "float64",
        **options: Any,
    ) -> Case:
        logits = np.stack([_row(rng, vocabulary, tie) for _ in range(rows)]).astype(kind)
        arguments = {"logits": logits, "temperature": temperature, "top_k": top_k, "top_p": top_p}
        return Case(name, arguments | {"count": COUNT}, **options)

    yield case("small", 2, 7, 1.5, 4, 0.55)
    yield case("batch", 3, 9, 0.8, 4, 0.64)
    yield case("as many rows as tokens", 7, 7, 1.3, 4, 0.57)
    yield case("float32", 2, 8, 1.6, 4, 0.52, kind="float32")
    yield case("top_k alone", 2, 7, 0.7, 4, None)
    yield case("top_p alone", 2, 7, 1.4, None, 0.54)
    yield case("a tie", 2, 8, 1.25, 3, 0.9, tie=True)
    # The third and the fourth are alike; with the third the sum reaches top_p, and it alone stays.
    yield case("a tie in the nucleus", 2, 8, 1.25, None, 0.55, tie=True)
    yield case("nothing cut off", 2, 7, 0.6, 50, 1.0)
    greedy = case("temperature 0", 3, 7, 0.0, 4, 0.55)
    best = greedy.arguments["logits"].max(axis=1)
    # In each row a second token is as likely: the first of the two is taken.
    for row, highest in zip(greedy.arguments["logits"], best, strict=True):
        row[int(rng.choice(np.flatnonzero(row < highest)))] = highest
    yield greedy
    forbidden = case("a forbidden token", 2, 7, 1.5, 4, 0.55)
    logits = forbidden.arguments["logits"]
    logits[np.arange(2), logits.argmax(axis=1)] = -np.inf
    yield forbidden
    yield case("non-contiguous", 3, 8, 1.5, 4, 0.55, strided=("logits",))


def _tokens(case: Case, got: Reply) -> np.ndarray | Fault:
    """The tokens drawn, or why they are none."""
    value = got["value"]
    if not isinstance(value, list | tuple) or len(value) != 2:
        return Fault("The result is not of two parts: probabilities and tokens.")
    rows, vocabulary = case.arguments["logits"].shape
    tokens = value[1]
    if not isinstance(tokens, np.ndarray) or tokens.shape != (rows, case.arguments["count"]):
        shape = np.shape(tokens) if isinstance(tokens, np.ndarray) else type(tokens).__name__
        return Fault("The tokens have another shape.", f"({rows}, {COUNT})", str(shape))
    if tokens.dtype.kind not in "iu":
        return Fault("The tokens are no whole numbers.", "int64", tokens.dtype.name)
    if tokens.min() < 0 or tokens.max() >= vocabulary:
        return Fault(
            "A token is not in the vocabulary.", f"0 to {vocabulary - 1}", str(tokens.max())
        )
    return tokens


def _bound(kinds: int, draws: int = COUNT) -> float:
    return largest_distance(kinds, draws, FALSE_ALARM)


def _as_likely(case: Case, expected: Reply, got: Reply) -> Fault | None:
    """Each row's tokens come as often as the solution's probabilities say."""
    tokens = _tokens(case, got)
    if isinstance(tokens, Fault):
        return tokens
    for number, (p, row) in enumerate(zip(expected["value"][0], tokens, strict=True)):
        share = frequencies(row, len(p))
        if (share[p == 0] > 0).any():
            first = int(np.flatnonzero((p == 0) & (share > 0))[0])
            return Fault(
                f"In row {number} token {first} was drawn, whose probability is 0.",
                "never",
                f"{round(share[first] * COUNT)} times in {COUNT}",
            )
        if np.abs(share - p).sum() > _bound(np.count_nonzero(p)):
            return Fault(
                f"In row {number} the tokens come too often or too seldom, more than chance explains.",
                f"shares near {np.round(p, 3)}",
                f"{np.round(share, 3)}",
            )
    return None


def _independent(case: Case, expected: Reply, got: Reply) -> Fault | None:
    """Any two rows' tokens come together as often as two independent draws; so do the first row's two halves."""
    if fault := _as_likely(case, expected, got):
        return fault
    p, tokens = expected["value"][0], got["value"][1]
    samples = [
        (f"in row {i} tells what comes in row {j}", p[i], p[j], tokens[[i, j]])
        for i, j in combinations(range(len(p)), 2)
    ]
    halves = np.stack(np.split(tokens[0], 2))
    samples.append(
        ("in the first half of row 0 tells what comes in the second", p[0], p[0], halves)
    )
    for what, first, second, pair in samples:
        pairs, both = _pairs(pair, len(first)), np.outer(first, second).ravel()
        if np.abs(pairs - both).sum() > _bound(np.count_nonzero(both), pair.shape[1]):
            return Fault(
                f"The draws are not independent: what comes {what}.",
                f"the most frequent pair in {both.max():.0%} of the draws",
                f"{pairs.max():.0%}",
            )
    return None


def _pairs(tokens: np.ndarray, vocabulary: int) -> np.ndarray:
    """How often each pair comes in two rows of draws (2, draws)."""
    return frequencies(tokens[0].astype(int) * vocabulary + tokens[1], vocabulary**2)


def _alike(one: Any, other: Any) -> bool:
    """The probabilities agree, and the tokens as far as two samples of one distribution do."""
    if not alike(one[0], other[0]) or one[1].shape != other[1].shape:
        return False
    kinds = one[0].shape[1]
    for first, second in zip(one[1], other[1], strict=True):
        if _apart(frequencies(first, kinds), frequencies(second, kinds)):
            return False
    return not _apart(_pairs(one[1][:2], kinds), _pairs(other[1][:2], kinds))


def _apart(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two samples' frequencies differ by more than both bounds together."""
    kinds = np.count_nonzero(first + second)
    return bool(np.abs(first - second).sum() > 2 * _bound(kinds))


def _kept(index: int) -> Judge:
    """The argument is as it was, and the dtype of the probabilities too, where these are right."""

    def judge(case: Case, expected: Reply, got: Reply) -> Fault | None:
        if fault := item(0, "The probabilities")(case, expected, got):
            return fault
        if got["changed"]:
            return Fault("The call changed its argument logits in place.")
        want, have = expected["value"][index].dtype, got["value"][index].dtype
        return None if want == have else Fault("The dtype is another one.", str(want), str(have))

    return judge


_ORDINARY = ("small", "batch", "as many rows as tokens")
_probabilities = item(0, "The probabilities")

draw = Question(
    name="draw",
    title="Draw the next token",
    cases=_cases,
    library="torch",
    alike=_alike,
    rules=(
        NotSeeded(
            why="every call would draw the same tokens again, and a text generated token by token repeats itself",
            costs=("draws independent of each other",),
        ),
    ),
    aspects=(
        Aspect("probabilities", 1, _probabilities, (*_ORDINARY, "top_k alone", "top_p alone")),
        Aspect("ties", 0.25, _probabilities, ("a tie", "a tie in the nucleus")),
        Aspect(
            "temperature 0",
            0.5,
            every(_probabilities, _as_likely, _kept(0)),
            ("temperature 0",),
        ),
        Aspect(
            "nothing cut off, a forbidden token",
            0.25,
            _probabilities,
            ("nothing cut off", "a forbidden token"),
        ),
        Aspect(
            "tokens as likely as they should be", 1, _as_likely, (*_ORDINARY, "nothing cut off")
        ),
        Aspect(
            "draws independent of each other", 0.5, _independent, (*_ORDINARY, "nothing cut off")
        ),
        Aspect(
            "dtype kept, argument untouched, any memory layout",
            0.5,
            _kept(0),
            ("float32", "non-contiguous"),
        ),
    ),
)


@draw.misconception(
    "You multiply by the temperature. A high temperature is to flatten the distribution: divide the "
    "logits by it."
)
def temperature_multiplies(logits, temperature, top_k, top_p, count):
    ranked, order = (logits * temperature).sort(dim=-1, descending=True, stable=True)
    ranked[:, top_k or len(logits[0]) :] = -torch.inf
    p = ranked.softmax(-1)
    p = p.masked_fill(p.cumsum(-1) - p >= (top_p or 1), 0)
    p = p / p.sum(-1, keepdim=True)
    p = torch.zeros_like(p).scatter(-1, order, p)
    return p, torch.multinomial(p, count, replacement=True)


@draw.misconception(
    "The token with which the sum reaches top_p is dropped, so what is kept has less than top_p. Keep a "
    "token where those *before* it have less than top_p."
)
def nucleus_too_small(logits, temperature, top_k, top_p, count):
    if temperature == 0:
        p = torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
        return p, torch.multinomial(p, count, replacement=True)
    ranked, order = (logits / temperature).sort(dim=-1, descending=True, stable=True)
    ranked[:, top_k or len(logits[0]) :] = -torch.inf
    p = ranked.softmax(-1)
    total = p.cumsum(-1)
    p = p.masked_fill((total > (top_p or 1) + 1e-9) & (total > p), 0)
    p = p / p.sum(-1, keepdim=True)
    p = torch.zeros_like(p).scatter(-1, order, p)
    return p, torch.multinomial(p, count, replacement=True)


@draw.misconception(
    "What is left does not sum to 1. The tokens that are kept share all of the probability: divide by "
    "their sum."
)
def not_renormalised(logits, temperature, top_k, top_p, count):
    if temperature == 0:
        p = torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
        return p, torch.multinomial(p, count, replacement=True)
    ranked, order = (logits / temperature).sort(dim=-1, descending=True, stable=True)
    every = ranked.softmax(-1)
    ranked[:, top_k or len(logits[0]) :] = -torch.inf
    p = ranked.softmax(-1)
    p = every.masked_fill((p.cumsum(-1) - p >= (top_p or 1)) | (p == 0), 0)
    p = torch.zeros_like(p).scatter(-1, order, p)
    return p, torch.multinomial(p, count, replacement=True)


@draw.misconception(
    "Your top_p looks at the probabilities before top_k. The order is temperature, top_k, top_p: what "
    "top_k leaves is a distribution again, with larger probabilities."
)
def top_p_before_top_k(logits, temperature, top_k, top_p, count):
    if temperature == 0:
        p = torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
        return p, torch.multinomial(p, count, replacement=True)
    ranked, order = (logits / temperature).sort(dim=-1, descending=True, stable=True)
    p = ranked.softmax(-1)
    ranked = ranked.masked_fill(p.cumsum(-1) - p >= (top_p or 1), -torch.inf)
    ranked[:, top_k or len(logits[0]) :] = -torch.inf
    p = ranked.softmax(-1)
    p = torch.zeros_like(p).scatter(-1, order, p)
    return p, torch.multinomial(p, count, replacement=True)


@draw.misconception(
    "You always take the likeliest token. Draw in proportion to the probabilities; only temperature 0 "
    "takes the likeliest."
)
def likeliest_taken(logits, temperature, top_k, top_p, count):
    if temperature == 0:
        p = torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
        return p, torch.multinomial(p, count, replacement=True)
    ranked, order = (logits / temperature).sort(dim=-1, descending=True, stable=True)
    ranked[:, top_k or len(logits[0]) :] = -torch.inf
    p = ranked.softmax(-1)
    p = p.masked_fill(p.cumsum(-1) - p >= (top_p or 1), 0)
    p = p / p.sum(-1, keepdim=True)
    p = torch.zeros_like(p).scatter(-1, order, p)
    return p, p.argmax(-1, keepdim=True).repeat(1, count)


@draw.misconception(
    "You draw from all tokens: top_k and top_p play no part in it. Draw from the probabilities that you "
    "return."
)
def drawn_from_all(logits, temperature, top_k, top_p, count):
    if temperature == 0:
        p = torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
        return p, torch.multinomial(p, count, replacement=True)
    ranked, order = (logits / temperature).sort(dim=-1, descending=True, stable=True)
    drawn = torch.multinomial((logits / temperature).softmax(-1), count, replacement=True)
    ranked[:, top_k or len(logits[0]) :] = -torch.inf
    p = ranked.softmax(-1)
    p = p.masked_fill(p.cumsum(-1) - p >= (top_p or 1), 0)
    p = p / p.sum(-1, keepdim=True)
    p = torch.zeros_like(p).scatter(-1, order, p)
    return p, drawn


@draw.misconception(
    "All rows share one random number, so that one row's token tells the others'. Draw anew for each "
    "row."
)
def one_number_for_all_rows(logits, temperature, top_k, top_p, count):
    if temperature == 0:
        p = torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
        return p, torch.multinomial(p, count, replacement=True)
    ranked, order = (logits / temperature).sort(dim=-1, descending=True, stable=True)
    ranked[:, top_k or len(logits[0]) :] = -torch.inf
    p = ranked.softmax(-1)
    p = p.masked_fill(p.cumsum(-1) - p >= (top_p or 1), 0)
    p = p / p.sum(-1, keepdim=True)
    p = torch.zeros_like(p).scatter(-1, order, p)
    places = (
        torch.rand(count, dtype=p.dtype).expand(len(p), -1).contiguous()
        * p.sum(-1, keepdim=True)
        * 0.9999
    )
    return p, torch.searchsorted(p.cumsum(-1), places, right=True)


@draw.misconception(
    "The probabilities stay in the order of their size: token 0 gets that of the likeliest token. "
    "Scatter them back to their own places."
)
def left_in_order(logits, temperature, top_k, top_p, count):
    if temperature == 0:
        p = torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
        return p, torch.multinomial(p, count, replacement=True)
    ranked = (logits / temperature).sort(dim=-1, descending=True)[0]
    ranked[:, top_k or len(logits[0]) :] = -torch.inf
    p = ranked.softmax(-1)
    p = p.masked_fill(p.cumsum(-1) - p >= (top_p or 1), 0)
    p = p / p.sum(-1, keepdim=True)
    return p, torch.multinomial(p, count, replacement=True)
