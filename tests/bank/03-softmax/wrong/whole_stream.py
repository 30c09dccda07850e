"""Right values, but the scores of the whole stream are kept."""

import numpy as np


def streamed_context(score_blocks, value_blocks):
    pairs = list(zip(score_blocks, value_blocks, strict=True))
    scores = np.concatenate([scores for scores, _ in pairs], axis=-1)
    values = np.concatenate([values for _, values in pairs], axis=-2)
    top = scores.max(axis=-1, keepdims=True)
    powers = np.exp(scores - np.where(top == -np.inf, 0, top))
    total = powers.sum(axis=-1, keepdims=True)
    weights = powers / np.where(total == 0, 1, total)
    logs = np.log(np.where(weights > 0, weights, 1))
    return weights @ values, -(weights * logs).sum(axis=-1)
