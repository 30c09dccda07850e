"""Keys may be shared by several queries' examples, but not the other way round."""

import numpy as np


def spread(keys, queries):
    return np.broadcast_to(keys, queries.shape[:-2] + keys.shape[-2:])


def scaled_dot_scores(queries, keys):
    return queries @ spread(keys, queries).swapaxes(-1, -2) / queries.shape[-1] ** 0.5


def low_rank_bilinear_scores(queries, keys, U, V):
    return (queries @ U) @ spread(keys @ V, queries).swapaxes(-1, -2)


def additive_scores(queries, keys, W_q, W_k, b, w):
    k = spread(keys @ W_k, queries)
    return np.tanh((queries @ W_q)[..., :, None, :] + k[..., None, :, :] + b) @ w
