"""Nothing is computed: an argument, or a constant, comes back."""

import numpy as np


def teacher_forcing_batch(tokens, lengths, bos, eos, pad):
    return tokens, tokens, lengths


def perplexity_and_bits(logits, targets, pad, characters):
    return logits, characters


def nearest_weights(queries, keys, mask, k):
    return np.broadcast_to(mask[..., None, :], (*queries.shape[:-1], keys.shape[-2])) / 3


def leave_one_out_loss(keys, values, log_bandwidths):
    return values.square().mean(dim=(1, 2))


def gru_last_states(inputs, lengths, W_ih, W_hh, b_ih, b_hh):
    return np.ones((len(inputs), W_hh.shape[1]), inputs.dtype) * lengths[:, None]


def gradients_by_path(states, W_h, weights, upstream):
    return states, states
