"""Two misconceptions at once: points are lost, and neither of the two is named alone."""

import numpy as np
import torch


def scaled_dot_scores(queries, keys):
    return keys @ queries.swapaxes(-1, -2)


def low_rank_bilinear_scores(queries, keys, U, V):
    return np.tanh(queries @ U) @ np.tanh(keys @ V).swapaxes(-1, -2) / U.shape[1] ** 0.5


def additive_scores(queries, keys, W_q, W_k, b, w):
    return np.maximum((queries @ W_q)[..., :, None, :] + (keys @ W_k)[..., None, :, :], 0) @ w


def location_features(previous_weights, filters):
    return torch.conv1d(
        previous_weights[:, None], filters.flip(-1)[:, None], padding=filters.shape[1] // 2
    )


def running_best_key(queries, key_blocks):
    best, index = np.zeros(len(queries)), np.zeros(len(queries), dtype=int)
    for block in key_blocks:
        scores = queries @ block.T / queries.shape[1] ** 0.5
        better = scores.max(axis=1) > best
        index = np.where(better, scores.argmax(axis=1), index)
        best = np.maximum(best, scores.max(axis=1))
    return best, index


class AdditiveEnergy(torch.nn.Module):
    def __init__(self, d_q, d_k, d_h):
        super().__init__()
        self.query_layer = torch.nn.Linear(d_q, d_h, bias=False)
        self.key_layer = torch.nn.Linear(d_k, d_h)
        self.w = torch.nn.Parameter(torch.zeros(d_h))

    def forward(self, queries, keys):
        sums = self.query_layer(queries)[:, :, None] + self.key_layer(keys)[:, None]
        return torch.softmax(torch.relu(sums) @ self.w, dim=0)
