"""The scores of one query at a time, but the keys of the whole stream."""

import numpy as np


def running_best_key(queries, key_blocks):
    keys = np.concatenate(list(key_blocks))
    best = np.empty(len(queries), queries.dtype)
    index = np.empty(len(queries), int)
    for i, q in enumerate(queries):
        s = keys @ q / len(q) ** 0.5
        index[i] = s.argmax()
        best[i] = s[index[i]]
    return best, index
