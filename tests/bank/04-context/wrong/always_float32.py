"""float32 comes out, whatever came in."""

import numpy as np
import torch


def padded_attention(queries, keys, values, lengths):
    queries, keys, values = (part.astype("float32") for part in (queries, keys, values))
    real = np.arange(keys.shape[-2]) < lengths.reshape(-1, *[1] * (keys.ndim - 1))
    keys, values = (np.where(real.swapaxes(-1, -2), part, 0) for part in (keys, values))
    scores = np.where(real, queries @ keys.swapaxes(-1, -2) / keys.shape[-1] ** 0.5, -np.inf)
    top = scores.max(axis=-1, keepdims=True)
    shares = np.exp(scores - np.where(np.isfinite(top), top, 0))
    total = shares.sum(axis=-1, keepdims=True)
    weights = shares / np.where(total > 0, total, 1)
    return weights @ values, weights


def coverage_attention(queries, keys, W_q, W_k, w_c, w):
    queries, keys, W_q, W_k, w_c, w = (x.float() for x in (queries, keys, W_q, W_k, w_c, w))
    coverage, steps = torch.zeros_like(keys[..., 0]), []
    for query in queries.unbind(dim=1):
        hidden = (query @ W_q)[:, None] + keys @ W_k + coverage[..., None] * w_c
        steps.append(torch.softmax(torch.tanh(hidden) @ w, dim=-1))
        coverage = coverage + steps[-1]
    return torch.stack(steps, dim=1)
