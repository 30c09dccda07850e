"""Written for one number of axes."""

import numpy as np


def smoothed_cross_entropy(logits, targets, smoothing):
    shifted = logits - logits.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    own = logs[np.arange(len(logs)), targets]
    return -(1 - smoothing) * own - smoothing * logs.mean(axis=1)


def streamed_context(score_blocks, value_blocks):
    largest, total, context, scored = -np.inf, 0.0, 0.0, 0.0
    for scores, values in zip(score_blocks, value_blocks, strict=True):
        new = np.maximum(largest, scores.max(axis=1, keepdims=True))
        shift = np.where(new == -np.inf, 0, new)
        rescale, powers = np.exp(largest - shift), np.exp(scores - shift)
        finite = np.where(scores == -np.inf, 0, scores)
        total = rescale * total + powers.sum(axis=1, keepdims=True)
        context = rescale * context + powers @ values
        scored = rescale * scored + (powers * finite).sum(axis=1, keepdims=True)
        largest = new
    total = np.where(total == 0, 1, total)
    return context / total, (shift + np.log(total) - scored / total)[:, 0]


def tempered_softmax_backward(weights, temperature, upstream):
    average = (weights * upstream).sum(axis=-1, keepdims=True)
    d_scores = weights * (upstream - average) / temperature[:, None, None]
    logs = np.log(np.where(weights > 0, weights, 1))
    return d_scores, -(d_scores * logs).sum(axis=(0, 2, 3))
