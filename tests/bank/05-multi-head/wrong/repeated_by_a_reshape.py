"""The keys are broadcast, and then a reshape copies them."""

import math

import numpy as np


def grouped_query_attention(queries, keys, values):  # broadcast, then a reshape that copies
    *leading, h, _, d = queries.shape
    g, m = keys.shape[-3:-1]
    k = np.broadcast_to(keys[..., None, :, :], (*leading, g, h // g, m, d)).reshape(
        *leading, h, m, d
    )
    v = np.broadcast_to(
        values[..., None, :, :], (*leading, g, h // g, m, values.shape[-1])
    ).reshape(*leading, h, m, -1)
    s = queries @ k.swapaxes(-1, -2) / math.sqrt(d)
    e = np.exp(s - s.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True) @ v
