"""The distance with its root, squared again: on the diagonal the root has no derivative."""

import torch


def leave_one_out_loss(keys, values, log_bandwidths):
    scaled = keys / log_bandwidths.exp()
    distances = (scaled[:, :, None] - scaled[:, None]).square().sum(-1).sqrt()
    own = torch.eye(keys.shape[1], dtype=torch.bool)
    weights = (-distances.square() / 2).masked_fill(own, -torch.inf).softmax(-1)
    return (weights @ values - values).square().mean(dim=(1, 2))
