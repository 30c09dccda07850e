"""The gradient by W in the transposed shape."""

import numpy as np


def memory_backward(queries, memory, W, mask, upstream):
    weights = np.exp(queries @ W @ memory.swapaxes(-1, -2)) * mask[:, None]
    total = weights.sum(axis=-1, keepdims=True)
    weights = weights / np.where(total > 0, total, 1)
    d_weights = upstream @ memory.swapaxes(-1, -2)
    d_scores = weights * (d_weights - (weights * d_weights).sum(axis=-1, keepdims=True))
    d_projected = d_scores @ memory
    d_memory = weights.swapaxes(-1, -2) @ upstream + d_scores.swapaxes(-1, -2) @ (queries @ W)
    d_W = (queries.swapaxes(-1, -2) @ d_projected).sum(axis=0)
    return d_projected @ W.T, d_memory, d_W.T
