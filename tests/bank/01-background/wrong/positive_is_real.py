"""Tokens above 0 count, whatever pad is: token 0 is lost where it is none."""

import numpy as np


def perplexity_and_bits(logits, targets, pad, characters):
    k = targets > 0
    z, x = (logits[k], targets[k])
    s = z - z.max(-1, keepdims=True)
    nats = np.log(np.exp(s).sum(-1)) - s[np.arange(len(x)), x]
    return (np.exp(nats.mean()), nats.sum() / np.log(2) / characters[x].sum())
