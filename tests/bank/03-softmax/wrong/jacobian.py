"""Right values through the (m, m) Jacobian of every row."""

import numpy as np


def tempered_softmax_backward(weights, temperature, upstream):
    eye = np.eye(weights.shape[-1])
    jacobians = weights[..., :, None] * (eye - weights[..., None, :])
    d_scores = (jacobians @ upstream[..., None])[..., 0] / temperature[:, None, None]
    d_scores = d_scores.astype(weights.dtype)
    d_rows = -(d_scores * np.log(np.where(weights > 0, weights, 1))).sum(axis=(-1, -2))
    return d_scores, d_rows.sum(axis=tuple(range(d_rows.ndim - 1)))
