"""Everything in float64, and back to the dtype of the arguments at the end."""

import numpy as np
import torch


def wide(*arrays):
    return [np.asarray(x, dtype=np.float64) for x in arrays]


def scaled_dot_scores(queries, keys):
    q, k = wide(queries, keys)
    return (q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1])).astype(queries.dtype)


def low_rank_bilinear_scores(queries, keys, U, V):
    # The weights first, as few numbers as possible: (d, r) instead of the long rows one by one.
    q, k, u, v = wide(queries, keys, U, V)
    return (np.matmul(q, u) @ np.swapaxes(np.matmul(k, v), -1, -2)).astype(queries.dtype)


def additive_scores(queries, keys, W_q, W_k, b, w):
    q, k, a, c, b, v = wide(queries, keys, W_q, W_k, b, w)
    hidden = np.tanh(np.expand_dims(q @ a + b, -2) + np.expand_dims(k @ c, -3))
    return np.dot(hidden, v).astype(queries.dtype)


def location_features(previous_weights, filters):
    weights, taps = previous_weights.double(), filters.double()
    features = torch.conv1d(weights[:, None], taps[:, None], padding=(taps.shape[1] - 1) // 2)
    return features.mT.to(previous_weights.dtype)


def scaled_dot_backward(queries, keys, upstream):
    q, k, g = wide(queries, keys, upstream)
    g = g / np.sqrt(q.shape[-1])
    d_keys = np.einsum("...ij,...id->...jd", g, q)
    d_keys = (
        d_keys.reshape(-1, *keys.shape).sum(axis=0).reshape(keys.shape) if k.ndim == 2 else d_keys
    )
    return (g @ k).astype(queries.dtype), d_keys.astype(keys.dtype)


def running_best_key(queries, key_blocks):
    q = queries.astype(np.float64)
    best, where, passed = np.full(len(q), -np.inf), np.full(len(q), -1), 0
    for block in key_blocks:
        for key in block.astype(np.float64):
            score = q @ key / np.sqrt(q.shape[1])
            where[score > best] = passed
            best = np.maximum(best, score)
            passed += 1
    return best.astype(queries.dtype), where


class AdditiveEnergy(torch.nn.Module):
    def __init__(self, d_q, d_k, d_h):
        super().__init__()
        self.query_layer = torch.nn.Linear(d_q, d_h, bias=False)
        self.key_layer = torch.nn.Linear(d_k, d_h)
        self.w = torch.nn.Parameter(torch.zeros(d_h))

    def forward(self, queries, keys):
        q, k = self.query_layer(queries).double(), self.key_layer(keys).double()
        energies = torch.tanh(q[:, :, None] + k[:, None]) @ self.w.double()
        return energies.softmax(-1).to(queries.dtype)
