"""A 1 for each neighbour; sums in place of means."""

import numpy as np
import torch


def nearest_weights(queries, keys, mask, k):
    allowed = mask[..., None, :]
    squares = ((queries[..., :, None, :] - keys[..., None, :, :]) ** 2).sum(axis=-1)
    squares = np.where(allowed, squares, np.inf)
    near = (squares <= np.sort(squares, axis=-1)[..., k - 1 : k]) & allowed
    return near.astype(queries.dtype)


def leave_one_out_loss(keys, values, log_bandwidths):
    scaled = keys / log_bandwidths.exp()
    scores = -(scaled[:, :, None] - scaled[:, None]).square().sum(-1) / 2
    scores.diagonal(dim1=1, dim2=2).fill_(-torch.inf)
    return (scores.softmax(-1) @ values - values).square().sum(dim=2).mean(dim=1)
