"""Plain loops, as the definitions read."""

import math

import numpy as np
import torch


def scaled_dot_scores(queries, keys):
    lead = np.broadcast_shapes(queries.shape[:-2], keys.shape[:-2])
    queries = np.broadcast_to(queries, lead + queries.shape[-2:])
    keys = np.broadcast_to(keys, lead + keys.shape[-2:])
    scores = np.zeros((*lead, queries.shape[-2], keys.shape[-2]), dtype=queries.dtype)
    for where in np.ndindex(*scores.shape):
        *leading, i, j = where
        total = 0.0
        for c in range(queries.shape[-1]):
            total += float(queries[(*leading, i, c)]) * float(keys[(*leading, j, c)])
        scores[where] = total / math.sqrt(queries.shape[-1])
    return scores


def low_rank_bilinear_scores(queries, keys, U, V):
    lead = np.broadcast_shapes(queries.shape[:-2], keys.shape[:-2])
    queries = np.broadcast_to(queries, lead + queries.shape[-2:])
    keys = np.broadcast_to(keys, lead + keys.shape[-2:])
    scores = np.zeros((*lead, queries.shape[-2], keys.shape[-2]), dtype=queries.dtype)
    for where in np.ndindex(*scores.shape):
        *leading, i, j = where
        for r in range(U.shape[1]):
            scores[where] += (queries[(*leading, i)] @ U[:, r]) * (keys[(*leading, j)] @ V[:, r])
    return scores


def additive_scores(queries, keys, W_q, W_k, b, w):
    lead = np.broadcast_shapes(queries.shape[:-2], keys.shape[:-2])
    queries = np.broadcast_to(queries, lead + queries.shape[-2:])
    keys = np.broadcast_to(keys, lead + keys.shape[-2:])
    scores = np.zeros((*lead, queries.shape[-2], keys.shape[-2]), dtype=queries.dtype)
    for where in np.ndindex(*scores.shape):
        *leading, i, j = where
        for h in range(len(w)):
            inner = queries[(*leading, i)] @ W_q[:, h] + keys[(*leading, j)] @ W_k[:, h] + b[h]
            scores[where] += w[h] * math.tanh(inner)
    return scores


def location_features(previous_weights, filters):
    batch, m = previous_weights.shape
    channels, width = filters.shape
    half = width // 2
    rows = []
    for e in range(batch):
        for j in range(m):
            for c in range(channels):
                total = 0 * filters[c, 0]
                for t in range(-half, half + 1):
                    if 0 <= j + t < m:
                        total = total + filters[c, half + t] * previous_weights[e, j + t]
                rows.append(total)
    return torch.stack(rows).reshape(batch, m, channels)


def scaled_dot_backward(queries, keys, upstream):
    d_queries, d_keys = np.zeros_like(queries), np.zeros_like(keys)
    root = math.sqrt(queries.shape[-1])
    for *leading, i, j in np.ndindex(*upstream.shape):
        place = tuple(leading) if keys.ndim > 2 else ()
        g = upstream[(*leading, i, j)]
        d_queries[(*leading, i)] += g * keys[(*place, j)] / root
        d_keys[(*place, j)] += g * queries[(*leading, i)] / root
    return d_queries, d_keys


def running_best_key(queries, key_blocks):
    best = [-math.inf] * len(queries)
    index = [0] * len(queries)
    position = 0
    for block in key_blocks:
        for key in block:
            for i, query in enumerate(queries):
                score = sum(a * b for a, b in zip(query, key, strict=True)) / math.sqrt(len(key))
                if score > best[i]:
                    best[i], index[i] = score, position
            position += 1
    return np.array(best), np.array(index)


class AdditiveEnergy(torch.nn.Module):
    def __init__(self, d_q, d_k, d_h):
        super().__init__()
        self.query_layer = torch.nn.Linear(d_q, d_h, bias=False)
        self.key_layer = torch.nn.Linear(d_k, d_h)
        self.w = torch.nn.Parameter(torch.ones(d_h))

    def forward(self, queries, keys):
        rows = []
        for i in range(queries.shape[1]):
            query = self.query_layer(queries[:, i])
            scores = [
                torch.tanh(query + self.key_layer(keys[:, j])) @ self.w
                for j in range(keys.shape[1])
            ]
            rows.append(torch.softmax(torch.stack(scores, dim=1), dim=1))
        return torch.stack(rows, dim=1)
