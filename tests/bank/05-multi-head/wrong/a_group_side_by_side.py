"""The layout of another model: each key head beside its query heads."""

import numpy as np


def unpack_heads(packed, heads, groups):
    *leading, n, _ = packed.shape
    each = packed.reshape(*leading, n, groups, heads // groups + 2, -1)
    queries = each[..., :-2, :].reshape(*leading, n, heads, -1)
    return tuple(np.swapaxes(x, -3, -2) for x in (queries, each[..., -2, :], each[..., -1, :]))
