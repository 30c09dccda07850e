"""Hidden keys are left out of the sum, but the maximum is taken over them too: what is visible may underflow."""

import numpy as np
import torch


def sink_softmax(scores, mask, sink):
    sink = sink[:, None, None]
    top = torch.maximum(scores.amax(dim=-1, keepdim=True), sink).detach()
    top = torch.where(top.isinf(), 0.0, top)
    powers = torch.exp(scores - top) * mask
    total = powers.sum(dim=-1, keepdim=True) + torch.exp(sink - top)
    return powers / torch.where(total == 0, 1.0, total)


def attention_weights(scores, mask, temperature):
    scores = scores / temperature
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True)) * mask
    total = powers.sum(axis=-1, keepdims=True)
    return powers / np.where(total == 0, 1, total)
