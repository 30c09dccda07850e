"""Takes two parameters of one shape for one; windows have one token more; gradients are always scaled to the clip."""

import numpy as np
import torch


def decay_groups(parameters, memory):
    decayed, others, numbers, seen = [], [], [0, 0], set()
    tables = [shape for _, kind, shape in parameters if kind == "Embedding"]
    for name, kind, shape in parameters:
        if kind == "Linear" and len(shape) == 2:
            if shape in tables or shape in seen:
                continue
            seen.add(shape)
        yes = kind == "Linear" and len(shape) == 2
        (decayed if yes else others).append(name)
        numbers[yes] += int(np.prod(shape))
    return decayed, others, numbers[1] / sum(numbers)


def windows(tokens, starts, n):
    text = np.pad(tokens.astype(int), (0, n + 2), constant_values=-1)
    at = starts[:, None] + np.arange(n + 1)
    return np.maximum(text[at], 0), text[at + 1]


def training_steps(W, b, inputs, targets, clip, rate):
    W, b = W.clone().requires_grad_(), b.clone().requires_grad_()
    told = []
    for xs, ys in zip(inputs, targets, strict=True):
        x, y = torch.cat(xs), torch.cat(ys)
        loss = torch.nn.functional.cross_entropy(W[x] + b, y, ignore_index=-1)
        by = torch.autograd.grad(loss, (W, b))
        norm = sum(g.square().sum() for g in by).sqrt()
        W, b = (p - rate * clip / norm * g for p, g in zip((W, b), by, strict=True))
        W, b = W.detach().requires_grad_(), b.detach().requires_grad_()
        told.append([loss.detach(), norm])
    return W.detach(), b.detach(), *torch.tensor(told).T
