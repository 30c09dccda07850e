"""Right numbers in containers of the wrong kind."""

import numpy as np


def smoothed_cross_entropy(logits, targets, smoothing):
    shifted = logits - logits.max(axis=-1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    own = np.take_along_axis(logs, targets[..., None], axis=-1)[..., 0]
    return list(-(1 - smoothing) * own - smoothing * logs.mean(axis=-1))


def temperature_for(scores, effective_keys):
    return effective_keys.tolist()


def attention_weights(scores, mask, temperature):
    scores = np.where(mask, scores / temperature, -np.inf)
    top = scores.max(axis=-1, keepdims=True)
    powers = np.exp(scores - np.where(top == -np.inf, 0, top))
    total = powers.sum(axis=-1, keepdims=True)
    return [powers / np.where(total == 0, 1, total)]


def tempered_softmax_backward(weights, temperature, upstream):
    average = (weights * upstream).sum(axis=-1, keepdims=True)
    d_scores = weights * (upstream - average) / temperature[:, None, None]
    d_rows = -(d_scores * np.log(np.where(weights > 0, weights, 1))).sum(axis=(-1, -2))
    return {"d_scores": d_scores, "d_temperature": d_rows.sum(axis=tuple(range(d_rows.ndim - 1)))}
