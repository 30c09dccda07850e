"""The padding is looked up before it is left out, which an id outside the vocabulary does not survive."""

import numpy as np


def perplexity_and_bits(logits, targets, pad, characters):
    counted = targets != pad
    shifted = logits - logits.max(axis=-1, keepdims=True)
    chosen = np.take_along_axis(shifted, targets[..., None], axis=-1)[..., 0]
    surprise = (np.log(np.exp(shifted).sum(axis=-1)) - chosen)[counted]
    return np.exp(surprise.mean()), surprise.sum() / np.log(2) / characters[targets[counted]].sum()
