"""In place, on arrays of one's own: results are made first and filled."""

import math

import numpy as np
import torch


def softmax_(scores):
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    return scores


def unpack_heads(packed, heads, groups):
    *leading, n, width = packed.shape
    d_k = width // (heads + 2 * groups)
    results = []
    start = 0
    for count in (heads, groups, groups):
        result = np.empty((*leading, count, n, d_k), dtype=packed.dtype)
        for t in range(count):
            result[..., t, :, :] = packed[..., start : start + d_k]
            start += d_k
        results.append(result)
    queries, keys, values = results
    return queries, keys, values


def decoder_costs(vocab_size, d, layers, n):
    table = layers.copy()
    table[:, :2] *= table[:, 2:3]  # widths of all query heads, of all key heads
    h, g, _, d_ff = table.sum(axis=0)
    matrices = d * (2 * h + 2 * g + 3 * d_ff)
    parameters = d * (vocab_size + 2 * len(table) + 1) + matrices
    flops = n * (matrices + d * vocab_size) + 2 * n * n * h
    flops *= 2
    return float(parameters), float(flops), float(4 * n * g)


def rotary_positions(x, positions, rotated, base):
    result = x.copy()
    half = rotated // 2
    angles = positions[:, np.newaxis, :, np.newaxis].astype(np.float64)
    angles = angles * np.exp(-np.log(base) * 2 * np.arange(half) / rotated)
    cos, sin = np.cos(angles).astype(x.dtype), np.sin(angles).astype(x.dtype)
    result[..., :half] *= cos
    result[..., :half] -= x[..., half:rotated] * sin
    result[..., half:rotated] *= cos
    result[..., half:rotated] += x[..., :half] * sin
    return result


def multi_head_attention(queries, memory, W_q, W_k, W_v, W_o, heads, lengths, offset):
    batch, n, m = len(queries), queries.shape[1], memory.shape[1]
    seen = torch.zeros(batch, 1, n, m, dtype=torch.bool)
    for b, length in enumerate(lengths.tolist()):
        for i in range(n):
            seen[b, 0, i, : min(length, offset + i + 1)] = True
    q = (queries @ W_q).reshape(batch, n, heads, -1).permute(0, 2, 1, 3)
    k = (memory @ W_k).reshape(batch, m, heads, -1).permute(0, 2, 3, 1)
    v = (memory @ W_v).reshape(batch, m, heads, -1).permute(0, 2, 1, 3)
    scores = q @ k
    scores /= math.sqrt(q.shape[-1])
    scores = torch.where(seen, scores, -1e30)
    weights = torch.softmax(scores, dim=-1)
    some = seen.any(dim=-1, keepdim=True)
    context = torch.where(some, weights @ v, 0.0)
    return context.permute(0, 2, 1, 3).reshape(batch, n, -1) @ W_o


def grouped_query_attention(queries, keys, values):
    *leading, h, n, d_k = queries.shape
    g = keys.shape[-3]
    result = np.empty((*leading, h, n, values.shape[-1]), dtype=queries.dtype)
    for group in range(g):
        own = slice(group * h // g, (group + 1) * h // g)
        scores = queries[..., own, :, :] @ keys[..., group : group + 1, :, :].swapaxes(-1, -2)
        scores /= math.sqrt(d_k)
        np.matmul(
            softmax_(scores), values[..., group : group + 1, :, :], out=result[..., own, :, :]
        )
    return result


class PreNormBlock(torch.nn.Module):
    def __init__(self, d_model, heads, d_ff):
        super().__init__()
        self.heads = heads
        layers = {name: (d_model, d_model) for name in ("query", "key", "value", "output")}
        layers |= {"expand": (d_model, d_ff), "contract": (d_ff, d_model)}
        for name, sizes in layers.items():
            self.add_module(name, torch.nn.Linear(*sizes))
        self.norm_1 = torch.nn.LayerNorm(d_model)
        self.norm_2 = torch.nn.LayerNorm(d_model)

    def forward(self, x, mask):
        batch, n, d = x.shape
        y = self.norm_1(x)
        q = self.query(y).view(batch, n, self.heads, -1).transpose(1, 2)
        k = self.key(y).view(batch, n, self.heads, -1).permute(0, 2, 3, 1)
        v = self.value(y).view(batch, n, self.heads, -1).transpose(1, 2)
        scores = q @ k
        scores /= math.sqrt(d // self.heads)
        scores.masked_fill_(~mask.unsqueeze(1), float("-inf"))
        context = torch.softmax(scores, dim=-1) @ v
        result = self.output(context.transpose(1, 2).contiguous().view(batch, n, d))
        result += x
        return self.contract(torch.relu(self.expand(self.norm_2(result)))) + result


def cached_attention(chunks, W_q, W_k, W_v, W_o, heads, window):
    """A ring: keys and values live in `window` slots, and each position overwrites the oldest."""
    keys = values = None
    outputs, place = [], 0
    for chunk in chunks:
        batch, n, _ = chunk.shape
        if keys is None:
            keys = np.zeros((batch, heads, window, W_k.shape[1] // heads), dtype=chunk.dtype)
            values = np.zeros((batch, heads, window, W_v.shape[1] // heads), dtype=chunk.dtype)
        result = np.empty((batch, n, W_o.shape[1]), dtype=chunk.dtype)
        for i in range(n):
            q, k, v = ((chunk[:, i] @ W).reshape(batch, heads, -1) for W in (W_q, W_k, W_v))
            keys[:, :, place % window], values[:, :, place % window] = k, v
            place += 1
            filled = min(place, window)  # which slot is which position does not matter
            scores = keys[:, :, :filled] @ q[..., None] / math.sqrt(q.shape[-1])
            weights = softmax_(scores[..., 0])
            context = weights[:, :, None] @ values[:, :, :filled]
            result[:, i] = context.reshape(batch, -1) @ W_o
        outputs.append(result)
    return np.concatenate(outputs, axis=1)
