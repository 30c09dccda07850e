"""In place, but on copies of its own: no argument is touched."""

import math

import numpy as np
import torch


def scaled_dot_scores(queries, keys):
    queries = queries.copy()
    queries /= math.sqrt(queries.shape[-1])
    lead = np.broadcast_shapes(queries.shape[:-2], keys.shape[:-2])
    scores = np.empty((*lead, queries.shape[-2], keys.shape[-2]), queries.dtype)
    np.matmul(queries, np.moveaxis(keys, -1, -2), out=scores)
    return scores


def low_rank_bilinear_scores(queries, keys, U, V):
    left, right = queries @ U, keys @ V
    lead = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    scores = np.zeros((*lead, left.shape[-2], right.shape[-2]), queries.dtype)
    for r in range(U.shape[-1]):
        scores += left[..., :, None, r] * right[..., None, :, r]
    return scores


def additive_scores(queries, keys, W_q, W_k, b, w):
    x = (queries @ W_q)[..., :, None, :] + (keys @ W_k)[..., None, :, :]
    x += b
    # tanh x = 1 - 2 / (e^{2x} + 1): where e^{2x} overflows the fraction is 0, and so it should be.
    x *= 2
    with np.errstate(over="ignore"):
        np.exp(x, out=x)
    x += 1
    np.divide(-2, x, out=x)
    x += 1
    return x @ w


def location_features(previous_weights, filters):
    (batch, m), (channels, width) = previous_weights.shape, filters.shape
    features = torch.zeros(batch, m, channels, dtype=previous_weights.dtype)
    for t in range(width):
        shift = t - width // 2  # position j sees position j + shift
        start, end = max(0, -shift), min(m, m - shift)
        if start < end:
            seen = previous_weights[:, start + shift : end + shift, None]
            features[:, start:end] += seen * filters[:, t]
    return features


def scaled_dot_backward(queries, keys, upstream):
    d_queries = np.matmul(upstream, keys)
    d_queries /= math.sqrt(queries.shape[-1])
    d_keys = np.zeros_like(keys)
    each = np.matmul(upstream.swapaxes(-1, -2), queries)
    each /= math.sqrt(queries.shape[-1])
    if keys.shape == each.shape:
        d_keys += each
    else:
        for where in np.ndindex(each.shape[:-2]):
            d_keys += each[where]
    return d_queries, d_keys


def running_best_key(queries, key_blocks):
    queries = queries.copy()
    queries *= 1 / math.sqrt(queries.shape[1])
    rows = np.arange(len(queries))
    best = np.full(len(queries), -np.inf, queries.dtype)
    index = np.zeros(len(queries), dtype=np.int32)
    start = 0
    for block in key_blocks:
        scores = queries @ block.T
        winner = scores.argmax(1)
        better = scores[rows, winner] > best
        np.copyto(best, scores[rows, winner], where=better)
        np.copyto(index, winner + start, where=better, casting="unsafe")
        start += block.shape[0]
    return best, index


class AdditiveEnergy(torch.nn.Module):
    def __init__(self, d_q, d_k, d_h):
        super().__init__()
        self.query_layer = torch.nn.Linear(d_q, d_h, bias=False)
        self.key_layer = torch.nn.Linear(d_k, d_h)
        self.w = torch.nn.Parameter(torch.randn(d_h).div_(d_h**0.5))

    def forward(self, queries, keys):
        sums = self.query_layer(queries)[:, :, None].repeat(1, 1, keys.shape[1], 1)
        sums += self.key_layer(keys)[:, None]
        weights = torch.exp((torch.tanh(sums) * self.w).sum(-1))
        return weights / weights.sum(-1, keepdim=True)
