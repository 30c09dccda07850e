"""Question 6: the best key of a stream."""

from collections.abc import Iterator

import numpy as np

from autograder.judge import differs, dtype, item, one_at_a_time, untouched, values
from autograder.question import Aspect, Case, Fault, Question, Reply


def _running_best_cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str,
        n: int,
        d_k: int,
        blocks: tuple[int, ...],
        kind: str = "float64",
        strided: bool = False,
        held_bytes: int | None = None,
        scale: float = 1,
    ) -> Case:
        # Eighths, and d_k 4 or 16: every score is exact in any order of summation, so ties are real ties. So are those
        # of query 0, which adds but one product, in any width.
        queries, keys = (
            np.round(8 * rng.normal(size=(n, d_k))) / 8,
            np.round(8 * rng.normal(size=(sum(blocks), d_k))) / 8,
        )
        # Query 0 scores every key below 0. Its best key opens the second block; its copies end that block,
        # where it is long enough, and the stream.
        queries[0] = 0
        queries[0, 0] = 4
        keys[:, 0] = -1 - np.abs(keys[:, 0])
        keys[blocks[0], 0] = -0.5
        keys[blocks[0] + blocks[1] - 1] = keys[-1] = keys[blocks[0]]
        keys *= scale
        parts = np.split(keys.astype(kind), np.cumsum(blocks)[:-1])
        names = ("queries", "key_blocks") if strided else ()
        arguments = {"queries": queries.astype(kind), "key_blocks": parts}
        streams = ("key_blocks",)
        return Case(name, arguments, strided=names, iterators=streams, held_bytes=held_bytes)

    yield case("small", 2, 4, (2, 1, 2))
    yield case("blocks of unequal size", 3, 4, (4, 2, 5, 1))
    yield case("one key per block", 3, 4, (1,) * 5)
    # The root of 6 is no whole number.
    yield case("one query", 1, 6, (2, 3, 1))
    # A finite stand-in for minus infinity lies above these scores; a power of two keeps them exact.
    yield case("very low scores", 2, 4, (3, 2, 1), scale=2.0**100)
    yield case("sixteen features", 6, 16, (3, 5, 2, 4))
    yield case("float32", 3, 16, (2, 4, 1), kind="float32")
    yield case("non-contiguous", 3, 4, (2, 3, 2), strided=True)
    # All keys are 64 kB and all scores too, those of one block 4 kB; so is one best per query and block.
    yield case("long stream", 16, 16, (32,) * 16, held_bytes=32_000)


def _right_key(case: Case, expected: Reply, got: Reply) -> Fault | None:
    """The index names the best key or a copy of it: which of equal ones comes first is another aspect."""
    keys = np.concatenate(case.arguments["key_blocks"])
    want, have = expected["value"][1], got["value"][1]
    whole = np.shape(have) == np.shape(want) and np.isin(have, np.arange(len(keys))).all()
    if whole and not differs(keys[want], keys[np.asarray(have).astype(int)], ""):
        return None
    return differs(want, have, "The index of the best key")


_ORDINARY = (
    "small",
    "blocks of unequal size",
    "one key per block",
    "one query",
    "sixteen features",
    "float32",
    "non-contiguous",
    "long stream",
)

running_best_key = Question(
    name="running_best_key",
    title="The best key of a stream",
    cases=_running_best_cases,
    aspects=(
        Aspect("best score of every query", 1, item(0, "The best score"), _ORDINARY),
        Aspect("index of the best key in the whole stream", 1, _right_key, _ORDINARY),
        Aspect(
            "the first of equal keys wins", 0.5, item(1, "The index of the best key"), _ORDINARY
        ),
        Aspect("very low scores", 0.25, values(), ("very low scores",)),
        Aspect("the best scores keep the dtype", 0.25, dtype(0), ("float32", "small")),
        Aspect("one block at a time", 0.5, one_at_a_time("keys or scores"), ("long stream",)),
        Aspect(
            "arguments untouched, in any memory layout",
            0.5,
            untouched(),
            ("non-contiguous", "float32"),
        ),
    ),
)


@running_best_key.misconception(
    "Your index counts from the start of its block. Keep the number of keys seen so far and add it to the "
    "index within the block."
)
def index_within_block(queries, key_blocks):
    best, index = np.full(len(queries), -np.inf), np.zeros(len(queries), dtype=int)
    for block in key_blocks:
        scores = queries @ block.T / queries.shape[1] ** 0.5
        better = scores.max(axis=1) > best
        index[better] = scores.argmax(axis=1)[better]
        best[better] = scores.max(axis=1)[better]
    return best, index


@running_best_key.misconception(
    "You start anew with every block, so only the last block counts. Carry the best score and its index over "
    "from block to block, and replace them only where a new score is larger."
)
def best_of_last_block(queries, key_blocks):
    seen = 0
    for block in key_blocks:
        scores = queries @ block.T / queries.shape[1] ** 0.5
        best, index = scores.max(axis=1), seen + scores.argmax(axis=1)
        seen += len(block)
    return best, index


@running_best_key.misconception(
    "Of two equally good keys you return the last: `>=` lets an equal score replace an earlier one. Replace "
    "only where the new score is strictly larger."
)
def last_one_wins(queries, key_blocks):
    best, index, seen = np.full(len(queries), -np.inf), np.zeros(len(queries), dtype=int), 0
    for block in key_blocks:
        scores = queries @ block.T / queries.shape[1] ** 0.5
        better = scores.max(axis=1) >= best
        index[better] = seen + scores.argmax(axis=1)[better]
        best[better] = scores.max(axis=1)[better]
        seen += len(block)
    return best, index


@running_best_key.misconception(
    "Your best score starts at 0, so a query whose scores are all negative never finds a key. Start at minus "
    "infinity, which any score exceeds."
)
def started_at_zero(queries, key_blocks):
    best, index, seen = np.zeros(len(queries)), np.zeros(len(queries), dtype=int), 0
    for block in key_blocks:
        scores = queries @ block.T / queries.shape[1] ** 0.5
        better = scores.max(axis=1) > best
        index[better] = seen + scores.argmax(axis=1)[better]
        best[better] = scores.max(axis=1)[better]
        seen += len(block)
    return best, index


@running_best_key.misconception(
    "Your scores are plain dot products. The best key is the same, but its score is not: divide by √d_k."
)
def scaling_forgotten_stream(queries, key_blocks):
    best, index, seen = np.full(len(queries), -np.inf), np.zeros(len(queries), dtype=int), 0
    for block in key_blocks:
        scores = queries @ block.T
        better = scores.max(axis=1) > best
        index[better] = seen + scores.argmax(axis=1)[better]
        best[better] = scores.max(axis=1)[better]
        seen += len(block)
    return best, index
