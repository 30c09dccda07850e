"""Whoever is at the same place is taken for the example itself."""

import torch


def leave_one_out_loss(keys, values, log_bandwidths):
    x = keys / log_bandwidths.exp()
    s = -(x[:, :, None] - x[:, None]).square().sum(-1) / 2
    s = s.masked_fill(s == 0, -torch.inf)
    return (s.softmax(-1) @ values - values).square().mean(dim=(1, 2))
