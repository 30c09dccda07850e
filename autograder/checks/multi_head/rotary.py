"""Rotary positions: halves paired, some features only, a place of its own for every token."""

from collections.abc import Iterator

import numpy as np

from autograder.checks.draw import normal, rounded
from autograder.judge import dtype, shape, untouched, values
from autograder.question import Aspect, Case, Question


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    # Two pairs at least, some features left over (but for an edge), no position 0, a base that is not 10000: else a
    # slip is right.
    def case(
        name: str,
        size: tuple[int, int, int, int],
        rotated: int,
        base: float,
        kind: str = "float64",
        strided: tuple[str, ...] = (),
        first: int = 3,
    ) -> Case:
        batch, _, n, _ = size
        starts = first + rng.integers(0, 5, size=(batch, 1)) + 7 * np.arange(batch)[:, None]
        arguments = {
            "x": normal(rng, *size, dtype=kind),
            "positions": starts + np.cumsum(rng.integers(1, 4, size=(batch, n)), axis=1),
            "rotated": rotated,
            "base": base,
        }
        return Case(name, arguments, strided=strided)

    small = {"x": rounded(rng, 1, 1, 2, 5), "positions": np.sort(rng.choice([2, 3, 4], (1, 2)))}
    yield Case("small", small | {"rotated": 4, "base": 100.0})
    yield case("batch", (2, 3, 5, 8), 6, 100.0)
    yield case("one position", (2, 3, 1, 7), 4, 500.0)
    yield case("one head", (2, 1, 5, 10), 8, 1000.0)
    # An edge, where two mistakes are right: no feature is left over.
    yield case("all features turned", (2, 3, 5, 6), 6, 200.0)
    # Only here does an axis for the heads that was left out go through.
    yield case("as many heads as examples", (3, 3, 4, 10), 8, 500.0)
    yield case("as many heads as positions", (2, 4, 4, 8), 6, 500_000.0)
    yield case("float32", (2, 3, 5, 8), 6, 100.0, kind="float32")
    yield case("far positions", (2, 3, 4, 8), 6, 100.0, kind="float32", first=300_000)
    yield case("non-contiguous", (2, 3, 5, 8), 6, 100.0, strided=("x", "positions"))


_PLAIN = ("small", "batch", "one position", "one head")
_ALIKE = ("as many heads as examples", "as many heads as positions")

rotary_positions = Question(
    name="rotary_positions",
    title="Rotary positions in halves",
    cases=_cases,
    aspects=(
        Aspect("shape of x", 0.5, shape(), _PLAIN),
        Aspect("values", 1, values(), _PLAIN),
        Aspect("all features turned", 0.5, values(), ("all features turned",)),
        Aspect("every example has its own positions", 0.5, values(), _ALIKE),
        Aspect("far positions in float32", 0.5, values(), ("far positions",)),
        Aspect("the dtype of x is kept", 0.5, dtype(), ("float32", "batch")),
        Aspect(
            "arguments untouched, in any memory layout",
            0.5,
            untouched(),
            ("non-contiguous", "batch"),
        ),
    ),
)


@rotary_positions.misconception(
    "You pair neighbouring features, as the chapter does. This question pairs feature t with feature t + r/2: cut the "
    "turned features into two halves."
)
def neighbours_paired(x, positions, rotated, base):
    rates = float(base) ** (-2 * np.arange(rotated // 2) / rotated)
    angles = positions[:, None, :, None] * rates
    cos, sin = np.cos(angles).astype(x.dtype), np.sin(angles).astype(x.dtype)
    result = x.copy()
    result[..., 0:rotated:2] = x[..., 0:rotated:2] * cos - x[..., 1:rotated:2] * sin
    result[..., 1:rotated:2] = x[..., 0:rotated:2] * sin + x[..., 1:rotated:2] * cos
    return result


@rotary_positions.misconception(
    "You turn the other way round: the minus belongs to the sine in the first half. The scores of turned queries and "
    "keys would be the same, but not those with keys that other code has turned and cached."
)
def turned_backwards(x, positions, rotated, base):
    half = rotated // 2
    angles = positions[:, None, :, None] * float(base) ** (-2 * np.arange(half) / rotated)
    cos, sin = np.cos(angles).astype(x.dtype), np.sin(angles).astype(x.dtype)
    a, b = x[..., :half], x[..., half:rotated]
    return np.concatenate([a * cos + b * sin, b * cos - a * sin, x[..., rotated:]], axis=-1)


@rotary_positions.misconception(
    "Your rates divide by d_k. Only r features turn, and the rates are spread over these: base^(-2t / r)."
)
def rates_over_all_features(x, positions, rotated, base):
    half = rotated // 2
    angles = positions[:, None, :, None] * float(base) ** (-2 * np.arange(half) / x.shape[-1])
    cos, sin = np.cos(angles).astype(x.dtype), np.sin(angles).astype(x.dtype)
    a, b = x[..., :half], x[..., half:rotated]
    return np.concatenate([a * cos - b * sin, a * sin + b * cos, x[..., rotated:]], axis=-1)


@rotary_positions.misconception(
    "You count the positions 0, 1, 2, … yourself. They are given, and each example has its own: a text may start late, "
    "after padding, or go on from a cache."
)
def positions_counted_anew(x, positions, rotated, base):
    half = rotated // 2
    places = np.arange(x.shape[-2])[:, None]
    angles = places * float(base) ** (-2 * np.arange(half) / rotated)
    cos, sin = np.cos(angles).astype(x.dtype), np.sin(angles).astype(x.dtype)
    a, b = x[..., :half], x[..., half:rotated]
    return np.concatenate([a * cos - b * sin, a * sin + b * cos, x[..., rotated:]], axis=-1)


@rotary_positions.misconception(
    "All your pairs turn at the same rate. Pair t turns by base^(-2t / r): the first quickly, for what is near, the "
    "last slowly, for what is far."
)
def one_rate_for_all(x, positions, rotated, base):
    half = rotated // 2
    angles = positions[:, None, :, None] * np.ones(half)
    cos, sin = np.cos(angles).astype(x.dtype), np.sin(angles).astype(x.dtype)
    a, b = x[..., :half], x[..., half:rotated]
    return np.concatenate([a * cos - b * sin, a * sin + b * cos, x[..., rotated:]], axis=-1)


@rotary_positions.misconception(
    "The exponent of your rates lacks the factor 2. There are r/2 pairs, so 2t / r runs from 0 to nearly 1, and t / r "
    "would stop half-way."
)
def exponent_halved(x, positions, rotated, base):
    half = rotated // 2
    angles = positions[:, None, :, None] * float(base) ** (-np.arange(half) / rotated)
    cos, sin = np.cos(angles).astype(x.dtype), np.sin(angles).astype(x.dtype)
    a, b = x[..., :half], x[..., half:rotated]
    return np.concatenate([a * cos - b * sin, a * sin + b * cos, x[..., rotated:]], axis=-1)


@rotary_positions.misconception(
    "You drop the features that do not turn. They stay as they are, behind the turned ones: the result has the shape "
    "of x."
)
def rest_dropped(x, positions, rotated, base):
    half = rotated // 2
    angles = positions[:, None, :, None] * float(base) ** (-2 * np.arange(half) / rotated)
    cos, sin = np.cos(angles).astype(x.dtype), np.sin(angles).astype(x.dtype)
    a, b = x[..., :half], x[..., half:rotated]
    return np.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)
