"""Twenty halvings: four digits."""

import numpy as np


def temperature_for(scores, effective_keys):
    low, high = np.full_like(effective_keys, 1e-2), np.full_like(effective_keys, 1e3)
    scores = scores - scores.max(axis=-1, keepdims=True)
    for _ in range(20):
        middle = (low + high) / 2
        weights = np.exp(scores / middle[..., None])
        weights = weights / weights.sum(axis=-1, keepdims=True)
        entropy = -(weights * np.log(np.where(weights > 0, weights, 1))).sum(axis=-1)
        cold = entropy < np.log(effective_keys)
        low, high = np.where(cold, middle, low), np.where(cold, high, middle)
    return middle
