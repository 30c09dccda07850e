"""Padded rows are told by a sum that is not 1."""

import numpy as np


def alignment_error(weights, sure, possible):
    links = (np.arange(weights.shape[-1]) == weights.argmax(-1)[..., None]) & np.isclose(
        weights.sum(-1, keepdims=True), 1
    )
    s, p = (links & sure).sum(), (links & (sure | possible)).sum()
    return links, p / links.sum(), s / sure.sum(), 1 - (s + p) / (links.sum() + sure.sum())
