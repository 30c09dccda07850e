"""Axes of length one disappear."""

import numpy as np
import torch


def scaled_dot_scores(queries, keys):
    return np.squeeze(queries @ keys.swapaxes(-1, -2) / queries.shape[-1] ** 0.5)


def low_rank_bilinear_scores(queries, keys, U, V):
    return np.squeeze((queries @ U) @ (keys @ V).swapaxes(-1, -2))


def additive_scores(queries, keys, W_q, W_k, b, w):
    hidden = np.tanh((queries @ W_q)[..., :, None, :] + (keys @ W_k)[..., None, :, :] + b)
    return (hidden @ w[:, None]).squeeze()


def location_features(previous_weights, filters):
    padded = torch.nn.functional.pad(previous_weights, (filters.shape[1] // 2,) * 2)
    return (padded.unfold(1, filters.shape[1], 1) @ filters.T).squeeze()


class AdditiveEnergy(torch.nn.Module):
    def __init__(self, d_q, d_k, d_h):
        super().__init__()
        self.query_layer = torch.nn.Linear(d_q, d_h, bias=False)
        self.key_layer = torch.nn.Linear(d_k, d_h)
        self.w = torch.nn.Parameter(torch.zeros(d_h))

    def forward(self, queries, keys):
        sums = self.query_layer(queries)[:, :, None] + self.key_layer(keys)[:, None]
        return torch.softmax((torch.tanh(sums) @ self.w[:, None]).squeeze(), dim=-1)
