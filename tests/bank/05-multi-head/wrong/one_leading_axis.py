"""Only for arrays with exactly one leading axis."""

import numpy as np


def unpack_heads(packed, heads, groups):
    batch, n, _ = packed.shape
    parts = packed.reshape(batch, n, heads + 2 * groups, -1).transpose(0, 2, 1, 3)
    return parts[:, :heads], parts[:, heads : heads + groups], parts[:, heads + groups :]


def grouped_query_attention(queries, keys, values):
    batch, h, n, d_k = queries.shape
    grouped = queries.reshape(batch, keys.shape[1], -1, n, d_k)
    scores = grouped @ keys[:, :, None].swapaxes(-1, -2) / d_k**0.5
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights = weights / weights.sum(-1, keepdims=True)
    return (weights @ values[:, :, None]).reshape(batch, h, n, -1)
