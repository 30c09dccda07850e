"""Question 3: the nearest neighbours as hard attention."""

from collections.abc import Iterator

import numpy as np

from autograder.judge import differs, dtype, shape, untouched, values
from autograder.question import Aspect, Case, Fault, Question, Reply


def _nearest_cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str,
        leading: tuple[int, ...],
        n: int,
        m: int,
        d_k: int,
        k: int = 2,
        unit: int = 1,
        kind: str = "float64",
        **options: tuple[str, ...],
    ) -> Case:
        # Eighths: distances are exact in any order of summation, so ties are real ties.
        queries = rng.integers(-12, 13, size=(*leading, n, d_k)) / 8
        keys = rng.integers(-12, 13, size=(*leading, m, d_k)) / 8
        mask = rng.random((*leading, m)) < 0.8
        queries[..., 0, [0, -1]] = rng.integers(1, 13, size=(*leading, 2)) / 8
        # Around query 0: a masked key on its place, k - 1 allowed keys beside it, all equally far, and two that
        # tie for the k-th place. All others are farther away, along the first axis.
        near = k + 2
        others = rng.integers(9, 25, size=(*leading, m - near)) / 8
        keys[..., near:, 0] = queries[..., :1, 0] + others
        keys[..., :near, :] = queries[..., :1, :]
        keys[..., 1:k, 0] += np.array([1, -1])[: k - 1] / 8
        keys[..., k, -1] += k / 8
        keys[..., k + 1, -1] -= k / 8
        mask[..., 0], mask[..., 1:near] = False, True
        order = rng.permutation(m)
        keys, mask = keys[..., order, :] * unit, mask[..., order]
        arguments = {"queries": (queries * unit).astype(kind), "keys": keys.astype(kind)}
        return Case(name, {**arguments, "mask": mask, "k": k}, **options)

    yield case("small", (), 1, 5, 2)
    yield case("batch", (2,), 3, 7, 4)
    # So far apart that no number made up for "far" is larger than a distance.
    yield case("one query, far apart", (3,), 1, 6, 5, k=1, unit=2**20)
    yield case("batch and heads", (2, 3), 4, 8, 5, k=3)
    few = case("fewer keys than k", (2,), 3, 6, 4)
    few.arguments["mask"][0] = np.arange(6) == rng.integers(6)
    yield few
    none = case("no key allowed", (2,), 3, 6, 4)
    none.arguments["mask"][0] = False
    yield none
    yield case("float32", (2,), 3, 7, 4, kind="float32")
    yield case("non-contiguous", (2,), 3, 7, 4, strided=("queries", "keys", "mask"))


def _no_masked_key(case: Case, expected: Reply, got: Reply) -> Fault | None:
    """No weight on masked keys, and some elsewhere wherever a key is allowed."""
    if fault := shape()(case, expected, got):
        return fault
    mask = np.broadcast_to(case.arguments["mask"][..., None, :], np.shape(got["value"]))
    on_masked = np.where(mask, 0, got["value"])
    if on_masked.any():
        return Fault(
            "Masked keys receive weight.",
            "0 on every masked key",
            f"up to {np.abs(on_masked).max():.3g}",
        )
    return None


def _without_ties(case: Case, expected: Reply, got: Reply) -> Fault | None:
    """The rows in which exactly k keys share the weight."""
    if fault := shape()(case, expected, got):
        return fault
    plain = (expected["value"] > 0).sum(axis=-1) == case.arguments["k"]
    return differs(expected["value"][plain], got["value"][plain], "What queries without a tie get")


_USUAL = ("small", "batch", "one query, far apart", "batch and heads")

nearest_weights = Question(
    name="nearest_weights",
    title="The nearest neighbours as hard attention",
    cases=_nearest_cases,
    aspects=(
        Aspect("shape (..., n, m)", 0.25, shape(), _USUAL),
        Aspect("no weight on masked keys", 0.5, _no_masked_key, _USUAL),
        Aspect("queries without a tie", 0.75, _without_ties, ("batch", "batch and heads")),
        Aspect("queries with a tie", 1, values(), _USUAL),
        Aspect(
            "fewer keys than k, or none", 0.5, values(), ("fewer keys than k", "no key allowed")
        ),
        Aspect("the dtype of the queries is kept", 0.5, dtype(), ("float32", "batch")),
        Aspect(
            "arguments untouched, in any memory layout",
            0.5,
            untouched(),
            ("non-contiguous", "batch"),
        ),
    ),
)


@nearest_weights.misconception(
    "You take exactly k keys, so of several that are equally far the order in memory decides. Keys as near as "
    "the k-th take part too, and all share equally."
)
def ties_cut_off(queries, keys, mask, k):
    squares = ((queries[..., :, None, :] - keys[..., None, :, :]) ** 2).sum(axis=-1)
    squares = np.where(mask[..., None, :], squares, np.inf)
    order = np.argsort(squares, axis=-1, kind="stable")[..., :k]
    weights = np.zeros_like(squares)
    np.put_along_axis(weights, order, 1.0, axis=-1)
    weights = np.where(np.isfinite(squares), weights, 0)
    return weights / weights.sum(axis=-1, keepdims=True).clip(1)


@nearest_weights.misconception(
    "You ignore the mask: a masked key must get no weight, however near it is, and takes nobody's place."
)
def mask_ignored(queries, keys, mask, k):
    squares = ((queries[..., :, None, :] - keys[..., None, :, :]) ** 2).sum(axis=-1)
    limit = np.sort(squares, axis=-1)[..., min(k, squares.shape[-1]) - 1, None]
    near = (squares <= limit).astype(queries.dtype)
    return near / near.sum(axis=-1, keepdims=True)


@nearest_weights.misconception(
    "You mask after the choice: a masked key still takes one of the k places, and an allowed one is left out. "
    "Mask the distances first, then choose."
)
def masked_after_the_choice(queries, keys, mask, k):
    squares = ((queries[..., :, None, :] - keys[..., None, :, :]) ** 2).sum(axis=-1)
    limit = np.sort(squares, axis=-1)[..., min(k, squares.shape[-1]) - 1, None]
    near = ((squares <= limit) & mask[..., None, :]).astype(queries.dtype)
    return near / near.sum(axis=-1, keepdims=True).clip(1)


@nearest_weights.misconception(
    "You give every neighbour 1/k. Where ties let more than k keys take part, or too few are allowed, the row "
    "then does not sum to 1: divide by the number that takes part."
)
def divided_by_k(queries, keys, mask, k):
    squares = ((queries[..., :, None, :] - keys[..., None, :, :]) ** 2).sum(axis=-1)
    squares = np.where(mask[..., None, :], squares, np.inf)
    limit = np.sort(squares, axis=-1)[..., min(k, squares.shape[-1]) - 1, None]
    return ((squares <= limit) & mask[..., None, :]).astype(queries.dtype) / k


@nearest_weights.misconception(
    "You take the k farthest keys: a small distance means near, so sort upwards."
)
def the_farthest(queries, keys, mask, k):
    squares = ((queries[..., :, None, :] - keys[..., None, :, :]) ** 2).sum(axis=-1)
    squares = np.where(mask[..., None, :], squares, -np.inf)
    limit = np.sort(squares, axis=-1)[..., -min(k, squares.shape[-1]), None]
    near = ((squares >= limit) & mask[..., None, :]).astype(queries.dtype)
    return near / near.sum(axis=-1, keepdims=True).clip(1)


@nearest_weights.misconception(
    "You choose by the dot product. A long key has a large one and need not be near: compare the distances "
    "between query and key."
)
def by_dot_product(queries, keys, mask, k):
    scores = queries @ np.swapaxes(keys, -1, -2)
    scores = np.where(mask[..., None, :], scores, -np.inf)
    limit = np.sort(scores, axis=-1)[..., -min(k, scores.shape[-1]), None]
    near = ((scores >= limit) & mask[..., None, :]).astype(queries.dtype)
    return near / near.sum(axis=-1, keepdims=True).clip(1)
