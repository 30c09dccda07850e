"""tanh from its definition: e to the thousand is infinite."""

import numpy as np


def additive_scores(queries, keys, W_q, W_k, b, w):
    x = (queries @ W_q)[..., :, None, :] + (keys @ W_k)[..., None, :, :] + b
    return (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x)) @ w
