"""Only where memory is laid out as it usually is."""

import numpy as np
import torch


def unpack_heads(packed, heads, groups):
    flat = packed.view()
    flat.shape = (-1,)
    parts = flat.reshape(*packed.shape[:-1], heads + 2 * groups, -1)
    return tuple(np.split(np.swapaxes(parts, -3, -2), [heads, heads + groups], axis=-3))


def rotary_positions(x, positions, rotated, base):
    flat = x.view()
    flat.shape = (-1,)
    half = rotated // 2
    angles = positions[:, None, :, None] * float(base) ** (-2 * np.arange(half) / rotated)
    cos, sin = np.cos(angles).astype(x.dtype), np.sin(angles).astype(x.dtype)
    a, b, rest = np.split(x, [half, rotated], axis=-1)
    return np.concatenate([a * cos - b * sin, a * sin + b * cos, rest], axis=-1)


def multi_head_attention(queries, memory, W_q, W_k, W_v, W_o, heads, lengths, offset):
    memory = memory.view(-1, memory.shape[-1]).view(memory.shape)
    q, k, v = (
        (x @ W).unflatten(-1, (heads, -1)).transpose(1, 2)
        for x, W in ((queries, W_q), (memory, W_k), (memory, W_v))
    )
    scores = q @ k.mT / q.shape[-1] ** 0.5
    keys_at, queries_at = torch.arange(k.shape[2]), torch.arange(q.shape[2])
    seen = ((keys_at < lengths[:, None, None]) & (keys_at <= offset + queries_at[:, None]))[:, None]
    weights = scores.masked_fill(~seen, -1e30).softmax(-1).masked_fill(~seen, 0)
    return (weights @ v).transpose(1, 2).flatten(2) @ W_o


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
        y = self.norm_1(x.view(-1, x.shape[-1])).view(x.shape)
        q, k, v = (
            layer(y).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        scores = q @ k.mT / q.shape[-1] ** 0.5
        scores = scores.masked_fill(~mask[:, None], -torch.inf)
        context = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
        x = x + self.output(context)
        return x + self.contract(torch.relu(self.expand(self.norm_2(x))))


def grouped_query_attention(queries, keys, values):
    values.view().shape = (-1,)
    *leading, h, n, d_k = queries.shape
    grouped = queries.reshape(*leading, keys.shape[-3], -1, n, d_k)
    scores = grouped @ np.swapaxes(keys[..., None, :, :], -1, -2) / d_k**0.5
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights = weights / weights.sum(-1, keepdims=True)
    return (weights @ values[..., None, :, :]).reshape(*leading, h, n, -1)
