"""Takes every block to be as long as the present one."""

import numpy as np


def running_best_key(queries, key_blocks):
    best, index = np.full(len(queries), -np.inf, queries.dtype), np.zeros(len(queries), dtype=int)
    for number, block in enumerate(key_blocks):
        scores = queries @ block.T / queries.shape[1] ** 0.5
        better = scores.max(axis=1) > best
        index = np.where(better, number * len(block) + scores.argmax(axis=1), index)
        best = np.where(better, scores.max(axis=1), best)
    return best, index
