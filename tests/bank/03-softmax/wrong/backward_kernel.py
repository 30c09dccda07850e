"""Right values, from PyTorch's own backward function of the softmax."""

import numpy as np
import torch


def tempered_softmax_backward(weights, temperature, upstream):
    a, g = torch.from_numpy(weights.copy()), torch.from_numpy(upstream.copy())
    d_scaled = torch._softmax_backward_data(g, a, -1, a.dtype).numpy()
    d_scores = d_scaled / temperature[:, None, None]
    d_rows = -(d_scores * np.log(np.where(weights > 0, weights, 1))).sum(axis=(-1, -2))
    return d_scores, d_rows.reshape(-1, len(temperature)).sum(axis=0)
