"""Everything in float32, whatever came in."""

import numpy as np
import torch


def smoothed_cross_entropy(logits, targets, smoothing):
    logits = logits.astype(np.float32)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    own = np.take_along_axis(logs, targets[..., None], axis=-1)[..., 0]
    return -(1 - smoothing) * own - smoothing * logs.mean(axis=-1)


def tempered_softmax_backward(weights, temperature, upstream):
    weights, temperature, upstream = (
        x.astype(np.float32) for x in (weights, temperature, upstream)
    )
    average = (weights * upstream).sum(axis=-1, keepdims=True)
    d_scores = weights * (upstream - average) / temperature[:, None, None]
    d_rows = -(d_scores * np.log(np.where(weights > 0, weights, 1))).sum(axis=(-1, -2))
    return d_scores, d_rows.sum(axis=tuple(range(d_rows.ndim - 1)))


def streamed_context(score_blocks, value_blocks):
    largest, total, context, scored = -np.inf, 0.0, 0.0, 0.0
    for scores, values in zip(score_blocks, value_blocks, strict=True):
        new = np.maximum(largest, scores.max(axis=-1, keepdims=True))
        shift = np.where(new == -np.inf, 0, new)
        rescale, powers = np.exp(largest - shift), np.exp(scores - shift)
        finite = np.where(scores == -np.inf, 0, scores)
        total = rescale * total + powers.sum(axis=-1, keepdims=True)
        context = rescale * context + powers @ values
        scored = rescale * scored + (powers * finite).sum(axis=-1, keepdims=True)
        largest = new
    total = np.where(total == 0, 1, total)
    entropy = (shift + np.log(total) - scored / total)[..., 0]
    return (context / total).astype(np.float32), entropy.astype(np.float32)


def straight_through_sample(scores, gumbel, tau, mask):
    noisy = (scores + gumbel).float() / tau.float()
    soft = torch.softmax(noisy.masked_fill(~mask, -torch.inf), dim=-1)
    hard = torch.zeros_like(soft).scatter(-1, soft.argmax(dim=-1, keepdim=True), 1.0)
    return hard + soft - soft.detach()
