"""Right numbers, but lists instead of arrays."""

import numpy as np


def teacher_forcing_batch(tokens, lengths, bos, eos, pad):
    width = lengths.max() + 1
    texts = [t.tolist() for t in np.split(tokens, np.cumsum(lengths)[:-1])]
    inputs = [[bos, *t] + [pad] * (width - 1 - len(t)) for t in texts]
    targets = [[*t, eos] + [pad] * (width - 1 - len(t)) for t in texts]
    mask = [[c <= len(t) for c in range(width)] for t in texts]
    return inputs, targets, mask


def gradients_by_path(states, W_h, weights, upstream):
    direct = weights[:, :, None] * upstream[:, None]
    total = direct.copy()
    for t in range(states.shape[1] - 2, -1, -1):
        total[:, t] += total[:, t + 1] * (1 - states[:, t + 1] ** 2) @ W_h.T
    return direct.tolist(), total.tolist()
