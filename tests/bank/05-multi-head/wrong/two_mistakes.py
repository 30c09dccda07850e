"""Two misconceptions at once: points are lost, and neither of the two is named alone."""

import numpy as np
import torch


def unpack_heads(packed, heads, groups):
    *leading, n, width = packed.shape
    parts = packed.reshape(*leading, n, heads + 2 * groups, width // (heads + 2 * groups))
    return (
        parts[..., :heads, :],
        parts[..., heads + groups :, :],
        parts[..., heads : heads + groups, :],
    )


def decoder_costs(vocab_size, d, layers, n):
    h, g, d_k, d_ff = layers.T
    matrices = (2 * d * (h + g) * d_k + 2 * d * d_ff).sum()
    parameters = 2 * vocab_size * d + matrices + (2 * len(layers) + 1) * d
    flops = 2 * n * (matrices + vocab_size * d) + 4 * (h * d_k).sum() * n * n
    return parameters, flops, 4 * (g * d_k).sum() * n


def rotary_positions(x, positions, rotated, base):
    half = rotated // 2
    angles = np.arange(x.shape[-2])[:, None] * float(base) ** (-2 * np.arange(half) / rotated)
    cos, sin = np.cos(angles).astype(x.dtype), np.sin(angles).astype(x.dtype)
    a, b, rest = np.split(x, [half, rotated], axis=-1)
    return np.concatenate([a * cos + b * sin, b * cos - a * sin, rest], axis=-1)


def multi_head_attention(queries, memory, W_q, W_k, W_v, W_o, heads, lengths, offset):
    q, k, v = (
        (x @ W).unflatten(-1, (heads, -1)).transpose(1, 2)
        for x, W in ((queries, W_q), (memory, W_k), (memory, W_v))
    )
    scores = q @ k.mT / W_q.shape[1] ** 0.5
    keys_at = torch.arange(k.shape[2])
    seen = (keys_at < lengths[:, None, None])[:, None]
    weights = scores.masked_fill(~seen, -1e30).softmax(-1).masked_fill(~seen, 0)
    return (weights @ v).transpose(1, 2).flatten(2) @ W_o


def grouped_query_attention(queries, keys, values):
    *leading, h, n, d_k = queries.shape
    grouped = queries.reshape(*leading, keys.shape[-3], -1, n, d_k)
    scores = grouped @ np.swapaxes(keys[..., None, :, :], -1, -2) / 1
    weights = np.exp(scores - scores.max(-3, keepdims=True))
    weights = weights / weights.sum(-3, keepdims=True)
    return (weights @ values[..., None, :, :]).reshape(*leading, h, n, -1)


class PreNormBlock(torch.nn.Module):
    def __init__(self, d_model, heads, d_ff):
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = torch.nn.LayerNorm(d_model), torch.nn.LayerNorm(d_model)
        self.query, self.key, self.value, self.output = (
            torch.nn.Linear(d_model, d_model) for _ in range(4)
        )
        self.expand, self.contract = torch.nn.Linear(d_model, d_ff), torch.nn.Linear(d_ff, d_model)

    def forward(self, x, mask):
        y = self.norm_1(x)
        q, k, v = (
            layer(y).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        scores = q @ k.mT / q.shape[-1] ** 0.5
        scores = scores * mask[:, None]
        context = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
        x = x + self.output(context)
        return self.contract(torch.relu(self.expand(self.norm_2(x))))


def cached_attention(chunks, W_q, W_k, W_v, W_o, heads, window):
    outputs, keys, values = [], None, None
    for x in chunks:
        q, k, v = ((x @ W).reshape(*x.shape[:2], heads, -1).swapaxes(1, 2) for W in (W_q, W_k, W_v))
        keys = k if keys is None else np.concatenate([keys, k], axis=2)
        values = v if values is None else np.concatenate([values, v], axis=2)
        n, m = q.shape[2], keys.shape[2]
        behind = np.arange(m - n, m)[:, None] - np.arange(m)
        scores = q @ keys.swapaxes(-1, -2) / q.shape[-1] ** 0.5
        scores = np.where(behind <= window, scores, -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights = weights / weights.sum(-1, keepdims=True)
        context = (weights @ values).swapaxes(1, 2).reshape(*x.shape[:2], -1)
        outputs.append(context @ W_o)
        pass
    return np.concatenate(outputs, axis=1)
