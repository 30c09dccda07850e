"""Flattens with what fails, or mixes up axes, where memory is laid out in another way."""

import numpy as np
import torch


def padded_attention(queries, keys, values, lengths):
    n, m, d_v = queries.shape[-2], keys.shape[-2], values.shape[-1]
    between = queries.shape[:-2]
    q = np.frombuffer(np.require(queries).data.cast("B"), queries.dtype).reshape(
        -1, *queries.shape[-2:]
    )
    k, v = keys.reshape(-1, *keys.shape[-2:]), values.reshape(-1, m, d_v)
    lengths = np.repeat(lengths, len(q) // len(lengths))
    real = np.arange(m) < lengths[:, None, None]
    k, v = np.where(real.swapaxes(1, 2), k, 0), np.where(real.swapaxes(1, 2), v, 0)
    scores = np.where(real, q @ k.swapaxes(1, 2) / q.shape[-1] ** 0.5, -1e30)
    shares = np.where(real, np.exp(scores - scores.max(axis=-1, keepdims=True)), 0)
    shares = shares.astype(q.dtype) / np.maximum(shares.sum(axis=-1, keepdims=True), 1e-30).astype(
        q.dtype
    )
    return (shares @ v).reshape(*between, n, d_v), shares.reshape(*between, n, m)


def coverage_attention(queries, keys, W_q, W_k, w_c, w):
    batch, n, d_q = queries.shape
    asked = (queries.view(batch * n, d_q) @ W_q).view(batch, n, -1)
    coverage, steps = torch.zeros_like(keys[..., 0]), []
    for query in asked.unbind(dim=1):
        hidden = query[:, None] + keys @ W_k + coverage[..., None] * w_c
        steps.append(torch.softmax(torch.tanh(hidden) @ w, dim=-1))
        coverage = coverage + steps[-1]
    return torch.stack(steps, dim=1)


def alignment_error(weights, sure, possible):
    flat = np.ndarray(weights.shape, weights.dtype, weights.ravel(order="K").data)
    links = (np.arange(weights.shape[-1]) == flat.argmax(axis=-1)[..., None]) & (flat > 0)
    in_sure, in_possible = (links & sure).sum(), (links & (possible | sure)).sum()
    error = 1 - (in_sure + in_possible) / (links.sum() + sure.sum())
    return links, in_possible / links.sum(), in_sure / sure.sum(), error


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
        keys = (memory.view(-1, memory.shape[-1]) @ self.W.T).view(*memory.shape[:2], -1)
        inputs = torch.nn.functional.pad(targets[:, :-1], (1, 0), value=self.start)
        for embedded in self.embedding(inputs).unbind(dim=1):
            hidden = self.cell(torch.cat([embedded, fed], dim=-1), hidden)
            scores = (keys @ hidden[..., None])[..., 0]
            weights = scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)
            context = (weights[:, None] @ memory)[:, 0]
            fed = torch.tanh(self.mix(torch.cat([context, hidden], dim=-1)))
            logits.append(self.output(fed))
        return torch.stack(logits, dim=1)
