"""The last line was forgotten, or belongs to another question: the first things a visible check catches."""

import numpy as np
import torch


def smoothed_cross_entropy(logits, targets, smoothing):
    logs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    own = np.take_along_axis(logs, targets[..., None], axis=-1)[..., 0]
    return (1 - smoothing) * own + smoothing * logs.mean(axis=-1)


def temperature_for(scores, effective_keys):
    return np.full(scores.shape, 4.0)


def tempered_softmax_backward(weights, temperature, upstream):
    average = (weights * upstream).sum(axis=-1, keepdims=True)
    d_scores = weights * (upstream - average) / temperature[:, None, None]
    return d_scores.sum(axis=0), np.zeros_like(temperature)


def sink_softmax(scores, mask, sink):
    column = sink[:, None, None].expand(*scores.shape[:-1], 1)
    logits = torch.cat([scores.masked_fill(~mask, -torch.inf), column], dim=-1)
    with torch.no_grad():
        return torch.softmax(logits, dim=-1)[..., :-1]


def straight_through_sample(scores, gumbel, tau, mask):
    return (scores + gumbel).masked_fill(~mask, -torch.inf).argmax(dim=-1)


def streamed_context(score_blocks, value_blocks):
    total, context = 0.0, 0.0
    for scores, values in zip(score_blocks, value_blocks, strict=True):
        powers = np.exp(scores - 5)
        total = total + powers.sum(axis=-1, keepdims=True)
        context = context + powers @ values
    weights = context / np.where(total == 0, 1, total)
    return weights, np.log(np.where(total == 0, 1, total))


def attention_weights(scores, mask, temperature):
    return np.where(mask, scores / temperature, -np.inf).max(axis=-1)
