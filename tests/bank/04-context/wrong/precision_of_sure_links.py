"""The precision counts sure links only."""

import numpy as np


def alignment_error(weights, sure, possible):
    links = (np.arange(weights.shape[-1]) == weights.argmax(axis=-1)[..., None]) & (weights > 0)
    in_sure, in_possible = (links & sure).sum(), (links & (possible | sure)).sum()
    error = 1 - (in_sure + in_possible) / (links.sum() + sure.sum())
    return links, in_sure / links.sum(), in_sure / sure.sum(), error
