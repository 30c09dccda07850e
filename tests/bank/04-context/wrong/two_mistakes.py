"""Two misconceptions at once: points are lost, and neither of the two is named alone."""

import numpy as np
import torch


def padded_attention(queries, keys, values, lengths):
    scores = queries @ keys.swapaxes(-1, -2)
    real = np.arange(keys.shape[-2]) < lengths.reshape(-1, *[1] * (keys.ndim - 1))
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights = shares / shares.sum(axis=-1, keepdims=True) * real
    return weights @ values, weights


def alignment_error(weights, sure, possible):
    links = np.zeros(weights.shape, dtype=bool)
    np.put_along_axis(links, weights.argmax(axis=-1)[..., None], True, axis=-1)
    in_sure, in_possible = (links & sure).sum(), (links & possible).sum()
    error = 1 - (in_sure + in_possible) / (links.sum() + sure.sum())
    return links, in_possible / links.sum(), in_sure / sure.sum(), error


def coverage_attention(queries, keys, W_q, W_k, w_c, w):
    coverage, steps = torch.zeros_like(keys[..., 0]), []
    for query in queries.unbind(dim=1):
        hidden = torch.tanh((query @ W_q)[:, None] + keys @ W_k) - coverage[..., None] * w_c
        coverage = torch.softmax(hidden @ w, dim=-1)
        steps.append(coverage)
    return torch.stack(steps, dim=1)


def memory_backward(queries, memory, W, mask, upstream):
    weights = np.exp(queries @ W @ memory.swapaxes(-1, -2))
    weights = weights / weights.sum(axis=-1, keepdims=True)
    d_scores = weights * (upstream @ memory.swapaxes(-1, -2))
    d_projected = d_scores @ memory
    d_memory = weights.swapaxes(-1, -2) @ upstream
    return d_projected @ W.T, d_memory, (queries.swapaxes(-1, -2) @ d_projected).sum(axis=0)


def beam_search(log_probs, start, end, width, limit, alpha):
    beam, ended = [(0.0, [])], []
    for _ in range(limit):
        longer = [
            (total + float(log_p), [*tokens, token])
            for total, tokens in beam
            for token, log_p in enumerate(log_probs[tokens[-1] if tokens else start])
            if log_p > -np.inf
        ]
        kept = sorted(longer, key=lambda c: (-c[0], c[1]))[:width]
        ended += [c for c in kept if c[1][-1] == end]
        beam = kept
    results = [([start, *tokens], total / (len(tokens) + 1) ** alpha) for total, tokens in ended]
    return sorted(results, key=lambda r: (-r[1], r[0]))[:width]


class MendedDecoder(torch.nn.Module):
    def __init__(self, vocabulary, width, d_memory, start):
        super().__init__()
        self.embedding = torch.nn.Embedding(vocabulary, width)
        self.cell = torch.nn.GRUCell(2 * width, width)
        self.W = torch.nn.Parameter(torch.zeros(width, d_memory))
        self.mix = torch.nn.Linear(d_memory + width, width)
        self.output = torch.nn.Linear(width, vocabulary)

    def forward(self, targets, hidden, memory, mask):
        fed, logits = torch.zeros_like(hidden), []
        for embedded in self.embedding(targets).unbind(dim=1):
            hidden = self.cell(torch.cat([embedded, fed], dim=-1), hidden)
            scores = (memory @ (embedded @ self.W)[..., None])[..., 0]
            weights = scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)
            context = (weights[:, None] @ memory)[:, 0]
            fed = torch.tanh(self.mix(torch.cat([context, hidden], dim=-1)))
            logits.append(self.output(fed))
        return torch.stack(logits, dim=1)
