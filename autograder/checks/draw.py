"""Numbers that the checks of all assignments draw for their cases."""

import numpy as np


def normal(
    rng: np.random.Generator, *size: int, dtype: str = "float64", width: int = 1
) -> np.ndarray:
    """Standard normal numbers; `width` divides by its root, so that a sum over it stays of order one."""
    return (rng.normal(size=size) / np.sqrt(width)).astype(dtype)


def rounded(rng: np.random.Generator, *size: int) -> np.ndarray:
    """Numbers with one decimal, none of them 0: the first failing example is read by a person."""
    return rng.integers(1, 20, size=size) / 10 * rng.choice([-1, 1], size=size)
