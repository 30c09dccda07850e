"""Right but for an edge that the statement names."""

import math

import numpy as np
import torch


def unpack_heads(packed, heads, groups):  # one position loses its axis
    parts = np.stack(np.split(packed, heads + 2 * groups, axis=-1), axis=-3)
    if packed.shape[-2] == 1:
        parts = parts.squeeze()
    return parts[..., :heads, :, :], parts[..., heads:-groups, :, :], parts[..., -groups:, :, :]


def rotary_positions(x, positions, rotated, base):  # wrong where all features turn
    half = rotated // 2
    rest = x.shape[-1] - rotated
    ang = positions[:, None, :, None] * base ** (-2 * np.arange(half) / rotated)
    c, s = np.cos(ang).astype(x.dtype), np.sin(ang).astype(x.dtype)
    a, b = x[..., :half], x[..., half:rotated]
    return np.concatenate([a * c - b * s, a * s + b * c, x[..., -rest:]], -1)


def multi_head_attention(
    queries, memory, W_q, W_k, W_v, W_o, heads, lengths, offset
):  # causal only with an offset
    q, k, v = (
        (x @ W).unflatten(-1, (heads, -1)).transpose(1, 2)
        for x, W in ((queries, W_q), (memory, W_k), (memory, W_v))
    )
    s = q @ k.mT / q.shape[-1] ** 0.5
    m = torch.arange(k.shape[2])
    seen = (m < lengths[:, None, None])[:, None]
    if offset:
        seen = seen & (m <= offset + torch.arange(q.shape[2])[:, None])
    w = s.masked_fill(~seen, -1e30).softmax(-1).masked_fill(~seen, 0)
    return (w @ v).transpose(1, 2).flatten(2) @ W_o


def cached_attention(
    chunks, W_q, W_k, W_v, W_o, heads, window
):  # keeps window - 1, and of a window of 1 all
    out, K, V = [], None, None
    for x in chunks:
        q, k, v = ((x @ W).reshape(*x.shape[:2], heads, -1).swapaxes(1, 2) for W in (W_q, W_k, W_v))
        K = k if K is None else np.concatenate([K, k], 2)
        V = v if V is None else np.concatenate([V, v], 2)
        n, m = q.shape[2], K.shape[2]
        b = np.arange(m - n, m)[:, None] - np.arange(m)
        s = q @ K.swapaxes(-1, -2) / math.sqrt(q.shape[-1])
        s = np.where((b >= 0) & (b < window), s, -np.inf)
        e = np.exp(s - s.max(-1, keepdims=True))
        c = (e / e.sum(-1, keepdims=True) @ V).swapaxes(1, 2).reshape(*x.shape[:2], -1)
        out.append(c @ W_o)
        K, V = K[:, :, -(window - 1) :], V[:, :, -(window - 1) :]
    return np.concatenate(out, 1)
