"""The mean over the features where the formula has the sum."""

import numpy as np


def low_rank_bilinear_scores(queries, keys, U, V):
    return (queries @ U) @ (keys @ V).swapaxes(-1, -2) / U.shape[1]


def additive_scores(queries, keys, W_q, W_k, b, w):
    hidden = np.tanh((queries @ W_q)[..., :, None, :] + (keys @ W_k)[..., None, :, :] + b)
    return (hidden * w).mean(axis=-1)
