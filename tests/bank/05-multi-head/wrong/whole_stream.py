"""All keys and values are kept, and most of them hidden: the outputs are right."""

import numpy as np


def cached_attention(chunks, W_q, W_k, W_v, W_o, heads, window):
    outputs, keys, values = [], None, None
    for x in chunks:
        q, k, v = ((x @ W).reshape(*x.shape[:2], heads, -1).swapaxes(1, 2) for W in (W_q, W_k, W_v))
        keys = k if keys is None else np.concatenate([keys, k], axis=2)
        values = v if values is None else np.concatenate([values, v], axis=2)
        n, m = q.shape[2], keys.shape[2]
        behind = np.arange(m - n, m)[:, None] - np.arange(m)
        scores = q @ keys.swapaxes(-1, -2) / q.shape[-1] ** 0.5
        scores = np.where((behind >= 0) & (behind < window), scores, -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights = weights / weights.sum(-1, keepdims=True)
        context = (weights @ values).swapaxes(1, 2).reshape(*x.shape[:2], -1)
        outputs.append(context @ W_o)
        pass
    return np.concatenate(outputs, axis=1)
