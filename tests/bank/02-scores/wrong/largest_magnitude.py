"""The key of largest magnitude: a score far below zero wins."""

import numpy as np


def running_best_key(queries, key_blocks):
    best, index, seen = np.zeros(len(queries), queries.dtype), np.zeros(len(queries), dtype=int), 0
    for block in key_blocks:
        scores = queries @ block.T / queries.shape[1] ** 0.5
        winner = np.abs(scores).argmax(axis=1)
        score = scores[np.arange(len(queries)), winner]
        better = np.abs(score) > np.abs(best)
        best, index = np.where(better, score, best), np.where(better, seen + winner, index)
        seen += len(block)
    return best, index
