"""Written for one example, and lifted to any leading axes by np.vectorize or torch.vmap."""

import numpy as np
import torch
from torch import nn


def lifted(function, signature, *arrays):
    return np.vectorize(function, signature=signature)(*arrays)


def scaled_dot_scores(queries, keys):
    def one(q, k):
        return q.dot(k.T) / q.dtype.type(q.shape[1] ** 0.5)

    return lifted(one, "(n,d),(m,d)->(n,m)", queries, keys)


def low_rank_bilinear_scores(queries, keys, U, V):
    def one(q, k):
        return np.inner(q.dot(U), k.dot(V))

    return lifted(one, "(n,d),(m,e)->(n,m)", queries, keys)


def additive_scores(queries, keys, W_q, W_k, b, w):
    def one(q, k):
        return np.array([np.tanh(row + k.dot(W_k) + b).dot(w) for row in q.dot(W_q)])

    return lifted(one, "(n,d),(m,e)->(n,m)", queries, keys)


def location_features(previous_weights, filters):
    half = filters.shape[1] // 2
    ends = torch.zeros(half, dtype=previous_weights.dtype)

    def one(weights):
        padded = torch.cat([ends, weights, ends])
        return torch.stack([filters.mv(padded[j : j + 2 * half + 1]) for j in range(len(weights))])

    return torch.stack([one(weights) for weights in previous_weights])


def scaled_dot_backward(queries, keys, upstream):
    scale = queries.dtype.type(queries.shape[-1] ** -0.5)
    d_queries = lifted(lambda g, k: scale * g.dot(k), "(n,m),(m,d)->(n,d)", upstream, keys)
    d_keys = lifted(lambda g, q: scale * g.T.dot(q), "(n,m),(n,d)->(m,d)", upstream, queries)
    return d_queries, np.add.reduce(
        d_keys.reshape(-1, *d_keys.shape[-2:])
    ) if keys.ndim == 2 else d_keys


def running_best_key(queries, key_blocks):
    def better(old, new):
        return new if old is None or new[0] > old[0] else old

    best = [None] * len(queries)
    position = 0
    for block in key_blocks:
        for key in block:
            for i, query in enumerate(queries):
                score = query.dot(key) / queries.dtype.type(len(key) ** 0.5)
                best[i] = better(best[i], (score, position))
            position += 1
    return np.array([score for score, _ in best]), np.array([place for _, place in best])


class AdditiveEnergy(nn.Module):
    def __init__(self, d_q, d_k, d_h):
        super().__init__()
        self.query_layer = nn.Linear(d_q, d_h, bias=False)
        self.key_layer = nn.Linear(d_k, d_h)
        self.w = nn.Parameter(nn.init.zeros_(torch.empty(d_h)))

    def forward(self, queries, keys):
        def one_query(query, keys):
            return torch.softmax(torch.tanh(query + keys).mv(self.w), dim=0)

        over_queries = torch.vmap(one_query, in_dims=(0, None))
        return torch.vmap(over_queries)(self.query_layer(queries), self.key_layer(keys))
