"""The forward pass is right; the backward pass is that of other weights."""

import torch


def sink_softmax(scores, mask, sink):
    column = sink.detach()[:, None, None].expand(*scores.shape[:-1], 1)
    logits = torch.cat([scores.masked_fill(~mask, -torch.inf), column], dim=-1)
    empty = (logits == -torch.inf).all(dim=-1, keepdim=True)
    return torch.softmax(logits.masked_fill(empty, 0), dim=-1).masked_fill(empty, 0)[..., :-1]


def straight_through_sample(scores, gumbel, tau, mask):
    """The page's line: backward through the weights without the noise."""
    soft = torch.softmax((scores / tau).masked_fill(~mask, -torch.inf), dim=-1)
    best = (scores + gumbel).masked_fill(~mask, -torch.inf).argmax(dim=-1, keepdim=True)
    return torch.zeros_like(soft).scatter(-1, best, 1.0) + soft - soft.detach()
