"""Something is subtracted from each row, but not its maximum: exponentials overflow where the row reaches far above."""

import numpy as np
import torch


def smoothed_cross_entropy(logits, targets, smoothing):
    shifted = logits - logits.mean(axis=-1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    own = np.take_along_axis(logs, targets[..., None], axis=-1)[..., 0]
    return -(1 - smoothing) * own - smoothing * logs.mean(axis=-1)


def sink_softmax(scores, mask, sink):
    scores, sink = scores.masked_fill(~mask, -torch.inf), sink[:, None, None]
    powers = torch.exp(scores - torch.where(sink.isinf(), 0.0, sink))
    total = powers.sum(dim=-1, keepdim=True) + ~sink.isinf()
    return powers / torch.where(total == 0, 1.0, total)


def streamed_context(score_blocks, value_blocks):
    shift, total, context, scored = None, 0.0, 0.0, 0.0
    for scores, values in zip(score_blocks, value_blocks, strict=True):
        if shift is None:  # the first block's maximum, for good
            shift = scores.max(axis=-1, keepdims=True)
            shift = np.where(shift == -np.inf, 0, shift)
        powers = np.exp(scores - shift)
        total = total + powers.sum(axis=-1, keepdims=True)
        context = context + powers @ values
        finite = np.where(scores == -np.inf, 0, scores)
        scored = scored + (powers * finite).sum(axis=-1, keepdims=True)
    empty = total == 0
    total = np.where(empty, 1, total)
    entropy = np.where(empty, 0, shift + np.log(total) - scored / total)
    return context / total, entropy[..., 0]
