"""Right wherever a row sees at least one key; NaN, or equal weights, where it sees none."""

import numpy as np
import torch


def sink_softmax(scores, mask, sink):
    column = sink[:, None, None].expand(*scores.shape[:-1], 1)
    logits = torch.cat([scores.masked_fill(~mask, -torch.inf), column], dim=-1)
    return torch.softmax(logits, dim=-1)[..., :-1]


def streamed_context(score_blocks, value_blocks):
    largest, total, context, scored = -np.inf, 0.0, 0.0, 0.0
    for scores, values in zip(score_blocks, value_blocks, strict=True):
        new = np.maximum(largest, scores.max(axis=-1, keepdims=True))
        rescale, powers = np.exp(largest - new), np.exp(scores - new)
        total = rescale * total + powers.sum(axis=-1, keepdims=True)
        context = rescale * context + powers @ values
        finite = np.where(scores == -np.inf, 0, scores)
        scored = rescale * scored + (powers * finite).sum(axis=-1, keepdims=True)
        largest = new
    return context / total, (largest + np.log(total) - scored / total)[..., 0]


def attention_weights(scores, mask, temperature):
    scores = np.where(mask, scores / temperature, -np.inf)
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def tempered_softmax_backward(weights, temperature, upstream):
    total = weights.sum(axis=-1, keepdims=True)
    average = (weights * upstream).sum(axis=-1, keepdims=True) / total
    d_scores = weights * (upstream - average) / temperature[:, None, None]
    d_rows = -(d_scores * np.log(np.where(weights > 0, weights, 1))).sum(axis=(-1, -2))
    return d_scores, d_rows.sum(axis=tuple(range(d_rows.ndim - 1)))
