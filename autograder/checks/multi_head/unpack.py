"""One packed projection, cut into the heads' queries, keys and values."""

from collections.abc import Iterator

import numpy as np

from autograder.checks.draw import normal, rounded
from autograder.judge import dtype, shape, untouched, values
from autograder.question import Aspect, Case, Question


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    # Always fewer key heads than query heads, several positions and several features: else a wrong cut is right.
    def case(
        name: str,
        leading: tuple[int, ...],
        heads: int,
        groups: int,
        d_k: int,
        kind: str = "float64",
        strided: tuple[str, ...] = (),
    ) -> Case:
        packed = normal(rng, *leading, (heads + 2 * groups) * d_k, dtype=kind)
        return Case(name, {"packed": packed, "heads": heads, "groups": groups}, strided=strided)

    yield Case("small", {"packed": rounded(rng, 2, 8), "heads": 2, "groups": 1})
    # Only here do three equal parts divide into heads, so only here is that cut seen to be wrong.
    yield case("one key head", (2, 3), 4, 1, 4)
    yield case("several key heads", (2, 5), 6, 3, 2)
    yield case("as many positions as heads", (3, 4), 4, 2, 5)
    # An edge, where two mistakes are right: there is nothing to exchange, and the parts are equal.
    yield case("one position, as many key heads", (2, 1), 3, 3, 4)
    yield case("batch of one", (1, 3), 4, 2, 5)
    yield case("two leading axes", (2, 3, 4), 6, 2, 5)
    yield case("float32", (2, 3), 4, 2, 5, kind="float32")
    yield case("non-contiguous", (2, 3), 4, 2, 7, strided=("packed",))


_PLAIN = (
    "small",
    "one key head",
    "several key heads",
    "as many positions as heads",
)

unpack_heads = Question(
    name="unpack_heads",
    title="Heads out of one packed projection",
    cases=_cases,
    aspects=(
        Aspect("shapes", 0.5, shape(), _PLAIN),
        Aspect("values", 1, values(), _PLAIN),
        Aspect(
            "any leading axes, one position",
            0.5,
            values(),
            ("batch of one", "two leading axes", "one position, as many key heads"),
        ),
        Aspect("the dtype of the argument is kept", 0.5, dtype(), ("float32", "one key head")),
        Aspect("argument untouched, in any memory layout", 0.5, untouched(), ("non-contiguous",)),
    ),
)


@unpack_heads.misconception(
    "You reshape each part straight to (..., heads, n, d_k). That cuts the array along its rows and gives a head "
    "whole features of a few positions: reshape to (..., n, heads, d_k), then exchange the two axes."
)
def reshaped_straight(packed, heads, groups):
    *leading, n, width = packed.shape
    d_k = width // (heads + 2 * groups)
    parts = np.split(packed, [heads * d_k, (heads + groups) * d_k], axis=-1)
    counts = (heads, groups, groups)
    return tuple(part.reshape(*leading, c, n, d_k) for part, c in zip(parts, counts, strict=True))


@unpack_heads.misconception(
    "Your heads stand behind the positions: (..., n, heads, d_k). Attention multiplies the last two axes, which "
    "must be positions and features: exchange the axes of positions and heads."
)
def heads_behind_positions(packed, heads, groups):
    *leading, n, width = packed.shape
    parts = packed.reshape(*leading, n, heads + 2 * groups, width // (heads + 2 * groups))
    return (
        parts[..., :heads, :],
        parts[..., heads : heads + groups, :],
        parts[..., heads + groups :, :],
    )


@unpack_heads.misconception(
    "You cut the packed array into three equal parts. The queries have h heads, but keys and values only g "
    "each, so the parts are h·d_k, g·d_k and g·d_k wide."
)
def three_equal_parts(packed, heads, groups):
    *leading, n, _ = packed.shape
    parts = np.split(packed, 3, axis=-1)
    counts = (heads, groups, groups)
    return tuple(
        part.reshape(*leading, n, c, -1).swapaxes(-3, -2)
        for part, c in zip(parts, counts, strict=True)
    )


@unpack_heads.misconception(
    "You deal the features out in turn, so that a head gets every h-th one. A head owns d_k neighbouring "
    "features: in the reshape the axis of heads comes before that of features, (heads, d_k)."
)
def features_dealt_in_turn(packed, heads, groups):
    *leading, n, width = packed.shape
    d_k = width // (heads + 2 * groups)
    parts = np.split(packed, [heads * d_k, (heads + groups) * d_k], axis=-1)
    counts = (heads, groups, groups)
    return tuple(
        np.moveaxis(part.reshape(*leading, n, d_k, c), -1, -3)
        for part, c in zip(parts, counts, strict=True)
    )


@unpack_heads.misconception(
    "You return the values before the keys. The packed array holds queries, keys, values, in this order, and "
    "so does the result."
)
def values_before_keys(packed, heads, groups):
    *leading, n, width = packed.shape
    parts = packed.reshape(*leading, n, heads + 2 * groups, width // (heads + 2 * groups))
    parts = np.swapaxes(parts, -3, -2)
    return (
        parts[..., :heads, :, :],
        parts[..., heads + groups :, :, :],
        parts[..., heads : heads + groups, :, :],
    )
