"""The right values with six decimals."""

import numpy as np


def scaled_dot_scores(queries, keys):
    return np.round(queries @ keys.swapaxes(-1, -2) / queries.shape[-1] ** 0.5, 6)


def low_rank_bilinear_scores(queries, keys, U, V):
    return np.round((queries @ U) @ (keys @ V).swapaxes(-1, -2), 6)


def additive_scores(queries, keys, W_q, W_k, b, w):
    hidden = np.tanh((queries @ W_q)[..., :, None, :] + (keys @ W_k)[..., None, :, :] + b)
    return np.round(hidden @ w, 6)


def location_features(previous_weights, filters):
    import torch

    features = torch.conv1d(
        previous_weights[:, None], filters[:, None], padding=filters.shape[1] // 2
    )
    return (features.mT * 1e6).round() / 1e6
