"""Attention over a stream of chunks with a cache that holds one window."""

from collections.abc import Iterator

import numpy as np

from autograder.checks.draw import normal, rounded
from autograder.checks.multi_head.judges import same_outputs
from autograder.judge import dtype, one_at_a_time, untouched, values
from autograder.question import Aspect, Case, Fault, Question, Reply

ARGUMENTS = ("chunks", "W_q", "W_k", "W_v", "W_o")


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    # Chunks of one and of several positions in turn, a window that is longer than a chunk of one and shorter than the
    # whole: else the future, the window or what is older than the last chunk could be forgotten.
    def case(
        name: str,
        chunks: tuple[int, ...],
        window: int,
        batch: int = 2,
        heads: int = 3,
        widths: tuple[int, int, int, int] = (6, 4, 7, 8),
        kind: str = "float64",
        strided: tuple[str, ...] = (),
        held_bytes: int | None = None,
    ) -> Case:
        d, d_k, d_v, d_out = widths
        arguments = {
            "chunks": [normal(rng, batch, n, d, dtype=kind) for n in chunks],
            "W_q": normal(rng, d, heads * d_k, dtype=kind, width=d),
            "W_k": normal(rng, d, heads * d_k, dtype=kind, width=d),
            "W_v": normal(rng, d, heads * d_v, dtype=kind, width=d),
            "W_o": normal(rng, heads * d_v, d_out, dtype=kind, width=heads * d_v),
            "heads": heads,
            "window": window,
        }
        streams = ("chunks",)
        return Case(name, arguments, strided=strided, iterators=streams, held_bytes=held_bytes)

    sizes = {"W_q": (2, 4), "W_k": (2, 4), "W_v": (2, 2), "W_o": (2, 1)}
    small = {"chunks": [rounded(rng, 1, n, 2) / 2 for n in (2, 1, 2)]}
    small |= {name: rounded(rng, *size) / 2 for name, size in sizes.items()}
    yield Case("small", small | {"heads": 2, "window": 3}, iterators=("chunks",))
    yield case("batch", (3, 1, 2, 1, 3), 4)
    yield case("mostly one position at a time", (1, 1, 1, 1, 2, 1, 1), 3)
    yield case("chunks longer than the window", (5, 1, 4), 3)
    yield case("as many heads as positions", (3, 1, 3), 3)
    yield case("float32", (3, 1, 2, 1, 3), 4, kind="float32")
    yield case("non-contiguous", (3, 1, 2, 3), 4, strided=ARGUMENTS)
    hidden = case("hidden", (3, 1, 3), 3, batch=4)
    # Two pairs that are alike but for one position: the last in the first, the oldest in the second.
    for chunk in hidden.arguments["chunks"]:
        chunk[1::2] = chunk[::2]
    hidden.arguments["chunks"][-1][1, -1] += 1
    hidden.arguments["chunks"][0][3, 0] += 1
    yield hidden
    # A position's keys take 2 kB and so does the position itself; all 120 take 240, a window 48 and as much again
    # where it is copied. Values and outputs are small, so that contexts may be kept and projected at the end.
    yield case(
        "long stream",
        (4,) * 14 + (1,) + (4,) * 15 + (3,),
        24,
        batch=1,
        heads=2,
        widths=(256, 128, 2, 3),
        held_bytes=190_000,
    )
    # An edge, where two mistakes are right, and `keys[-(window - 1) :]` is all of them: 60 kB.
    yield case(
        "window of one",
        (3, 1) * 15,
        1,
        batch=1,
        heads=2,
        widths=(128, 64, 2, 3),
        held_bytes=40_000,
    )


def _one_window(case: Case, expected: Reply, got: Reply) -> Fault | None:
    """The keys of the whole stream are not kept; it counts only where the outputs are right."""
    if fault := values()(case, expected, got):
        return fault
    if fault := one_at_a_time("the keys and values")(case, expected, got):
        told = "Your function keeps more than one window of positions from chunk to chunk."
        return Fault(told, fault.expected, fault.got)
    return None


_PLAIN = ("small", "batch", "mostly one position at a time", "as many heads as positions")

cached_attention = Question(
    name="cached_attention",
    title="A stream through a window",
    cases=_cases,
    aspects=(
        # First, so that its small example is the one shown.
        Aspect("values", 1, values(), _PLAIN),
        Aspect(
            "the future is hidden",
            0.5,
            same_outputs(
                0,
                1,
                slice(0, 6),
                "Two streams that differ in position 6 only have other outputs before.",
            ),
            ("hidden",),
        ),
        Aspect(
            "what is beyond the window is hidden",
            0.5,
            same_outputs(
                2,
                3,
                slice(3, 7),
                "Two streams that differ in position 0 only have other outputs where the window of 3 is past it.",
            ),
            ("hidden",),
        ),
        Aspect(
            "chunks longer than the window",
            0.5,
            values(),
            ("chunks longer than the window", "window of one"),
        ),
        Aspect("a cache of one window", 0.5, _one_window, ("long stream", "window of one")),
        Aspect("the dtype of the arguments is kept", 0.5, dtype(), ("float32", "batch")),
        Aspect(
            "arguments untouched, in any memory layout",
            0.5,
            untouched(),
            ("non-contiguous", "float32"),
        ),
    ),
)


@cached_attention.misconception(
    "Every chunk sees itself only: nothing is kept from one to the next. Keep keys and values, and join the new ones "
    "to them."
)
def chunks_alone(chunks, W_q, W_k, W_v, W_o, heads, window):
    outputs = []
    for x in chunks:
        q, k, v = ((x @ W).reshape(*x.shape[:2], heads, -1).swapaxes(1, 2) for W in (W_q, W_k, W_v))
        scores = q @ k.swapaxes(-1, -2) / q.shape[-1] ** 0.5
        behind = np.arange(x.shape[1])[:, None] - np.arange(x.shape[1])
        scores = np.where((behind >= 0) & (behind < window), scores, -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        context = weights / weights.sum(-1, keepdims=True) @ v
        outputs.append(context.swapaxes(1, 2).reshape(*x.shape[:2], -1) @ W_o)
    return np.concatenate(outputs, axis=1)


@cached_attention.misconception(
    "The positions of a chunk see later ones of the same chunk. The cache is past for all of them, but within a chunk "
    "the causal mask is still needed."
)
def future_of_the_chunk_seen(chunks, W_q, W_k, W_v, W_o, heads, window):
    outputs, keys, values = [], None, None
    for x in chunks:
        q, k, v = ((x @ W).reshape(*x.shape[:2], heads, -1).swapaxes(1, 2) for W in (W_q, W_k, W_v))
        keys = k if keys is None else np.concatenate([keys, k], axis=2)
        values = v if values is None else np.concatenate([values, v], axis=2)
        scores = q @ keys.swapaxes(-1, -2) / q.shape[-1] ** 0.5
        n, m = scores.shape[-2:]
        behind = np.arange(m - n, m)[:, None] - np.arange(m)
        scores = np.where(behind < window, scores, -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        context = weights / weights.sum(-1, keepdims=True) @ values
        outputs.append(context.swapaxes(1, 2).reshape(*x.shape[:2], -1) @ W_o)
        keys, values = keys[:, :, -window:], values[:, :, -window:]
    return np.concatenate(outputs, axis=1)


@cached_attention.misconception(
    "Your positions see the whole past. A position sees `window` positions, itself included: hide what lies further "
    "back, and keep no more than that."
)
def window_ignored(chunks, W_q, W_k, W_v, W_o, heads, window):
    outputs, keys, values = [], None, None
    for x in chunks:
        q, k, v = ((x @ W).reshape(*x.shape[:2], heads, -1).swapaxes(1, 2) for W in (W_q, W_k, W_v))
        keys = k if keys is None else np.concatenate([keys, k], axis=2)
        values = v if values is None else np.concatenate([values, v], axis=2)
        scores = q @ keys.swapaxes(-1, -2) / q.shape[-1] ** 0.5
        n, m = scores.shape[-2:]
        behind = np.arange(m - n, m)[:, None] - np.arange(m)
        scores = np.where(behind >= 0, scores, -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        context = weights / weights.sum(-1, keepdims=True) @ values
        outputs.append(context.swapaxes(1, 2).reshape(*x.shape[:2], -1) @ W_o)
    return np.concatenate(outputs, axis=1)


@cached_attention.misconception(
    "Your window is one too long: a position sees itself and `window` others. Itself counts: j runs from "
    "i − window + 1 to i."
)
def window_one_too_long(chunks, W_q, W_k, W_v, W_o, heads, window):
    outputs, keys, values = [], None, None
    for x in chunks:
        q, k, v = ((x @ W).reshape(*x.shape[:2], heads, -1).swapaxes(1, 2) for W in (W_q, W_k, W_v))
        keys = k if keys is None else np.concatenate([keys, k], axis=2)
        values = v if values is None else np.concatenate([values, v], axis=2)
        scores = q @ keys.swapaxes(-1, -2) / q.shape[-1] ** 0.5
        n, m = scores.shape[-2:]
        behind = np.arange(m - n, m)[:, None] - np.arange(m)
        scores = np.where((behind >= 0) & (behind <= window), scores, -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        context = weights / weights.sum(-1, keepdims=True) @ values
        outputs.append(context.swapaxes(1, 2).reshape(*x.shape[:2], -1) @ W_o)
        keys, values = keys[:, :, -window:], values[:, :, -window:]
    return np.concatenate(outputs, axis=1)


@cached_attention.misconception(
    "Your causal mask counts the new queries from 0, so they see the oldest keys of the cache instead of the latest. "
    "Of m joined keys the n queries are the last: query i stands at m − n + i."
)
def queries_counted_from_0(chunks, W_q, W_k, W_v, W_o, heads, window):
    outputs, keys, values = [], None, None
    for x in chunks:
        q, k, v = ((x @ W).reshape(*x.shape[:2], heads, -1).swapaxes(1, 2) for W in (W_q, W_k, W_v))
        keys = k if keys is None else np.concatenate([keys, k], axis=2)
        values = v if values is None else np.concatenate([values, v], axis=2)
        scores = q @ keys.swapaxes(-1, -2) / q.shape[-1] ** 0.5
        n, m = scores.shape[-2:]
        behind = np.arange(n)[:, None] - np.arange(m)
        scores = np.where((behind >= 0) & (behind < window), scores, -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        context = weights / weights.sum(-1, keepdims=True) @ values
        outputs.append(context.swapaxes(1, 2).reshape(*x.shape[:2], -1) @ W_o)
        keys, values = keys[:, :, -window:], values[:, :, -window:]
    return np.concatenate(outputs, axis=1)


@cached_attention.misconception(
    "You keep the last chunk only. The window reaches back over several short chunks: keep the last positions of cache "
    "and chunk together."
)
def last_chunk_kept(chunks, W_q, W_k, W_v, W_o, heads, window):
    outputs, k_before, v_before = [], None, None
    for x in chunks:
        q, k, v = ((x @ W).reshape(*x.shape[:2], heads, -1).swapaxes(1, 2) for W in (W_q, W_k, W_v))
        keys = k if k_before is None else np.concatenate([k_before, k], axis=2)
        values = v if v_before is None else np.concatenate([v_before, v], axis=2)
        scores = q @ keys.swapaxes(-1, -2) / q.shape[-1] ** 0.5
        n, m = scores.shape[-2:]
        behind = np.arange(m - n, m)[:, None] - np.arange(m)
        scores = np.where((behind >= 0) & (behind < window), scores, -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        context = weights / weights.sum(-1, keepdims=True) @ values
        outputs.append(context.swapaxes(1, 2).reshape(*x.shape[:2], -1) @ W_o)
        k_before, v_before = k[:, :, -window:], v[:, :, -window:]
    return np.concatenate(outputs, axis=1)


@cached_attention.misconception(
    "You cut the keys down to one window before the queries attend. The first query of a chunk then lacks what lies a "
    "window behind it: attend to cache and chunk together, and cut afterwards."
)
def cut_before_attending(chunks, W_q, W_k, W_v, W_o, heads, window):
    outputs, keys, values = [], None, None
    for x in chunks:
        q, k, v = ((x @ W).reshape(*x.shape[:2], heads, -1).swapaxes(1, 2) for W in (W_q, W_k, W_v))
        keys = k if keys is None else np.concatenate([keys, k], axis=2)
        values = v if values is None else np.concatenate([values, v], axis=2)
        keys, values = keys[:, :, -window:], values[:, :, -window:]
        scores = q @ keys.swapaxes(-1, -2) / q.shape[-1] ** 0.5
        n, m = scores.shape[-2:]
        behind = np.arange(m - n, m)[:, None] - np.arange(m)
        seen = np.where(behind >= 0, scores, -1e30)
        weights = np.exp(seen - seen.max(-1, keepdims=True))
        context = weights / weights.sum(-1, keepdims=True) @ values
        outputs.append(context.swapaxes(1, 2).reshape(*x.shape[:2], -1) @ W_o)
    return np.concatenate(outputs, axis=1)
