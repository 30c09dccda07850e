"""Every state is returned, and the choice left to others."""

import numpy as np


def gru_last_states(inputs, lengths, W_ih, W_hh, b_ih, b_hh):
    h = np.zeros((len(inputs), W_hh.shape[1]), inputs.dtype)
    states = []
    for t in range(inputs.shape[1]):
        a_r, a_z, a_n = np.split(inputs[:, t] @ W_ih.T + b_ih, 3, axis=-1)
        c_r, c_z, c_n = np.split(h @ W_hh.T + b_hh, 3, axis=-1)
        r, z = 1 / (1 + np.exp(-a_r - c_r)), 1 / (1 + np.exp(-a_z - c_z))
        n = np.tanh(a_n + r * c_n)
        h = np.where((t < lengths)[:, None], (1 - z) * n + z * h, h)
        states.append(h)
    return np.stack(states, axis=1)
