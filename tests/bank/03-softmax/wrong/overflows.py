"""No maximum is subtracted: right for small scores, NaN or wrong for large ones."""

import numpy as np
import torch


def smoothed_cross_entropy(logits, targets, smoothing):
    logs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    own = np.take_along_axis(logs, targets[..., None], axis=-1)[..., 0]
    return -(1 - smoothing) * own - smoothing * logs.mean(axis=-1)


def temperature_for(scores, effective_keys):
    low, high = np.full_like(effective_keys, 1e-2), np.full_like(effective_keys, 1e3)
    for _ in range(70):
        middle = (low + high) / 2
        weights = np.exp(scores / middle[..., None])
        weights = weights / weights.sum(axis=-1, keepdims=True)
        entropy = -(weights * np.log(np.where(weights > 0, weights, 1))).sum(axis=-1)
        cold = entropy < np.log(effective_keys)
        low, high = np.where(cold, middle, low), np.where(cold, high, middle)
    return middle


def sink_softmax(scores, mask, sink):
    powers = torch.exp(scores) * mask
    total = powers.sum(dim=-1, keepdim=True) + torch.exp(sink)[:, None, None]
    return powers / torch.where(total == 0, 1.0, total)


def streamed_context(score_blocks, value_blocks):
    total, context, scored = 0.0, 0.0, 0.0
    for scores, values in zip(score_blocks, value_blocks, strict=True):
        powers = np.exp(scores)
        total = total + powers.sum(axis=-1, keepdims=True)
        context = context + powers @ values
        scored = scored + (powers * np.where(scores == -np.inf, 0, scores)).sum(
            axis=-1, keepdims=True
        )
    total = np.where(total == 0, 1, total)
    return context / total, (np.log(total) - scored / total)[..., 0]


def attention_weights(scores, mask, temperature):
    powers = np.exp(scores / temperature) * mask
    total = powers.sum(axis=-1, keepdims=True)
    return powers / np.where(total == 0, 1, total)
