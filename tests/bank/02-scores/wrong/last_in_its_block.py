"""Of equal keys in one block the last wins; across blocks it is the first."""

import numpy as np


def running_best_key(queries, key_blocks):
    best, index, seen = (
        np.full(len(queries), -np.inf, queries.dtype),
        np.zeros(len(queries), dtype=int),
        0,
    )
    for block in key_blocks:
        scores = queries @ block.T / queries.shape[1] ** 0.5
        winner = len(block) - 1 - scores[:, ::-1].argmax(axis=1)
        better = scores.max(axis=1) > best
        best = np.where(better, scores.max(axis=1), best)
        index = np.where(better, seen + winner, index)
        seen += len(block)
    return best, index
