"""Hides by a large negative number: a row that is hidden as a whole attends to hidden keys."""

import numpy as np
import torch


def sink_softmax(scores, mask, sink):
    scores = scores.masked_fill(~mask, -1e9)
    column = sink[:, None, None].expand(*scores.shape[:-1], 1).clamp(min=-1e9)
    return torch.softmax(torch.cat([scores, column], dim=-1), dim=-1)[..., :-1]


def attention_weights(scores, mask, temperature):
    scores = np.where(mask, scores / temperature, -1e9).astype(scores.dtype)
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def straight_through_sample(scores, gumbel, tau, mask):
    # Too small to be minus infinity: hidden keys still take a share.
    noisy = torch.where(mask, scores + gumbel, -1.0)
    soft = torch.softmax(noisy / tau, dim=-1)
    hard = torch.zeros_like(soft).scatter(-1, noisy.argmax(dim=-1, keepdim=True), 1.0)
    return hard + soft - soft.detach()
