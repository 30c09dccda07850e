"""Right values in float64, whatever came in."""

import numpy as np
import torch


def smoothed_cross_entropy(logits, targets, smoothing):
    logits = logits.astype(float)
    logs = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    share = (1 - smoothing) * np.eye(logits.shape[-1])[targets] + smoothing / logits.shape[-1]
    return -(share * logs).sum(axis=-1)


def temperature_for(scores, effective_keys):
    low, high = np.full(effective_keys.shape, 1e-2), np.full(effective_keys.shape, 1e3)
    scores = scores - scores.max(axis=-1, keepdims=True)
    for _ in range(70):
        middle = (low + high) / 2
        weights = np.exp(scores / middle[..., None])
        weights = weights / weights.sum(axis=-1, keepdims=True)
        entropy = -(weights * np.log(np.where(weights > 0, weights, 1))).sum(axis=-1)
        cold = entropy < np.log(effective_keys)
        low, high = np.where(cold, middle, low), np.where(cold, high, middle)
    return middle


def attention_weights(scores, mask, temperature):
    scores = np.where(mask, scores / np.float64(temperature), -np.inf)
    top = scores.max(axis=-1, keepdims=True)
    powers = np.exp(scores - np.where(top == -np.inf, 0, top))
    total = powers.sum(axis=-1, keepdims=True)
    return powers / np.where(total == 0, 1, total)


def sink_softmax(scores, mask, sink):
    scores = scores.double().masked_fill(~mask, -torch.inf)
    column = sink.double()[:, None, None].expand(*scores.shape[:-1], 1)
    logits = torch.cat([scores, column], dim=-1)
    empty = (logits == -torch.inf).all(dim=-1, keepdim=True)
    return torch.softmax(logits.masked_fill(empty, 0), dim=-1).masked_fill(empty, 0)[..., :-1]


def straight_through_sample(scores, gumbel, tau, mask):
    soft = torch.softmax(((scores + gumbel).double() / tau).masked_fill(~mask, -torch.inf), dim=-1)
    hard = torch.zeros_like(soft).scatter(-1, soft.argmax(dim=-1, keepdim=True), 1.0)
    return hard + soft - soft.detach()
