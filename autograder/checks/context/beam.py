"""The checks of `beam_search`: the best outputs of a model that is a table of log-probabilities.

All tables hold multiples of 1/8, so that sums are exact in any order and equal ones are equal. No alpha is 1 but one:
scores of outputs of different lengths could then be equal but for rounding, and their order a matter of luck.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from autograder.checks.context import outputs
from autograder.question import Aspect, Case, Question

# The cost of each next token (column) after the last one (row), from 0, the start token, to 1, the end token. No two
# outputs cost the same.
X = np.inf
# Fewer outputs are possible than a wide beam could hold, and some of its beginnings end with the same token. The best
# output is the first to end, and the others are wanted still.
HOLES = np.array(
    [
        [X, 1, 16, 17, 19],
        [X, 0, 30, 30, 30],
        [X, 10, X, X, X],
        [X, 10, 16, X, 18],
        [X, 10, 20, 22, 24],
    ]
)
# A beam of two finds [3, 1] and [2, 3, 1]. At the first step [1] is the third, so it is not kept, though it would rank
# second; at the second one [3, 1] takes a place, so [2, 4] is not kept, though [2, 4, 1] would rank second.
CROWDED = np.array(
    [[30, 7, 1, 2, 9], [30, 0, 30, 30, 30], [30, 10, 9, 6, 7], [30, 4, 8, 9, 7], [30, 1, 9, 9, 9]]
)


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(name: str, tokens: int, width: int, limit: int, alpha: float, **more: Any) -> Case:
        start, end = more.pop("start", 0), more.pop("end", 1)
        arguments = {
            "log_probs": more.pop("table", _table(rng, tokens, start, end)),
            "start": start,
            "end": end,
            "width": width,
            "limit": limit,
            "alpha": alpha,
        }
        return Case(name, arguments, **more)

    yield case("small", 3, 2, 5, 0.9)
    yield case("wider", 6, 3, 6, 0.9)
    yield case("end token in the middle", 5, 2, 5, 0.8, start=4, end=2)
    again = _table(rng, 5, 3, 0, ring_of_all=True)
    yield case("start token once more", 5, 4, 5, 0.75, start=3, end=0, table=again)
    yield case("long outputs", 6, 4, 9, 1.2)
    yield case("impossible continuations", 5, 20, 3, 0.9, table=_words_renumbered(rng, HOLES))
    # Tokens 2 and 3 alternate at little cost: the likeliest output is still being written at the limit.
    chain = np.full((4, 4), -np.inf)
    chain[:, 1] = -rng.integers(8, 13, size=4) / 8
    chain[1, 1] = 0
    chain[[0, 2, 3], [2, 3, 2]] = -rng.integers(1, 3, size=3) / 8
    yield case("cut by the limit", 4, 3, 4, 0.7, table=chain)
    # Tokens 2 to 4 cost the same everywhere: which of them are kept, and in which order, numbers decide. To begin
    # with 2 costs more, what follows it less: the beam's order is not that of the ties to come.
    alike = _table(rng, 5, 0, 1)
    alike[0, 2:] = -rng.integers(2, 5) / 8
    alike[2:, 2:] = -rng.integers(7, 10) / 8
    alike[2:, 1] = -rng.integers(4, 6) / 8
    alike[0, 2] -= 1 / 8
    alike[2, 1:] += 1 / 8
    alike[0, 1] = -4
    yield case("ties", 5, 4, 5, 0.6, table=alike)
    # Only two outputs are possible, [2] and one of seven tokens that costs twice as much: lp(1) = 1, lp(7) = 2.
    pair = np.full((8, 8), -np.inf)
    pair[[0, 1, 3, 4, 5, 6], [1, 3, 4, 5, 6, 7]] = -1 / 8
    pair[0, 2] = -rng.integers(7, 12) / 8
    pair[7, 2] = 2 * pair[0, 2] + 6 / 8
    pair[2, 2] = 0
    yield case("ties of unequal lengths", 8, 2, 8, 1.0, end=2, table=pair)
    yield case("ends that are not kept", 5, 2, 4, 0.9, table=_words_renumbered(rng, CROWDED))
    yield case("float32", 6, 3, 6, 0.6, table=_table(rng, 6, 0, 1).astype("float32"))
    yield case("non-contiguous", 6, 3, 6, 0.9, strided=("log_probs",))


def _words_renumbered(rng: np.random.Generator, costs: np.ndarray) -> np.ndarray:
    """The table of these costs, with the words 2 to 4 in another order and all costs multiplied."""
    words = [0, 1, *rng.permutation([2, 3, 4])]
    table = np.empty(costs.shape)
    table[np.ix_(words, words)] = costs
    return -table * rng.integers(1, 4) / 8


def _table(
    rng: np.random.Generator, tokens: int, start: int, end: int, ring_of_all: bool = False
) -> np.ndarray:
    """Log-probabilities (last token, next token); the rows are not normalised, as after pruning.

    From the start a cheap ring leads through all other tokens, and from everywhere the end is second best. So
    outputs of every length are found; the shortest is the most probable one, and a longer one the best for its length.
    """
    table = -rng.integers(16, 30, size=(tokens, tokens)) / 8
    table[:, end] = -rng.integers(10, 12, size=tokens) / 8
    words = rng.permutation([token for token in range(tokens) if token not in (start, end)])
    table[[start, *words], [*words, start if ring_of_all else words[0]]] = -1 / 8
    table[start, end] = -10 / 8
    table[end, end] = 0  # nothing else follows the end, if one asks
    return table


_PLAIN = (
    "small",
    "wider",
    "end token in the middle",
    "start token once more",
    "long outputs",
    "ends that are not kept",
    "float32",
)

beam_search = Question(
    name="beam_search",
    title="Beam search",
    cases=_cases,
    aspects=(
        Aspect("the best output", 1.5, outputs.first, _PLAIN),
        Aspect("all outputs, best first", 1, outputs.every, _PLAIN),
        Aspect("scores normalised by length", 1.5, outputs.scores, _PLAIN),
        Aspect("impossible continuations", 0.5, outputs.every, ("impossible continuations",)),
        Aspect("unfinished at the limit", 0.5, outputs.every, ("cut by the limit",)),
        Aspect("ties", 0.5, outputs.every, ("ties", "ties of unequal lengths")),
        Aspect(
            "arguments untouched, in any memory layout",
            0.5,
            outputs.untouched(outputs.every),
            ("non-contiguous", "wider"),
        ),
    ),
)


@beam_search.misconception(
    "You continue the best beginning only. Greedy search is a beam of one: keep the best `width` beginnings at "
    "every step."
)
def greedy(log_probs, start, end, width, limit, alpha):
    beam, ended = [(0.0, [])], []
    for _ in range(limit):
        longer = [
            (total + float(log_probs[tokens[-1] if tokens else start, token]), [*tokens, token])
            for total, tokens in beam
            for token in range(len(log_probs))
        ]
        longer = sorted((c for c in longer if c[0] > -np.inf), key=lambda c: (-c[0], c[1]))[:1]
        ended += [c for c in longer if c[1][-1] == end]
        beam = [c for c in longer if c[1][-1] != end]
    results = [(tokens, total / ((5 + len(tokens)) / 6) ** alpha) for total, tokens in ended]
    return sorted(results, key=lambda r: (-r[1], r[0]))[:width]


@beam_search.misconception(
    "Your scores are plain sums of log-probabilities. Each token makes a sum smaller, so short outputs win: "
    "divide by ((5 + n) / 6) ** alpha when you rank finished outputs."
)
def not_normalised(log_probs, start, end, width, limit, alpha):
    beam, ended = [(0.0, [])], []
    for _ in range(limit):
        longer = [
            (total + float(log_probs[tokens[-1] if tokens else start, token]), [*tokens, token])
            for total, tokens in beam
            for token in range(len(log_probs))
        ]
        longer = sorted((c for c in longer if c[0] > -np.inf), key=lambda c: (-c[0], c[1]))[:width]
        ended += [c for c in longer if c[1][-1] == end]
        beam = [c for c in longer if c[1][-1] != end]
    results = [(tokens, total) for total, tokens in ended]
    return sorted(results, key=lambda r: (-r[1], r[0]))[:width]


@beam_search.misconception(
    "You divide by n ** alpha, as the chapter does. The penalty of Wu et al., which is asked here, is ((5 + n) / "
    "6) ** alpha; it grows more slowly."
)
def divided_by_power(log_probs, start, end, width, limit, alpha):
    beam, ended = [(0.0, [])], []
    for _ in range(limit):
        longer = [
            (total + float(log_probs[tokens[-1] if tokens else start, token]), [*tokens, token])
            for total, tokens in beam
            for token in range(len(log_probs))
        ]
        longer = sorted((c for c in longer if c[0] > -np.inf), key=lambda c: (-c[0], c[1]))[:width]
        ended += [c for c in longer if c[1][-1] == end]
        beam = [c for c in longer if c[1][-1] != end]
    results = [(tokens, total / len(tokens) ** alpha) for total, tokens in ended]
    return sorted(results, key=lambda r: (-r[1], r[0]))[:width]


@beam_search.misconception(
    "You multiply by the length penalty. The sums are negative, so that makes long outputs worse still: divide."
)
def multiplied_by_penalty(log_probs, start, end, width, limit, alpha):
    beam, ended = [(0.0, [])], []
    for _ in range(limit):
        longer = [
            (total + float(log_probs[tokens[-1] if tokens else start, token]), [*tokens, token])
            for total, tokens in beam
            for token in range(len(log_probs))
        ]
        longer = sorted((c for c in longer if c[0] > -np.inf), key=lambda c: (-c[0], c[1]))[:width]
        ended += [c for c in longer if c[1][-1] == end]
        beam = [c for c in longer if c[1][-1] != end]
    results = [(tokens, total * ((5 + len(tokens)) / 6) ** alpha) for total, tokens in ended]
    return sorted(results, key=lambda r: (-r[1], r[0]))[:width]


@beam_search.misconception(
    "You do not count the end token in the length. It was paid for with a log-probability like any other token: n "
    "includes it."
)
def end_not_counted(log_probs, start, end, width, limit, alpha):
    beam, ended = [(0.0, [])], []
    for _ in range(limit):
        longer = [
            (total + float(log_probs[tokens[-1] if tokens else start, token]), [*tokens, token])
            for total, tokens in beam
            for token in range(len(log_probs))
        ]
        longer = sorted((c for c in longer if c[0] > -np.inf), key=lambda c: (-c[0], c[1]))[:width]
        ended += [c for c in longer if c[1][-1] == end]
        beam = [c for c in longer if c[1][-1] != end]
    results = [(tokens, total / ((4 + len(tokens)) / 6) ** alpha) for total, tokens in ended]
    return sorted(results, key=lambda r: (-r[1], r[0]))[:width]


@beam_search.misconception(
    "Your outputs begin with the start token. It is given and not written: leave it out of the tokens and of the "
    "length."
)
def start_returned(log_probs, start, end, width, limit, alpha):
    beam, ended = [(0.0, [start])], []
    for _ in range(limit):
        longer = [
            (total + float(log_probs[tokens[-1], token]), [*tokens, token])
            for total, tokens in beam
            for token in range(len(log_probs))
        ]
        longer = sorted((c for c in longer if c[0] > -np.inf), key=lambda c: (-c[0], c[1]))[:width]
        ended += [c for c in longer if c[1][-1] == end]
        beam = [c for c in longer if c[1][-1] != end]
    results = [(tokens, total / ((5 + len(tokens)) / 6) ** alpha) for total, tokens in ended]
    return sorted(results, key=lambda r: (-r[1], r[0]))[:width]


@beam_search.misconception(
    "Your search writes on after the end token. An output that has ended is finished: put it aside, and continue "
    "the others only."
)
def goes_on_after_end(log_probs, start, end, width, limit, alpha):
    beam, ended = [(0.0, [])], []
    for _ in range(limit):
        longer = [
            (total + float(log_probs[tokens[-1] if tokens else start, token]), [*tokens, token])
            for total, tokens in beam
            for token in range(len(log_probs))
        ]
        longer = sorted((c for c in longer if c[0] > -np.inf), key=lambda c: (-c[0], c[1]))[:width]
        ended += [c for c in longer if c[1][-1] == end]
        beam = longer
    results = [(tokens, total / ((5 + len(tokens)) / 6) ** alpha) for total, tokens in ended]
    return sorted(results, key=lambda r: (-r[1], r[0]))[:width]


@beam_search.misconception(
    "You stop as soon as one output has ended. A longer one may still be better, by its score or even by its "
    "probability: go on until nothing is left to continue, or up to the limit."
)
def stops_at_first_end(log_probs, start, end, width, limit, alpha):
    beam, ended = [(0.0, [])], []
    for _ in range(limit):
        longer = [
            (total + float(log_probs[tokens[-1] if tokens else start, token]), [*tokens, token])
            for total, tokens in beam
            for token in range(len(log_probs))
        ]
        longer = sorted((c for c in longer if c[0] > -np.inf), key=lambda c: (-c[0], c[1]))[:width]
        ended += [c for c in longer if c[1][-1] == end]
        if ended:
            break
        beam = [c for c in longer if c[1][-1] != end]
    results = [(tokens, total / ((5 + len(tokens)) / 6) ** alpha) for total, tokens in ended]
    return sorted(results, key=lambda r: (-r[1], r[0]))[:width]


@beam_search.misconception(
    "You read the table the wrong way round: log_probs[last, next], its rows belong to the token that was written "
    "last."
)
def table_transposed(log_probs, start, end, width, limit, alpha):
    beam, ended = [(0.0, [])], []
    for _ in range(limit):
        longer = [
            (total + float(log_probs[token, tokens[-1] if tokens else start]), [*tokens, token])
            for total, tokens in beam
            for token in range(len(log_probs))
        ]
        longer = sorted((c for c in longer if c[0] > -np.inf), key=lambda c: (-c[0], c[1]))[:width]
        ended += [c for c in longer if c[1][-1] == end]
        beam = [c for c in longer if c[1][-1] != end]
    results = [(tokens, total / ((5 + len(tokens)) / 6) ** alpha) for total, tokens in ended]
    return sorted(results, key=lambda r: (-r[1], r[0]))[:width]
