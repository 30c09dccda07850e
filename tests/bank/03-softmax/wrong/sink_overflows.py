"""The maximum is that of the scores: a sink far above overflows, which harms only its gradient."""

import torch


def sink_softmax(scores, mask, sink):
    scores = scores.masked_fill(~mask, -torch.inf)
    top = scores.detach().amax(dim=-1, keepdim=True)
    top = torch.where(top.isinf(), 0.0, top)
    powers = torch.exp(scores - top)
    total = powers.sum(dim=-1, keepdim=True) + torch.exp(sink[:, None, None] - top)
    return powers / torch.where(total == 0, 1.0, total)
