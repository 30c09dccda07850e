"""Large values are cut off "for stability"."""

import numpy as np


def scaled_dot_scores(queries, keys):
    return np.clip(queries @ keys.swapaxes(-1, -2) / queries.shape[-1] ** 0.5, -1e4, 1e4)


def additive_scores(queries, keys, W_q, W_k, b, w):
    q, k = np.clip(queries, -10, 10) @ W_q, np.clip(keys, -10, 10) @ W_k
    return np.tanh(q[..., :, None, :] + k[..., None, :, :] + b) @ w
