"""The keys are repeated and joined."""

import math

import numpy as np


def grouped_query_attention(queries, keys, values):  # repeats by joining
    h, g = queries.shape[-3], keys.shape[-3]
    k = np.concatenate([keys[..., t : t + 1, :, :] for t in range(g) for _ in range(h // g)], -3)
    v = np.concatenate([values[..., t : t + 1, :, :] for t in range(g) for _ in range(h // g)], -3)
    s = queries @ k.swapaxes(-1, -2) / math.sqrt(queries.shape[-1])
    e = np.exp(s - s.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True) @ v
