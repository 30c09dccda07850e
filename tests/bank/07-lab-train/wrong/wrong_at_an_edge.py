"""Right but for an edge that the statement names."""

import numpy as np
import torch


def windows(tokens, starts, n):  # a window over the end is moved back
    starts = np.minimum(starts, len(tokens) - n - 1)
    text = np.pad(tokens.astype(int), (0, 1), constant_values=-1)
    at = starts[:, None] + np.arange(n)
    return text[at], text[at + 1]


def losses(logits, targets, bytes_per_token):  # every example must have a target
    total = 0.0
    for scores, row in zip(
        logits.astype(np.result_type(logits.dtype, np.float32)), targets, strict=True
    ):
        scores, row = scores[row >= 0], row[row >= 0]
        scores = scores - scores.max()
        own = scores[np.arange(len(row)), row]
        total = total + (np.log(np.exp(scores).sum(-1)) - own).sum() / len(row) * len(row)
    ok = targets[targets >= 0]
    nats = total / len(ok)
    return nats, np.exp(nats), nats / np.log(2) / bytes_per_token[ok].mean()


def learning_rate(step, steps, warmup, highest, lowest):  # a warm-up there must be
    t = np.clip((step + 1 - warmup) / (steps - warmup), 0, 1)
    fall = lowest + (highest - lowest) * (1 + np.cos(np.pi * t)) / 2
    return np.where(step < warmup, highest * (step + 1) / [warmup][warmup == 0], fall)


def decay_groups(parameters, memory):  # the embedding must come first
    decayed, others, numbers, seen = [], [], [0, 0], set()
    for (name, kind, shape), place in zip(parameters, memory.tolist(), strict=True):
        if place not in seen:
            yes = kind == "Linear" and len(shape) == 2
            (decayed if yes else others).append(name)
            numbers[yes] += int(np.prod(shape))
        seen.add(place)
    return decayed, others, numbers[1] / sum(numbers)


def training_steps(W, b, inputs, targets, clip, rate):  # every micro-batch must have a target
    W, b = W.clone().requires_grad_(), b.clone().requires_grad_()
    told = []
    for xs, ys in zip(inputs, targets, strict=True):
        W.grad = b.grad = None
        loss, count = 0, sum(int((y >= 0).sum()) for y in ys)
        for x, y in zip(xs, ys, strict=True):
            mean = torch.nn.functional.cross_entropy(W[x] + b, y, ignore_index=-1)
            loss = loss + mean * int((y >= 0).sum()) / count
        loss.backward()
        told.append([loss.detach(), torch.nn.utils.clip_grad_norm_([W, b], clip)])
        with torch.no_grad():
            W -= rate * W.grad
            b -= rate * b.grad
    return W.detach(), b.detach(), *torch.tensor(told).T


def draw(logits, temperature, top_k, top_p, count):  # temperature 0 is temperature 1
    ranked, order = logits.sort(dim=-1, descending=True, stable=True)
    ranked = ranked / (temperature or 1)
    ranked[:, top_k or len(ranked[0]) :] = -torch.inf
    p = ranked.softmax(-1)
    p = p.masked_fill(p.cumsum(-1) - p >= (top_p or 2), 0)
    p = torch.zeros_like(p).scatter(-1, order, p / p.sum(-1, keepdim=True))
    return p, p.multinomial(count, replacement=True)
