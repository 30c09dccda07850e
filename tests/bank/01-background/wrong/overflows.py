"""The softmax as its formula reads."""

import numpy as np
import torch


def perplexity_and_bits(logits, targets, pad, characters):
    z, x = logits[targets != pad], targets[targets != pad]
    p = np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)
    surprise = -np.log(p[np.arange(len(x)), x])
    return np.exp(surprise.mean()), surprise.sum() / np.log(2) / characters[x].sum()


def leave_one_out_loss(keys, values, log_bandwidths):
    scaled = keys / log_bandwidths.exp()
    kernel = torch.exp(-(scaled[:, :, None] - scaled[:, None]).square().sum(-1) / 2)
    kernel = kernel * (1 - torch.eye(keys.shape[1], dtype=keys.dtype))
    answers = kernel @ values / kernel.sum(dim=-1, keepdim=True)
    return (answers - values).square().mean(dim=(1, 2))
