"""As few lines as possible."""

from functools import reduce

import numpy as np
import torch
from torch.nn import functional


def softmax(scores, real):
    top = np.max(scores, axis=-1, keepdims=True, where=real, initial=-1e30)
    shares = np.where(real, np.exp(np.minimum(scores - top, 0)), 0).astype(scores.dtype)
    return shares / np.maximum(shares.sum(-1, keepdims=True), np.finfo(scores.dtype).tiny)


def padded_attention(queries, keys, values, lengths):
    real = np.arange(keys.shape[-2]) < lengths[(..., *[None] * (keys.ndim - 1))]
    k, v = (np.where(real.swapaxes(-1, -2), part, part.dtype.type(0)) for part in (keys, values))
    weights = softmax(queries @ k.swapaxes(-1, -2) * queries.shape[-1] ** -0.5, real)
    return weights @ v, weights


def alignment_error(weights, sure, possible):
    first = np.cumsum(weights == weights.max(-1, keepdims=True), -1) == 1
    links = first & (weights == weights.max(-1, keepdims=True)) & (weights > 0)
    a, s, hit, near = (x.sum() for x in (links, sure, links & sure, links & (sure | possible)))
    return links, near / a, hit / s, 1 - (hit + near) / (a + s)


def coverage_attention(queries, keys, W_q, W_k, w_c, w):
    def step(rows, query):
        inside = query[:, None] + keys @ W_k + sum(rows, 0 * keys[..., 0])[..., None] * w_c
        return [*rows, (inside.tanh() @ w).softmax(-1)]

    return torch.stack(reduce(step, (queries @ W_q).unbind(1), []), 1)


def memory_backward(queries, memory, W, mask, upstream):
    a = softmax(queries @ W @ memory.swapaxes(1, 2), mask[:, None])
    s = a * (upstream @ memory.swapaxes(1, 2) - (upstream * (a @ memory)).sum(-1, keepdims=True))
    d_memory = a.swapaxes(1, 2) @ upstream + s.swapaxes(1, 2) @ queries @ W
    return s @ memory @ W.T, d_memory, np.tensordot(queries, s @ memory, ((0, 1), (0, 1)))


def beam_search(log_probs, start, end, width, limit, alpha):
    live, done = [(0, [])], []
    for _ in range(limit):
        new = [(s - p, [*t, y]) for s, t in live for y, p in enumerate(log_probs[[start, *t][-1]])]
        kept = sorted(c for c in new if c[0] < np.inf)[:width]
        done, live = (
            done + [c for c in kept if c[1][-1] == end],
            [c for c in kept if c[1][-1] != end],
        )
    done = sorted((s / ((5 + len(t)) / 6) ** alpha, t) for s, t in done)
    return [[t, -s] for s, t in done[:width]]


class MendedDecoder(torch.nn.Module):
    def __init__(self, vocabulary, width, d_memory, start):
        super().__init__()
        self.embedding, self.start = torch.nn.Embedding(vocabulary, width), start
        self.cell, self.output = (
            torch.nn.GRUCell(2 * width, width),
            torch.nn.Linear(width, vocabulary),
        )
        self.mix = torch.nn.Linear(d_memory + width, width)
        self.W = torch.nn.Parameter(torch.empty(width, d_memory).normal_())

    def forward(self, targets, hidden, memory, mask):
        fed, logits, bias = torch.zeros_like(hidden), [], torch.where(mask, 0.0, -torch.inf)
        for x in self.embedding(functional.pad(targets, (1, -1), value=self.start)).unbind(1):
            hidden = self.cell(torch.cat([x, fed], 1), hidden)
            a = ((hidden @ self.W)[:, None] @ memory.mT + bias[:, None]).softmax(-1)
            fed = self.mix(torch.cat([(a @ memory)[:, 0], hidden], 1)).tanh()
            logits += [self.output(fed)]
        return torch.stack(logits, 1)
