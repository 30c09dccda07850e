"""Matrix products, as the chapter writes them."""

import math

import numpy as np
import torch


def scaled_dot_scores(queries, keys):
    d_k = queries.shape[-1]
    return np.matmul(queries / math.sqrt(d_k), keys.swapaxes(-2, -1))


def low_rank_bilinear_scores(queries, keys, U, V):
    common_queries = np.matmul(queries, U)
    common_keys = np.matmul(keys, V)
    return np.matmul(common_queries, np.moveaxis(common_keys, -1, -2))


def additive_scores(queries, keys, W_q, W_k, b, w):
    q = np.expand_dims(queries @ W_q + b, -2)
    k = np.expand_dims(keys @ W_k, -3)
    return np.matmul(np.tanh(q + k), w[:, None]).squeeze(-1)


def location_features(previous_weights, filters):
    half = filters.shape[1] // 2
    padded = torch.nn.functional.pad(previous_weights, (half, half))
    windows = padded.unfold(1, filters.shape[1], 1)  # (batch, m, width)
    return windows @ filters.T


def scaled_dot_backward(queries, keys, upstream):
    g = upstream / math.sqrt(queries.shape[-1])
    d_queries = g @ keys
    d_keys = g.swapaxes(-1, -2) @ queries
    while d_keys.ndim > keys.ndim:
        d_keys = d_keys.sum(axis=0)
    return d_queries, d_keys


def running_best_key(queries, key_blocks):
    best = index = None
    offset = 0
    for block in key_blocks:
        scores = queries @ block.T / math.sqrt(queries.shape[-1])
        local, value = scores.argmax(axis=-1), scores.max(axis=-1)
        if best is None:
            best, index = value, local
        else:
            improved = value > best
            index = np.where(improved, local + offset, index)
            best = np.maximum(best, value)
        offset += block.shape[0]
    return best, index


class AdditiveEnergy(torch.nn.Module):
    def __init__(self, d_q, d_k, d_h):
        super().__init__()
        self.query_layer = torch.nn.Linear(d_q, d_h, bias=False)
        self.key_layer = torch.nn.Linear(d_k, d_h)
        self.w = torch.nn.Parameter(torch.rand(d_h) - 0.5)

    def forward(self, queries, keys):
        q = self.query_layer(queries).unsqueeze(2)
        k = self.key_layer(keys).unsqueeze(1)
        energies = torch.matmul(torch.tanh(q + k), self.w)
        return energies.softmax(dim=2)
