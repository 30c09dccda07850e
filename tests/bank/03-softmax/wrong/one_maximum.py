"""One maximum is subtracted for several rows: right while the rows lie close together."""

import numpy as np
import torch


def smoothed_cross_entropy(logits, targets, smoothing):
    shifted = logits - logits.max()
    logs = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    own = np.take_along_axis(logs, targets[..., None], axis=-1)[..., 0]
    return -(1 - smoothing) * own - smoothing * logs.mean(axis=-1)


def temperature_for(scores, effective_keys):
    low, high = np.full_like(effective_keys, 1e-2), np.full_like(effective_keys, 1e3)
    scores = scores - scores.max(axis=(-2, -1), keepdims=True)
    for _ in range(70):
        middle = (low + high) / 2
        weights = np.exp(scores / middle[..., None])
        weights = weights / weights.sum(axis=-1, keepdims=True)
        entropy = -(weights * np.log(np.where(weights > 0, weights, 1))).sum(axis=-1)
        cold = entropy < np.log(effective_keys)
        low, high = np.where(cold, middle, low), np.where(cold, high, middle)
    return middle


def sink_softmax(scores, mask, sink):
    scores, sink = scores.masked_fill(~mask, -torch.inf), sink[:, None, None]
    top = torch.maximum(scores.amax(dim=(-2, -1), keepdim=True), sink).detach()
    top = torch.where(top.isinf(), 0.0, top)
    powers = torch.exp(scores - top)
    total = powers.sum(dim=-1, keepdim=True) + torch.exp(sink - top)
    return powers / torch.where(total == 0, 1.0, total)


def streamed_context(score_blocks, value_blocks):
    largest, total, context, scored = -np.inf, 0.0, 0.0, 0.0
    for scores, values in zip(score_blocks, value_blocks, strict=True):
        new = max(largest, scores.max())
        shift = 0 if new == -np.inf else new
        rescale, powers = np.exp(largest - shift), np.exp(scores - shift)
        finite = np.where(scores == -np.inf, 0, scores)
        total = rescale * total + powers.sum(axis=-1, keepdims=True)
        context = rescale * context + powers @ values
        scored = rescale * scored + (powers * finite).sum(axis=-1, keepdims=True)
        largest = new
    empty = total == 0
    total = np.where(empty, 1, total)
    entropy = np.where(empty, 0, shift + np.log(total) - scored / total)
    return context / total, entropy[..., 0].astype(context.dtype)
