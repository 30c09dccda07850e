"""One attention for all questions, built from small helpers and a class; rules and stability live in one place."""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import nn


def swap(x):
    return np.swapaxes(x, -1, -2)


def cut(x, heads):
    *leading, n, width = x.shape
    return np.swapaxes(x.reshape(*leading, n, heads, width // heads), -2, -3)


def paste(x):
    *leading, heads, n, width = x.shape
    return np.swapaxes(x, -2, -3).reshape(*leading, n, heads * width)


def attend(q, k, v, mask=True):
    scores = np.where(mask, (q / math.sqrt(q.shape[-1])) @ swap(k), -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return (weights @ v) / weights.sum(axis=-1, keepdims=True)


def unpack_heads(packed, heads, groups):
    d_k = packed.shape[-1] // (heads + 2 * groups)
    ends = [heads * d_k, (heads + groups) * d_k]
    q, k, v = np.split(packed, ends, axis=-1)
    return cut(q, heads), cut(k, groups), cut(v, groups)


class Layer(NamedTuple):
    heads: int
    groups: int
    d_k: int
    d_ff: int

    def matrices(self, d):
        attention = 2 * d * self.d_k * (self.heads + self.groups)
        return attention + 3 * d * self.d_ff


def decoder_costs(vocab_size, d, layers, n):
    stack = [Layer(*map(int, row)) for row in layers]
    matrices = sum(layer.matrices(d) for layer in stack) + vocab_size * d
    products = sum(layer.heads * layer.d_k for layer in stack) * n * n * 2
    return (
        matrices + d * sum(2 for _ in stack) + d,
        2 * (n * matrices + products),
        sum(n * layer.groups * layer.d_k * 2 * 2 for layer in stack),
    )


def rotary_positions(x, positions, rotated, base):
    half = rotated // 2
    rates = np.array([base ** (-2.0 * t / rotated) for t in range(half)])
    angles = np.expand_dims(positions, (1, 3)) * rates
    angles = np.concatenate([angles, angles], axis=-1)
    turning = x[..., :rotated]
    rotated_half = np.concatenate([-turning[..., half:], turning[..., :half]], axis=-1)
    turned = turning * np.cos(angles) + rotated_half * np.sin(angles)
    return np.concatenate([turned.astype(x.dtype), x[..., rotated:]], axis=-1)


class MultiHead:
    def __init__(self, heads):
        self.heads = heads

    def split(self, x):
        return x.reshape(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)

    def merge(self, x):
        return x.transpose(1, 2).reshape(x.shape[0], x.shape[2], -1)

    def __call__(self, q, k, v, mask):
        q, k, v = self.split(q), self.split(k), self.split(v)
        scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])
        scores = scores.masked_fill(~mask[:, None], torch.finfo(q.dtype).min)
        # A row with nothing to see is uniform here, and the mask makes it 0.
        return self.merge((torch.softmax(scores, -1) * mask[:, None].to(q.dtype)) @ v)


def multi_head_attention(queries, memory, W_q, W_k, W_v, W_o, heads, lengths, offset):
    n, m = queries.shape[1], memory.shape[1]
    causal = torch.tril(torch.ones(n, m, dtype=torch.bool), diagonal=offset)
    padding = torch.arange(m).expand(len(lengths), m) < lengths.unsqueeze(1)
    mask = causal.unsqueeze(0) & padding.unsqueeze(1)
    return MultiHead(heads)(queries @ W_q, memory @ W_k, memory @ W_v, mask) @ W_o


def grouped_query_attention(queries, keys, values):
    h, g = queries.shape[-3], keys.shape[-3]
    groups = np.split(queries, g, axis=-3)
    return np.concatenate(
        [
            attend(q, keys[..., t : t + 1, :, :], values[..., t : t + 1, :, :])
            for t, q in enumerate(groups)
        ],
        axis=-3,
    ).reshape(*queries.shape[:-3], h, queries.shape[-2], values.shape[-1])


class PreNormBlock(nn.Module):
    def __init__(self, d_model, heads, d_ff):
        super().__init__()
        self.multi_head = MultiHead(heads)
        self.norm_1, self.norm_2 = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.query, self.key = nn.Linear(d_model, d_model), nn.Linear(d_model, d_model)
        self.value, self.output = nn.Linear(d_model, d_model), nn.Linear(d_model, d_model)
        self.expand, self.contract = nn.Linear(d_model, d_ff), nn.Linear(d_ff, d_model)

    def forward(self, x, mask):
        y = self.norm_1(x)
        attended = self.multi_head(self.query(y), self.key(y), self.value(y), mask)
        x = x + self.output(attended)
        hidden = torch.relu(self.expand(self.norm_2(x)))
        return x + self.contract(hidden)


class Cache:
    def __init__(self, window):
        self.window, self.held = window, ()

    def join(self, *new):
        return (
            [np.concatenate(pair, axis=-2) for pair in zip(self.held, new, strict=True)]
            if self.held
            else new
        )

    def keep(self, *joined):
        # One position less would do: the next query brings its own.
        self.held = [x[..., x.shape[-2] - min(x.shape[-2], self.window) :, :] for x in joined]


def cached_attention(chunks, W_q, W_k, W_v, W_o, heads, window):
    cache, results = Cache(window), []
    for chunk in chunks:
        q = cut(chunk @ W_q, heads)
        k, v = cache.join(cut(chunk @ W_k, heads), cut(chunk @ W_v, heads))
        last, m = q.shape[-2], k.shape[-2]
        behind = (m - last) + np.arange(last)[:, None] - np.arange(m)
        mask = np.logical_and(behind >= 0, behind < window)
        results.append(paste(attend(q, k, v, mask)) @ W_o)
        cache.keep(k, v)
    return np.concatenate(results, axis=1)
