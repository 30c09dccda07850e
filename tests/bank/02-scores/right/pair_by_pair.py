"""Unusual and legitimate: recursion over the examples, banded matrices, one key at a time, log-softmax."""

import itertools

import numpy as np
import torch


def paired(queries, keys, score):
    """`score` of every pair of examples that broadcasting brings together, one axis after the other."""
    if queries.ndim == keys.ndim == 2:
        return score(queries, keys)
    while queries.ndim < keys.ndim:
        queries = queries[None]
    while keys.ndim < queries.ndim:
        keys = keys[None]
    length = max(len(queries), len(keys))
    examples = ((queries[i % len(queries)], keys[i % len(keys)]) for i in range(length))
    return np.stack([paired(q, k, score) for q, k in examples])


def scaled_dot_scores(queries, keys):
    return paired(queries, keys, lambda q, k: np.inner(q, k) * float(q.shape[1]) ** -0.5)


def low_rank_bilinear_scores(queries, keys, U, V):
    # Keys first: (r, m), then (d_q, m), which is as thin as U.
    return queries @ (U @ np.moveaxis(keys @ V, -1, -2))


def additive_scores(queries, keys, W_q, W_k, b, w):
    def score(q, k):
        # tanh from e to a negative power, which cannot overflow.
        x = np.add.outer(q @ W_q + b, np.zeros(len(k), q.dtype)).swapaxes(1, 2) + k @ W_k
        e = np.exp(-2 * np.abs(x))
        return np.ma.dot(np.sign(x) * (1 - e) / (1 + e), w).data

    return paired(queries, keys, score)


def location_features(previous_weights, filters):
    # A banded matrix for each filter: entry (j, i) holds f at i - j + p.
    m, (_channels, width) = previous_weights.shape[1], filters.shape
    where = torch.arange(m) - torch.arange(m)[:, None] + width // 2
    inside = (where >= 0) & (where < width)
    band = filters[:, where.clamp(0, width - 1)] * inside
    return torch.einsum("bi,cji->bjc", previous_weights, band)


def scaled_dot_backward(queries, keys, upstream):
    queries, keys, upstream = map(np.array, (queries, keys, upstream))
    upstream /= float(queries.shape[-1]) ** 0.5
    d_queries = np.einsum("...nm,...mc->...nc", upstream, keys)
    if keys.ndim < queries.ndim:
        _n, m = upstream.shape[-2:]
        return d_queries, upstream.reshape(-1, m).T @ queries.reshape(-1, queries.shape[-1])
    return d_queries, np.einsum("...nm,...nc->...mc", upstream, queries)


def running_best_key(queries, key_blocks):
    best = [(float("-inf"), 0)] * len(queries)
    position = itertools.count()
    for key in itertools.chain.from_iterable(key_blocks):
        j = next(position)
        scores = (queries @ key / float(len(key)) ** 0.5).tolist()
        # Sorted by score, and among equals by the smaller index.
        best = [max(old, (s, -j)) for old, s in zip(best, scores, strict=True)]
    return np.array([s for s, _ in best], dtype=queries.dtype), np.array([-j for _, j in best])


class Scores(torch.nn.Module):
    def forward(self, queries, keys):
        one, every = torch.broadcast_tensors(
            self.query_layer(queries).unsqueeze(2), self.key_layer(keys).unsqueeze(1)
        )
        return torch.einsum("bnmh,h->bnm", torch.tanh(one + every), self.w)


class AdditiveEnergy(Scores):
    def __init__(self, d_q, d_k, d_h):
        super().__init__()
        self.register_parameter("w", torch.nn.Parameter(torch.empty(d_h).uniform_(-1, 1)))
        self.query_layer = torch.nn.Linear(d_q, d_h, bias=False)
        self.key_layer = torch.nn.Linear(d_k, d_h)

    def forward(self, queries, keys):
        scores = super().forward(queries, keys)
        return (scores - scores.logsumexp(-1, keepdim=True)).exp()
