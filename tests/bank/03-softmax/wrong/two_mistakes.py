"""Two misconceptions at once: points are lost, and neither of the two is named alone."""

import numpy as np
import torch


def smoothed_cross_entropy(logits, targets, smoothing):
    shifted = logits - logits.max(axis=-1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    own = np.take_along_axis(logs, targets[..., None], axis=-1)[..., 0]
    return (-smoothing * own - (1 - smoothing) * logs.mean(axis=-1)).mean()


def temperature_for(scores, effective_keys):
    low, high = 1e-2, 1e3
    for _ in range(80):
        middle = (low * high) ** 0.5
        scaled = scores / middle
        powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
        weights = powers / powers.sum(axis=-1, keepdims=True)
        entropy = -(weights * np.log2(np.where(weights > 0, weights, 1))).sum(axis=-1)
        cold = entropy.mean() < np.log(effective_keys).mean()
        low, high = (middle, high) if cold else (low, middle)
    return np.full(scores.shape[:-1], middle)


def tempered_softmax_backward(weights, temperature, upstream):
    d_scores = weights * (upstream - (weights * upstream).sum(axis=-1, keepdims=True))
    logs = np.log(np.where(weights > 0, weights, 1))
    d_rows = (d_scores * logs).sum(axis=(-1, -2)) / temperature
    return d_scores, d_rows.sum(axis=tuple(range(d_rows.ndim - 1)))


def sink_softmax(scores, mask, sink):
    scores = scores.masked_fill(mask, -torch.inf)
    return torch.softmax(scores, dim=-1).nan_to_num(0.0)


def straight_through_sample(scores, gumbel, tau, mask):
    return torch.softmax((scores + gumbel) / tau, dim=-1)


def streamed_context(score_blocks, value_blocks):
    for scores, values in zip(score_blocks, value_blocks, strict=True):
        top = scores.max(axis=-1, keepdims=True)
        powers = np.exp(scores - np.where(top == -np.inf, 0, top))
        total = powers.sum(axis=-1, keepdims=True)
        weights = powers / np.where(total == 0, 1, total)
        entropy = -(weights * np.log2(np.where(weights > 0, weights, 1))).sum(axis=-1)
        context = weights @ values
    return context, entropy


def attention_weights(scores, mask, temperature):
    scores = np.where(mask, scores * temperature, -np.inf)
    top = scores.max(axis=-1, keepdims=True)
    powers = np.exp(scores - np.where(top == -np.inf, 0, top))
    total = powers.sum(axis=-2, keepdims=True)
    return powers / np.where(total == 0, 1, total)
