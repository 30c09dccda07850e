"""When numbers that chance drew agree: bounds that hold for every sample size, so that none is an approximation."""

import math
from typing import Any

import numpy as np


def close_in_size(one: Any, other: Any) -> bool:
    """Whether two arrays of random numbers have the same shape and nearly the same root mean square."""
    if np.shape(one) != np.shape(other):
        return False
    if (
        min(np.ptp(one), np.ptp(other)) == 0
    ):  # a norm's gain, a bias: chance has no part in one of them
        return bool(np.array_equal(one, other))
    first, second = (float(np.sqrt(np.mean(np.square(a, dtype=float)))) for a in (one, other))
    return np.ndim(one) < 2 or 0.7 < first / second < 1.4


def largest_distance(kinds: int, draws: int, false_alarm: float) -> float:
    """How far frequencies lie from the probabilities at most, in the sum of absolute differences.

    More with a probability of at most `false_alarm`, for `draws` independent draws of one of `kinds`.

    Source: Weissman et al. 2003, "Inequalities for the L1 deviation of the empirical distribution", theorem 2.1.
    """
    return math.sqrt(2 * (kinds * math.log(2) + math.log(1 / false_alarm)) / draws)


def frequencies(tokens: np.ndarray, kinds: int) -> np.ndarray:
    """The share of each of 0, …, kinds - 1 in the tokens (draws,)."""
    return np.bincount(tokens, minlength=kinds) / len(tokens)
