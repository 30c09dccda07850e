"""The exponential of large scores."""

import numpy as np


def grouped_query_attention(queries, keys, values):
    *leading, h, n, d_k = queries.shape
    grouped = queries.reshape(*leading, keys.shape[-3], -1, n, d_k)
    scores = grouped @ np.swapaxes(keys[..., None, :, :], -1, -2) / d_k**0.5
    weights = np.exp(scores)
    weights = weights / weights.sum(-1, keepdims=True)
    return (weights @ values[..., None, :, :]).reshape(*leading, h, n, -1)
