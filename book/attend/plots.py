"""Figures that the pages draw alike. Written by hand; no page teaches them."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes

from attend.attention_figure import show_attention

__all__ = ["landscape", "score_map", "show_attention", "weight_map"]

SCORE_COLOURS = "RdBu_r"  # scores have a sign: white is zero
WEIGHT_COLOURS = "Blues"  # weights lie between 0 and 1
PALE = 1.9  # colour scales end this much beyond the data, so that black ink is always readable


def score_map(ax: Axes, scores: np.ndarray, title: str = "") -> None:
    """Draw scores (n, m) as a heat map with its numbers, white at zero."""
    limit = float(np.abs(scores).max()) or 1.0
    _heat_map(ax, scores, title, SCORE_COLOURS, -PALE * limit, PALE * limit)


def weight_map(ax: Axes, weights: np.ndarray, title: str = "") -> None:
    """Draw attention weights (n, m) as a heat map with its numbers, from 0 to 1."""
    _heat_map(ax, weights, title, WEIGHT_COLOURS, 0.0, PALE)


def landscape(
    ax: Axes,
    score_of_keys: Callable[[np.ndarray], np.ndarray],
    query: Sequence[float] | None = None,
    title: str = "",
    reach: float = 2.0,
) -> None:
    """Draw the score that one query gives to every key of a plane.

    Args:
        score_of_keys: maps keys (m, 2) to scores (m,).
        query: the query (2,), drawn as an arrow where it lives in the same plane.
        title: what stands above the picture.
        reach: the plane goes from -reach to reach in both directions.
    """
    ticks = np.linspace(-reach, reach, 81)
    plane = np.stack(np.meshgrid(ticks, ticks), axis=-1)
    scores = score_of_keys(plane.reshape(-1, 2)).reshape(plane.shape[:2])
    limit = float(np.abs(scores).max()) or 1.0
    area = (-reach, reach, -reach, reach)
    colours = {"cmap": SCORE_COLOURS, "vmin": -PALE * limit, "vmax": PALE * limit}
    ax.imshow(scores, origin="lower", extent=area, **colours)
    levels = np.linspace(-limit, limit, 16)
    ax.contour(ticks, ticks, scores, levels=levels, colors="black", linewidths=0.4)
    if query is not None:
        ax.annotate("", xy=tuple(query), xytext=(0, 0), arrowprops={"arrowstyle": "->", "lw": 2})
        ax.annotate("query", xy=tuple(query), xytext=(4, 4), textcoords="offset points")
    ax.set(title=title, xlabel="first feature of the key", aspect="equal")


def _heat_map(
    ax: Axes, matrix: np.ndarray, title: str, colours: str, low: float, high: float
) -> None:
    ax.imshow(matrix, cmap=colours, vmin=low, vmax=high)
    n, m = matrix.shape
    for i in range(n):
        for j in range(m):
            ax.text(j, i, f"{matrix[i, j]:.2f}", ha="center", va="center", fontsize=8)
    ax.set_xticks(range(m), [f"$k_{j + 1}$" for j in range(m)])
    ax.set_yticks(range(n), [f"$q_{i + 1}$" for i in range(n)])
    ax.tick_params(length=0)
    ax.set_title(title, fontsize=10)
