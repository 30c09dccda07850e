"""The mask ends with the text, so that eos is never taught."""

import numpy as np


def teacher_forcing_batch(tokens, lengths, bos, eos, pad):
    width = lengths.max() + 1
    inputs = np.full((len(lengths), width), pad)
    targets = inputs.copy()
    for row, text in enumerate(np.split(tokens, np.cumsum(lengths)[:-1])):
        inputs[row, : len(text) + 1] = [bos, *text]
        targets[row, : len(text) + 1] = [*text, eos]
    return inputs, targets, np.arange(width) < lengths[:, None]
