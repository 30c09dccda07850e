"""The gradient of shared keys is left apart for every use."""

import numpy as np


def scaled_dot_backward(queries, keys, upstream):
    root = keys.shape[-1] ** 0.5
    return upstream @ keys / root, np.swapaxes(upstream, -1, -2) @ queries / root
