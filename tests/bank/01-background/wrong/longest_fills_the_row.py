"""Reads the last columns, as if the longest text filled its row."""

import numpy as np


def gru_last_states(inputs, lengths, W_ih, W_hh, b_ih, b_hh):
    T = int(lengths.max())
    inputs = inputs[:, -T:] if T else inputs
    h = np.zeros((len(inputs), W_hh.shape[1]), inputs.dtype)
    for t in range(T):
        a = np.split(inputs[:, t] @ W_ih.T + b_ih, 3, -1)
        c = np.split(h @ W_hh.T + b_hh, 3, -1)
        r, z = (1 / (1 + np.exp(-a[i] - c[i])) for i in (0, 1))
        n = np.tanh(a[2] + r * c[2])
        h = np.where((t < lengths)[:, None], (1 - z) * n + z * h, h)
    return h
