"""Right until a weight is 0: then 0 times minus infinity makes NaN."""

import numpy as np
import torch


def smoothed_cross_entropy(logits, targets, smoothing):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    logs = np.log(powers / powers.sum(axis=-1, keepdims=True))
    own = np.take_along_axis(logs, targets[..., None], axis=-1)[..., 0]
    return -(1 - smoothing) * own - smoothing * logs.mean(axis=-1)


def temperature_for(scores, effective_keys):
    low, high = np.full_like(effective_keys, 1e-2), np.full_like(effective_keys, 1e3)
    scores = scores - scores.max(axis=-1, keepdims=True)
    for _ in range(70):
        middle = (low + high) / 2
        weights = np.exp(scores / middle[..., None])
        weights = weights / weights.sum(axis=-1, keepdims=True)
        cold = -(weights * np.log(weights)).sum(axis=-1) < np.log(effective_keys)
        low, high = np.where(cold, middle, low), np.where(cold, high, middle)
    return middle


def tempered_softmax_backward(weights, temperature, upstream):
    average = (weights * upstream).sum(axis=-1, keepdims=True)
    d_scores = weights * (upstream - average) / temperature[:, None, None]
    d_rows = -(d_scores * np.log(weights)).sum(axis=(-1, -2))
    return d_scores, d_rows.sum(axis=tuple(range(d_rows.ndim - 1)))


def streamed_context(score_blocks, value_blocks):
    largest, total, context, scored = -np.inf, 0.0, 0.0, 0.0
    for scores, values in zip(score_blocks, value_blocks, strict=True):
        new = np.maximum(largest, scores.max(axis=-1, keepdims=True))
        shift = np.where(new == -np.inf, 0, new)
        rescale, powers = np.exp(largest - shift), np.exp(scores - shift)
        total = rescale * total + powers.sum(axis=-1, keepdims=True)
        context = rescale * context + powers @ values
        scored = rescale * scored + (powers * scores).sum(axis=-1, keepdims=True)
        largest = new
    total = np.where(total == 0, 1, total)
    return context / total, (shift + np.log(total) - scored / total)[..., 0]


def straight_through_sample(scores, gumbel, tau, mask):
    relaxed = (scores + gumbel).masked_fill(~mask, -torch.inf) / tau  # by tau: 0 * inf
    soft = torch.softmax(relaxed, dim=-1)
    hard = torch.zeros_like(soft).scatter(-1, relaxed.argmax(dim=-1, keepdim=True), 1.0)
    return hard + soft - soft.detach()
