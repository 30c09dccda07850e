"""The mean surprise is called perplexity."""

import numpy as np


def perplexity_and_bits(logits, targets, pad, characters):
    z, x = logits[targets != pad], targets[targets != pad]
    z = z - z.max(axis=-1, keepdims=True)
    surprise = np.log(np.exp(z).sum(axis=-1)) - z[np.arange(len(x)), x]
    return surprise.mean(), surprise.sum() / np.log(2) / characters[x].sum()
