"""The same, through another door."""

import torch
from torch.func import vjp as pull_back


def memory_backward(queries, memory, W, mask, upstream):
    real = torch.tensor(mask)[:, None]

    def context(q, h, W):
        return (torch.softmax((q @ W @ h.mT).masked_fill(~real, -1e30), dim=-1) * real) @ h

    _, pull = pull_back(context, *map(torch.tensor, (queries, memory, W)))
    return tuple(part.numpy() for part in pull(torch.tensor(upstream)))
