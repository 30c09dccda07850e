"""Something of the right shape that answers nothing: arguments, constants, negative weights."""

import numpy as np


def smoothed_cross_entropy(logits, targets, smoothing):
    return targets


def temperature_for(scores, effective_keys):
    return np.ones_like(effective_keys)


def tempered_softmax_backward(weights, temperature, upstream):
    return upstream, temperature


def sink_softmax(scores, mask, sink):
    return scores


def straight_through_sample(scores, gumbel, tau, mask):
    return scores


def streamed_context(score_blocks, value_blocks):
    return next(score_blocks), next(value_blocks)


def attention_weights(scores, mask, temperature):
    ones = np.broadcast_to(mask, scores.shape).astype(scores.dtype)
    weights = ones * np.arange(-1, scores.shape[-1] - 1)
    return weights / np.where(
        weights.sum(-1, keepdims=True) == 0, 1, weights.sum(-1, keepdims=True)
    )
