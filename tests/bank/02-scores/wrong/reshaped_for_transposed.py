"""`reshape` where two axes should change places: the right shape, the numbers in the wrong order."""

import numpy as np


def turned(x):
    return x.reshape(*x.shape[:-2], x.shape[-1], x.shape[-2])


def scaled_dot_scores(queries, keys):
    return queries @ turned(keys) / queries.shape[-1] ** 0.5


def low_rank_bilinear_scores(queries, keys, U, V):
    return (queries @ U) @ turned(keys @ V)


def scaled_dot_backward(queries, keys, upstream):
    g = upstream / queries.shape[-1] ** 0.5
    d_keys = turned(np.ascontiguousarray(g)) @ queries
    return g @ keys, d_keys.sum(axis=tuple(range(d_keys.ndim - keys.ndim)))
