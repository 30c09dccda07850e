"""Axes of size 1 are lost, or an axis is summed away."""

import numpy as np
import torch


def padded_attention(queries, keys, values, lengths):
    real = np.arange(keys.shape[-2]) < lengths.reshape(-1, *[1] * (keys.ndim - 1))
    keys, values = (np.where(real.swapaxes(-1, -2), part, 0) for part in (keys, values))
    scores = np.where(real, queries @ keys.swapaxes(-1, -2) / keys.shape[-1] ** 0.5, -np.inf)
    top = scores.max(axis=-1, keepdims=True)
    shares = np.exp(scores - np.where(np.isfinite(top), top, 0))
    total = shares.sum(axis=-1, keepdims=True)
    weights = shares / np.where(total > 0, total, 1)
    return (weights @ values).squeeze(), weights.squeeze()


def alignment_error(weights, sure, possible):
    links = (np.arange(weights.shape[-1]) == weights.argmax(axis=-1)[..., None]) & (weights > 0)
    in_sure, in_possible = (links & sure).sum(), (links & (possible | sure)).sum()
    error = 1 - (in_sure + in_possible) / (links.sum() + sure.sum())
    return links.argmax(axis=-1), in_possible / links.sum(), in_sure / sure.sum(), error


def coverage_attention(queries, keys, W_q, W_k, w_c, w):
    coverage = torch.zeros_like(keys[..., 0])
    for query in queries.unbind(dim=1):
        hidden = (query @ W_q)[:, None] + keys @ W_k + coverage[..., None] * w_c
        weights = torch.softmax(torch.tanh(hidden) @ w, dim=-1)
        coverage = coverage + weights
    return weights


class MendedDecoder(torch.nn.Module):
    def __init__(self, vocabulary, width, d_memory, start):
        super().__init__()
        self.start = start
        self.embedding = torch.nn.Embedding(vocabulary, width)
        self.cell = torch.nn.GRUCell(2 * width, width)
        self.W = torch.nn.Parameter(torch.zeros(width, d_memory))
        self.mix = torch.nn.Linear(d_memory + width, width)
        self.output = torch.nn.Linear(width, vocabulary)

    def forward(self, targets, hidden, memory, mask):
        fed, logits = torch.zeros_like(hidden), []
        inputs = torch.nn.functional.pad(targets[:, :-1], (1, 0), value=self.start)
        for embedded in self.embedding(inputs).unbind(dim=1):
            hidden = self.cell(torch.cat([embedded, fed], dim=-1), hidden)
            scores = (memory @ (hidden @ self.W)[..., None]).squeeze()
            weights = scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)
            context = (weights[:, None] @ memory).squeeze()
            fed = torch.tanh(self.mix(torch.cat([context, hidden], dim=-1)))
            logits.append(self.output(fed))
        return torch.stack(logits, dim=1)
