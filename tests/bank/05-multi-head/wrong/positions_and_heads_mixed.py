"""The heads are cut or merged along the positions."""

import numpy as np
import torch


def unpack_heads(packed, heads, groups):
    *leading, n, width = packed.shape
    parts = packed.reshape(*leading, heads + 2 * groups, n, width // (heads + 2 * groups))
    return tuple(np.split(parts, [heads, heads + groups], axis=-3))


def grouped_query_attention(queries, keys, values):
    *leading, h, n, d_k = queries.shape
    grouped = queries.reshape(*leading, keys.shape[-3], n, -1, d_k).swapaxes(-2, -3)
    scores = grouped @ np.swapaxes(keys[..., None, :, :], -1, -2) / d_k**0.5
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights = weights / weights.sum(-1, keepdims=True)
    return (weights @ values[..., None, :, :]).reshape(*leading, h, n, -1)


def multi_head_attention(queries, memory, W_q, W_k, W_v, W_o, heads, lengths, offset):
    q, k, v = (
        (x @ W).unflatten(-1, (heads, -1)).transpose(1, 2)
        for x, W in ((queries, W_q), (memory, W_k), (memory, W_v))
    )
    scores = q @ k.mT / q.shape[-1] ** 0.5
    keys_at, queries_at = torch.arange(k.shape[2]), torch.arange(q.shape[2])
    seen = ((keys_at < lengths[:, None, None]) & (keys_at <= offset + queries_at[:, None]))[:, None]
    weights = scores.masked_fill(~seen, -1e30).softmax(-1).masked_fill(~seen, 0)
    return (weights @ v).reshape(*queries.shape[:2], -1) @ W_o


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
        outputs.append((weights @ values).reshape(*x.shape[:2], -1) @ W_o)
        keys, values = keys[:, :, -window:], values[:, :, -window:]
    return np.concatenate(outputs, axis=1)
