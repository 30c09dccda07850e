"""The softmax first, its logarithm second: a probability that rounds to 0 has none."""

import numpy as np


def perplexity_and_bits(logits, targets, pad, characters):
    z, x = logits[targets != pad], targets[targets != pad]
    exponentials = np.exp(z - z.max(axis=-1, keepdims=True))
    p = (exponentials / exponentials.sum(axis=-1, keepdims=True))[np.arange(len(x)), x]
    surprise = -np.log(p)
    return np.exp(surprise.mean()), surprise.sum() / np.log(2) / characters[x].sum()
