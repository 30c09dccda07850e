"""A link that is marked as sure and as possible is counted twice."""

import numpy as np


def alignment_error(weights, sure, possible):
    links = (np.arange(weights.shape[-1]) == weights.argmax(-1)[..., None]) & (weights > 0)
    s, p = (links & sure).sum(), (links & sure).sum() + (links & possible).sum()
    return links, p / links.sum(), s / sure.sum(), 1 - (s + p) / (links.sum() + sure.sum())
