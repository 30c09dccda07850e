"""One best key for all queries together."""

import numpy as np


def running_best_key(queries, key_blocks):
    best, index, seen = -np.inf, 0, 0
    for block in key_blocks:
        scores = (queries @ block.T / queries.shape[1] ** 0.5).max(axis=0)
        if scores.max() > best:
            best, index = scores.max(), seen + scores.argmax()
        seen += len(block)
    return np.array([best]), np.array([index])
