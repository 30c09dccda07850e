"""One step, one key or one token too many or too few."""

import numpy as np
import torch


def padded_attention(queries, keys, values, lengths):
    real = np.arange(keys.shape[-2]) <= lengths.reshape(-1, *[1] * (keys.ndim - 1))
    keys, values = (np.where(real.swapaxes(-1, -2), part, 0) for part in (keys, values))
    scores = np.where(real, queries @ keys.swapaxes(-1, -2) / keys.shape[-1] ** 0.5, -np.inf)
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights = shares / shares.sum(axis=-1, keepdims=True)
    return weights @ values, weights


def coverage_attention(queries, keys, W_q, W_k, w_c, w):
    coverage, last, steps = torch.zeros_like(keys[..., 0]), 0, []
    for query in queries.unbind(dim=1):
        hidden = (query @ W_q)[:, None] + keys @ W_k + coverage[..., None] * w_c
        steps.append(torch.softmax(torch.tanh(hidden) @ w, dim=-1))
        coverage, last = coverage + last, steps[-1]
    return torch.stack(steps, dim=1)


def beam_search(log_probs, start, end, width, limit, alpha):
    beam, ended = [(0.0, [])], []
    for _ in range(limit - 1):
        longer = [
            (total + float(log_p), [*tokens, token])
            for total, tokens in beam
            for token, log_p in enumerate(log_probs[tokens[-1] if tokens else start])
            if log_p > -np.inf
        ]
        kept = sorted(longer, key=lambda c: (-c[0], c[1]))[:width]
        ended += [c for c in kept if c[1][-1] == end]
        beam = [c for c in kept if c[1][-1] != end]
    results = [(tokens, total / ((5 + len(tokens)) / 6) ** alpha) for total, tokens in ended]
    return sorted(results, key=lambda r: (-r[1], r[0]))[:width]


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
        inputs = torch.nn.functional.pad(targets, (1, 0), value=self.start)
        for embedded in self.embedding(inputs).unbind(dim=1):
            hidden = self.cell(torch.cat([embedded, fed], dim=-1), hidden)
            scores = (memory @ (hidden @ self.W)[..., None])[..., 0]
            weights = scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)
            context = (weights[:, None] @ memory)[:, 0]
            fed = torch.tanh(self.mix(torch.cat([context, hidden], dim=-1)))
            logits.append(self.output(fed))
        return torch.stack(logits, dim=1)
