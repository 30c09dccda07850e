"""The decoder starts from the text's first token."""

import numpy as np


def teacher_forcing_batch(tokens, lengths, bos, eos, pad):
    width = lengths.max() + 1
    inputs = np.full((len(lengths), width), pad)
    targets = inputs.copy()
    for row, text in enumerate(np.split(tokens, np.cumsum(lengths)[:-1])):
        inputs[row, : len(text)] = text
        targets[row, : len(text)] = [*text[1:], eos][: len(text)]
    return inputs, targets, np.arange(width) < lengths[:, None]
