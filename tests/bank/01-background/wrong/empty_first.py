"""An empty text that comes first is given a token of the next one."""

import numpy as np


def teacher_forcing_batch(tokens, lengths, bos, eos, pad):
    w = lengths.max() + 1
    i = np.full((len(lengths), w), pad)
    o = i.copy()
    start = 0
    for r, n in enumerate(lengths):
        t = tokens[start : start + n] if r else tokens[: max(n, 1)]
        i[r, : len(t) + 1] = [bos, *t]
        o[r, : len(t) + 1] = [*t, eos]
        start += n
    return (i, o, np.arange(w) <= lengths[:, None])
