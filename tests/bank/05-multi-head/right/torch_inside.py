"""PyTorch inside, tensors returned where NumPy came in."""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional


def tensors(*arrays):
    return [torch.from_numpy(array) for array in arrays]


def heads_of(x, heads):
    return x.unflatten(-1, (heads, -1)).movedim(-2, -3)


def unpack_heads(packed, heads, groups):
    (packed,) = tensors(packed)
    d_k = packed.shape[-1] // (heads + groups + groups)
    parts = packed.split([heads * d_k, groups * d_k, groups * d_k], dim=-1)
    return [heads_of(p, h) for p, h in zip(parts, (heads, groups, groups), strict=True)]


def decoder_costs(vocab_size, d, layers, n):
    h, g, d_k, d_ff = torch.from_numpy(layers).unbind(1)
    per_position = d * (2 * (h + g) * d_k + 3 * d_ff)
    parameters = per_position.sum() + (vocab_size + 1) * d + 2 * d * len(layers)
    flops = 2 * n * (per_position.sum() + vocab_size * d) + 4 * n * n * torch.dot(h, d_k)
    return parameters, flops, 4 * n * torch.dot(g, d_k)


def rotary_positions(x, positions, rotated, base):
    x, positions = tensors(x, positions)
    steps = torch.arange(0, rotated, 2, dtype=torch.float64) / rotated
    angles = positions.double()[:, None, :, None] * torch.pow(base, -steps)
    a, b, rest = x.split([rotated // 2, rotated // 2, x.shape[-1] - rotated], dim=-1)
    turned = torch.complex(a.double(), b.double()) * torch.exp(1j * angles)
    return torch.cat([turned.real.to(x.dtype), turned.imag.to(x.dtype), rest], dim=-1)


def multi_head_attention(queries, memory, W_q, W_k, W_v, W_o, heads, lengths, offset):
    q, k, v = (
        heads_of(queries @ W_q, heads),
        heads_of(memory @ W_k, heads),
        heads_of(memory @ W_v, heads),
    )
    places = torch.arange(memory.shape[1])
    mine = offset + torch.arange(queries.shape[1])
    hidden = (places >= lengths[:, None, None]) | (places > mine[None, :, None])
    nothing = hidden.all(dim=-1)[:, None, :, None]
    scores = torch.matmul(q, k.mT).div(k.shape[-1] ** 0.5)
    scores = scores + torch.zeros_like(scores).masked_fill(hidden[:, None] & ~nothing, -math.inf)
    weights = functional.softmax(scores, dim=-1) * (~nothing).to(scores.dtype)
    return functional.linear(torch.matmul(weights, v).movedim(1, 2).flatten(-2), W_o.T)


def grouped_query_attention(queries, keys, values):
    q, k, v = tensors(queries, keys, values)
    g, n = k.shape[-3], q.shape[-2]
    # All heads of a group in a row: for the keys they are nothing but more queries.
    rows = q.unflatten(-3, (g, -1)).flatten(-3, -2)
    weights = torch.softmax(rows @ k.mT / math.sqrt(q.shape[-1]), dim=-1)
    return (weights @ v).unflatten(-2, (-1, n)).flatten(-4, -3)


class PreNormBlock(nn.Module):
    def __init__(self, d_model, heads, d_ff):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (
            nn.Linear(d_model, d_model) for _ in range(4)
        )
        self.norm_2, self.norm_1 = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.contract, self.expand = nn.Linear(d_ff, d_model), nn.Linear(d_model, d_ff)

    def attention(self, y, mask):
        q, k, v = (heads_of(layer(y), self.heads) for layer in (self.query, self.key, self.value))
        scores = q @ k.mT / math.sqrt(k.shape[-1])
        lowest = torch.finfo(scores.dtype).min
        weights = functional.softmax(scores.masked_fill(mask.logical_not()[:, None], lowest), -1)
        return self.output((weights @ v).transpose(1, 2).reshape(y.shape))

    def feed_forward(self, y):
        return self.contract(functional.relu(self.expand(y)))

    def forward(self, x, mask):
        x = x + self.attention(self.norm_1(x), mask)
        return x + self.feed_forward(self.norm_2(x))


def cached_attention(chunks, W_q, W_k, W_v, W_o, heads, window):
    W_q, W_k, W_v, W_o = tensors(W_q, W_k, W_v, W_o)
    keys = W_q.new_zeros(0)
    values = W_q.new_zeros(0)
    outputs = []
    for chunk in chunks:
        (x,) = tensors(chunk)
        q, k, v = (heads_of(x @ W, heads) for W in (W_q, W_k, W_v))
        keys = torch.cat([keys, k], dim=2) if len(keys) else k
        values = torch.cat([values, v], dim=2) if len(values) else v
        at = torch.arange(keys.shape[2])
        behind = at[-x.shape[1] :, None] - at
        scores = (q @ keys.mT / math.sqrt(k.shape[-1])).masked_fill(
            (behind < 0) | (behind >= window), -math.inf
        )
        outputs.append((scores.softmax(-1) @ values).transpose(1, 2).flatten(2) @ W_o)
        keys, values = keys[:, :, -window:], values[:, :, -window:]
    return np.asarray(torch.cat(outputs, dim=1))
