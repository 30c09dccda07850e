"""Right results, but the arguments are not what they were."""

import numpy as np
import torch


def padded_attention(queries, keys, values, lengths):
    real = np.arange(keys.shape[-2]) < lengths.reshape(-1, *[1] * (keys.ndim - 1))
    keys[:] = np.where(real.swapaxes(-1, -2), keys, 0)
    values[:] = np.where(real.swapaxes(-1, -2), values, 0)
    scores = np.where(real, queries @ keys.swapaxes(-1, -2) / keys.shape[-1] ** 0.5, -np.inf)
    top = scores.max(axis=-1, keepdims=True)
    shares = np.exp(scores - np.where(np.isfinite(top), top, 0))
    total = shares.sum(axis=-1, keepdims=True)
    weights = shares / np.where(total > 0, total, 1)
    return weights @ values, weights


def alignment_error(weights, sure, possible):
    links = (np.arange(weights.shape[-1]) == weights.argmax(axis=-1)[..., None]) & (weights > 0)
    possible |= sure
    in_sure, in_possible = (links & sure).sum(), (links & possible).sum()
    error = 1 - (in_sure + in_possible) / (links.sum() + sure.sum())
    weights[~links] = 0
    return links, in_possible / links.sum(), in_sure / sure.sum(), error


def coverage_attention(queries, keys, W_q, W_k, w_c, w):
    coverage, steps = torch.zeros_like(keys[..., 0]), []
    for query in queries.unbind(dim=1):
        hidden = (query @ W_q)[:, None] + keys @ W_k + coverage[..., None] * w_c
        steps.append(torch.softmax(torch.tanh(hidden) @ w, dim=-1))
        coverage = coverage + steps[-1]
    queries.data.zero_()
    return torch.stack(steps, dim=1)


def memory_backward(queries, memory, W, mask, upstream):
    weights = np.exp(queries @ W @ memory.swapaxes(-1, -2)) * mask[:, None]
    total = weights.sum(axis=-1, keepdims=True)
    weights = weights / np.where(total > 0, total, 1)
    d_weights = upstream @ memory.swapaxes(-1, -2)
    d_scores = weights * (d_weights - (weights * d_weights).sum(axis=-1, keepdims=True))
    d_projected = d_scores @ memory
    d_memory = weights.swapaxes(-1, -2) @ upstream + d_scores.swapaxes(-1, -2) @ (queries @ W)
    d_W = (queries.swapaxes(-1, -2) @ d_projected).sum(axis=0)
    memory += d_memory
    return d_projected @ W.T, d_memory, d_W


def beam_search(log_probs, start, end, width, limit, alpha):
    beam, ended = [(0.0, [])], []
    log_probs[~np.isfinite(log_probs)] = -1e9
    log_probs[end, end] = -1e9
    for _ in range(limit):
        longer = [
            (total + float(log_p), [*tokens, token])
            for total, tokens in beam
            for token, log_p in enumerate(log_probs[tokens[-1] if tokens else start])
            if log_p > -1e8
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
        following = targets.clone()
        targets[:, 1:] = following[:, :-1]
        targets[:, 0] = self.start
        for embedded in self.embedding(targets).unbind(dim=1):
            hidden = self.cell(torch.cat([embedded, fed], dim=-1), hidden)
            scores = (memory @ (hidden @ self.W)[..., None])[..., 0]
            weights = scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)
            context = (weights[:, None] @ memory)[:, 0]
            fed = torch.tanh(self.mix(torch.cat([context, hidden], dim=-1)))
            logits.append(self.output(fed))
        return torch.stack(logits, dim=1)
