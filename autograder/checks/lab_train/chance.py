"""What chance may do: bounds that hold for every sample size, so that none is an approximation; and fixed seeds."""

import ast
import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from autograder.program import Program, Use
from autograder.rules import Rule

# The last parts of the names of what makes a generator start at a given number.
SEEDING = ("manual_seed", "seed", "default_rng", "RandomState", "Random", "PCG64")


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


@dataclass(frozen=True, kw_only=True)
class NotSeeded(Rule):
    """No generator is given a fixed seed within a function: each call would draw the same numbers again.

    One that the notebook made once, and a seed that another generator drew, are fine.
    """

    def breach(self, program: Program, function: str, reported: Collection[str]) -> str:
        """See `Rule.breach`."""
        for use in program.reached(function):
            if isinstance(use.piece.node, ast.FunctionDef | ast.ClassDef) and _seeds(use):
                return f"The task forbids a fixed seed: {self.why}. Line {use.piece.line(use.node)[0]} sets one."
        return ""


def _seeds(use: Use) -> bool:
    """Whether the node is a call that makes a generator start at a number that was written down."""
    if not isinstance(use.node, ast.Call):
        return False
    given = [*use.node.args, *(keyword.value for keyword in use.node.keywords)]
    fixed = [
        value
        for value in given
        if not any(isinstance(part, ast.Call) for part in ast.walk(value))
        and not (isinstance(value, ast.Constant) and value.value is None)
    ]
    return bool(fixed) and any(path.rpartition(".")[2] in SEEDING for path in use.called)
