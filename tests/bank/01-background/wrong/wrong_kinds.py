"""Right numbers: whole ones as floats, truth values as 0 and 1; scores in float64 for what came as float32."""

import numpy as np


def teacher_forcing_batch(tokens, lengths, bos, eos, pad):
    width = lengths.max() + 1
    inputs = np.zeros((len(lengths), width)) + pad
    targets = inputs.copy()
    for row, text in enumerate(np.split(tokens, np.cumsum(lengths)[:-1])):
        inputs[row, : len(text) + 1] = [bos, *text]
        targets[row, : len(text) + 1] = [*text, eos]
    return inputs, targets, (np.arange(width) <= lengths[:, None]).astype(int)


def nearest_weights(queries, keys, mask, k):
    allowed = mask[..., None, :]
    squares = ((queries[..., :, None, :] - keys[..., None, :, :]) ** 2).sum(axis=-1)
    squares = np.where(allowed, squares, np.inf)
    near = (squares <= np.sort(squares, axis=-1)[..., k - 1 : k]) & allowed
    return near / np.maximum(near.sum(axis=-1, keepdims=True), 1)


def gru_last_states(inputs, lengths, W_ih, W_hh, b_ih, b_hh):
    h = np.zeros((len(inputs), W_hh.shape[1]))
    for t in range(inputs.shape[1]):
        a_r, a_z, a_n = np.split(inputs[:, t] @ W_ih.T + b_ih, 3, axis=-1)
        c_r, c_z, c_n = np.split(h @ W_hh.T + b_hh, 3, axis=-1)
        r, z = 1 / (1 + np.exp(-a_r - c_r)), 1 / (1 + np.exp(-a_z - c_z))
        n = np.tanh(a_n + r * c_n)
        h = np.where((t < lengths)[:, None], (1 - z) * n + z * h, h)
    return h


def gradients_by_path(states, W_h, weights, upstream):
    direct = weights[:, :, None] * upstream[:, None].astype(float)
    total = direct.copy()
    for t in range(states.shape[1] - 2, -1, -1):
        total[:, t] += total[:, t + 1] * (1 - states[:, t + 1] ** 2) @ W_h.T
    return direct, total


def leave_one_out_loss(keys, values, log_bandwidths):
    scaled = keys.double() / log_bandwidths.double().exp()
    scores = -(scaled[:, :, None] - scaled[:, None]).square().sum(-1) / 2
    scores.diagonal(dim1=1, dim2=2).fill_(-np.inf)
    return (scores.softmax(-1) @ values.double() - values.double()).square().mean(dim=(1, 2))
