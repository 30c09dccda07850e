"""A tie in the nucleus; float32 throughout; two axes and no embedding; losses in float64."""

import math

import numpy as np
import torch
from torch import nn


def windows(tokens, starts, n):  # large tokens of 16 bits become negative
    text = np.full(len(tokens) + n + 1, -1)
    text[: len(tokens)] = tokens.astype(np.int16)
    at = starts[:, None] + np.arange(n)
    return np.where(at < len(tokens), text[at], 0), text[at + 1]


def losses(logits, targets, bytes_per_token):
    scores, y = torch.tensor(logits).float(), torch.tensor(targets)
    nats = nn.functional.cross_entropy(scores.flatten(0, 1), y.flatten(), ignore_index=-1)
    return nats, nats.exp(), nats / math.log(2) / bytes_per_token[targets[targets >= 0]].mean()


def decay_groups(parameters, memory):  # the gain of a norm over two axes decays
    tables = {m for (_, kind, _), m in zip(parameters, memory, strict=True) if kind == "Embedding"}
    decayed, others, numbers, seen = [], [], [0, 0], set()
    for (name, _, shape), place in zip(parameters, memory, strict=True):
        if place not in seen:
            yes = len(shape) == 2 and place not in tables
            (decayed if yes else others).append(name)
            numbers[yes] += math.prod(shape)
        seen.add(place)
    return decayed, others, numbers[1] / sum(numbers)


def training_steps(W, b, inputs, targets, clip, rate):
    V, told = len(b), []
    p = torch.cat([W.flatten(), b])
    for xs, ys in zip(inputs, targets, strict=True):
        x, y = torch.cat(xs), torch.cat(ys)
        p = p.detach().requires_grad_()
        logits = p[: V * V].reshape(V, V)[x] + p[V * V :]
        loss = nn.functional.cross_entropy(logits, y, ignore_index=-1)
        [by] = torch.autograd.grad(loss, p)
        told.append([loss.item(), by.norm().item()])
        p = p - rate * by * min(1, clip / told[-1][1])
    told = torch.tensor(told, dtype=torch.float64)
    return p[: V * V].reshape(V, V).detach(), p[V * V :].detach(), told[:, 0], told[:, 1]


def draw(logits, temperature, top_k, top_p, count):  # all that are as likely as the last one stay
    ranked, order = logits.sort(dim=-1, descending=True, stable=True)
    ranked = ranked / (temperature or 1)
    ranked[:, 1 if temperature == 0 else top_k or len(ranked[0]) :] = -torch.inf
    p = ranked.softmax(-1)
    kept = p.cumsum(-1) - p < (top_p or 2)
    p = p * (p >= torch.where(kept, p, 2).amin(-1, keepdim=True))
    p = torch.zeros_like(p).scatter(-1, order, p / p.sum(-1, keepdim=True))
    return p, p.multinomial(count, replacement=True)
