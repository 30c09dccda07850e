"""Ready for padding below 0, not for padding above the vocabulary."""

import numpy as np


def perplexity_and_bits(logits, targets, pad, characters):
    k = targets != pad
    x = np.maximum(targets, 0)
    characters[x]
    s = logits - logits.max(-1, keepdims=True)
    nats = np.log(np.exp(s).sum(-1)) - np.take_along_axis(s, x[..., None], -1)[..., 0]
    nats = np.where(k, nats, 0)
    n = k.sum()
    return (np.exp(nats.sum() / n), nats.sum() / np.log(2) / np.where(k, characters[x], 0).sum())
