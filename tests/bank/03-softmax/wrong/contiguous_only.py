"""Right where rows lie one after the other in memory."""

import numpy as np
import torch


def smoothed_cross_entropy(logits, targets, smoothing):
    assert logits.flags.c_contiguous
    shifted = logits - logits.max(axis=-1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    own = np.take_along_axis(logs, targets[..., None], axis=-1)[..., 0]
    return -(1 - smoothing) * own - smoothing * logs.mean(axis=-1)


def sink_softmax(scores, mask, sink):
    batch, heads, n = scores.shape[:3]
    flat = scores.masked_fill(~mask, -torch.inf)
    logits = torch.cat([flat, sink.view(-1, 1, 1).expand(batch, heads, n, 1)], dim=-1)
    empty = (logits == -torch.inf).all(dim=-1, keepdim=True)
    weights = torch.softmax(logits.masked_fill(empty, 0), dim=-1).masked_fill(empty, 0)
    return weights[..., :-1] + 0 * scores.detach().nan_to_num(0, 0, 0).view(-1)[0]


def straight_through_sample(scores, gumbel, tau, mask):
    rows = (scores.view(-1, scores.shape[-1]) + gumbel.view(-1, scores.shape[-1])) / tau
    relaxed = rows.view(scores.shape).masked_fill(~mask, -torch.inf)
    soft = torch.softmax(relaxed, dim=-1)
    hard = torch.zeros_like(soft).scatter(-1, relaxed.argmax(dim=-1, keepdim=True), 1.0)
    return hard + soft - soft.detach()


def attention_weights(scores, mask, temperature):
    flat = np.frombuffer(scores.data, dtype=scores.dtype).reshape(scores.shape) / temperature
    flat = np.where(mask, flat, -np.inf).astype(scores.dtype)
    top = flat.max(axis=-1, keepdims=True)
    powers = np.exp(flat - np.where(top == -np.inf, 0, top))
    total = powers.sum(axis=-1, keepdims=True)
    return powers / np.where(total == 0, 1, total)
