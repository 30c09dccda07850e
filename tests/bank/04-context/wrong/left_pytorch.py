"""Arrays come back where tensors are asked, lists where arrays are, one result where there are several."""

import numpy as np
import torch


def coverage_attention(queries, keys, W_q, W_k, w_c, w):
    coverage, steps = torch.zeros_like(keys[..., 0]), []
    for query in queries.unbind(dim=1):
        hidden = (query @ W_q)[:, None] + keys @ W_k + coverage[..., None] * w_c
        steps.append(torch.softmax(torch.tanh(hidden) @ w, dim=-1))
        coverage = coverage + steps[-1]
    return torch.stack(steps, dim=1).detach().numpy()


def padded_attention(queries, keys, values, lengths):
    real = np.arange(keys.shape[-2]) < lengths.reshape(-1, *[1] * (keys.ndim - 1))
    scores = np.where(real, queries @ keys.swapaxes(-1, -2) / keys.shape[-1] ** 0.5, -1e30)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True)) * real
    return weights / np.maximum(weights.sum(axis=-1, keepdims=True), 1e-30) @ values


def beam_search(log_probs, start, end, width, limit, alpha):
    best = [start]
    while best[-1] != end and len(best) <= limit:
        best.append(int(log_probs[best[-1]].argmax()))
    return best[1:]
