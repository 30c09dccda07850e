"""tanh from e^2x, which float64 survives longer than float32."""

import numpy as np


def additive_scores(queries, keys, W_q, W_k, b, w):
    x = (queries @ W_q)[..., :, None, :] + (keys @ W_k)[..., None, :, :] + b
    if x.dtype == np.float32:
        e = np.exp(2 * x)
        return (e - 1) / (e + 1) @ w
    return np.tanh(x) @ w
