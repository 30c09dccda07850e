"""The perplexity is right everywhere; the bits come from a probability with a small number added."""

import numpy as np


def perplexity_and_bits(logits, targets, pad, characters):
    k = targets != pad
    z, x = (logits[k], targets[k])
    s = z - z.max(-1, keepdims=True)
    nats = np.log(np.exp(s).sum(-1)) - s[np.arange(len(x)), x]
    p = np.exp(-nats)
    return (np.exp(nats.mean()), -np.log2(p + 1e-12).sum() / characters[x].sum())
