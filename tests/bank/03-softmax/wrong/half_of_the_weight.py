"""The key with more than half of the weight is read: often there is none."""

import torch


def straight_through_sample(scores, gumbel, tau, mask):
    soft = torch.softmax(((scores + gumbel) / tau).masked_fill(~mask, -torch.inf), dim=-1)
    hard = (soft > 0.5).to(soft.dtype)
    return hard + soft - soft.detach()
