"""Works in place, on copies of its own."""

import numpy as np
import torch


def padded_attention(queries, keys, values, lengths):
    keys, values = keys.copy(), values.copy()
    for example, length in enumerate(lengths):
        keys[example, ..., length:, :] = 0
        values[example, ..., length:, :] = 0
    scores = queries @ np.swapaxes(keys, -1, -2)
    scores /= scores.dtype.type(keys.shape[-1]) ** scores.dtype.type(0.5)
    for example, length in enumerate(lengths):
        scores[example, ..., length:] = -np.inf
        if length:
            scores[example] -= scores[example].max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores[lengths > 0] /= scores[lengths > 0].sum(axis=-1, keepdims=True)
    return scores @ values, scores


def alignment_error(weights, sure, possible):
    links = np.zeros_like(weights, dtype=bool)
    rows = np.nonzero(weights.any(axis=-1))
    links[(*rows, weights[rows].argmax(axis=-1))] = True
    possible = possible.copy()
    possible |= sure
    made, wanted = np.count_nonzero(links), np.count_nonzero(sure)
    in_sure, in_possible = np.count_nonzero(links & sure), np.count_nonzero(links & possible)
    return (
        links,
        in_possible / made,
        in_sure / wanted,
        1 - (in_sure + in_possible) / (made + wanted),
    )


def coverage_attention(queries, keys, W_q, W_k, w_c, w):
    weights = torch.zeros(queries.shape[0], queries.shape[1], keys.shape[1], dtype=keys.dtype)
    offered = keys @ W_k
    for t in range(queries.shape[1]):
        inside = offered + (queries[:, t] @ W_q)[:, None]
        inside += weights[:, :t].clone().sum(dim=1)[..., None] * w_c
        weights[:, t] = torch.softmax(torch.tanh(inside) @ w, dim=-1)
    return weights


def memory_backward(queries, memory, W, mask, upstream):
    asked = queries @ W
    weights = asked @ memory.transpose(0, 2, 1)
    weights -= weights.max(axis=-1, keepdims=True)
    np.exp(weights, out=weights)
    weights *= mask[:, None]
    total = weights.sum(axis=-1, keepdims=True)
    total[total == 0] = 1
    weights /= total
    d_memory = weights.transpose(0, 2, 1) @ upstream
    d_scores = upstream @ memory.transpose(0, 2, 1)
    d_scores -= (weights * d_scores).sum(axis=-1, keepdims=True)
    d_scores *= weights
    d_memory += d_scores.transpose(0, 2, 1) @ asked
    d_asked = d_scores @ memory
    d_W = np.zeros_like(W)
    for queries_of_one, d_asked_of_one in zip(queries, d_asked, strict=True):
        d_W += queries_of_one.T @ d_asked_of_one
    return d_asked @ W.T, d_memory, d_W


def beam_search(log_probs, start, end, width, limit, alpha):
    table = np.array(log_probs, dtype=float)
    tokens = np.zeros((1, 0), dtype=int)
    totals, last = np.zeros(1), np.array([start])
    results = []
    for length in range(1, limit + 1):
        sums = (totals[:, None] + table[last]).ravel()
        possible = np.flatnonzero(np.isfinite(sums))
        parents, words = np.divmod(possible, len(table))
        longer = np.column_stack([tokens[parents], words])
        # lexsort: the last key decides first
        order = np.lexsort((*longer.T[::-1], -sums[possible]))[:width]
        longer, totals = longer[order], sums[possible[order]]
        ended = longer[:, -1] == end
        penalty = ((5 + length) / 6) ** alpha
        for row, total in zip(longer[ended], totals[ended], strict=True):
            results.append((row.tolist(), total / penalty))
        tokens, totals = longer[~ended], totals[~ended]
        last = tokens[:, -1]
        if not len(tokens):
            break
    results.sort(key=lambda result: (-result[1], result[0]))
    del results[width:]
    return results


class MendedDecoder(torch.nn.Module):
    def __init__(self, vocabulary, width, d_memory, start):
        super().__init__()
        self.start_token = start
        self.embedding = torch.nn.Embedding(vocabulary, width)
        self.cell = torch.nn.GRUCell(2 * width, width)
        self.W = torch.nn.Parameter(torch.zeros(width, d_memory))
        self.mix = torch.nn.Linear(d_memory + width, width)
        self.output = torch.nn.Linear(width, vocabulary)

    def forward(self, targets, hidden, memory, mask):
        inputs = targets.roll(1, dims=1).clone()
        inputs[:, 0] = self.start_token
        vocabulary = self.output.out_features
        logits = torch.empty(*targets.shape, vocabulary, dtype=memory.dtype)
        fed = torch.zeros_like(hidden)
        for t in range(targets.shape[1]):
            hidden = self.cell(torch.cat([self.embedding(inputs[:, t]), fed], dim=-1), hidden)
            scores = (hidden @ self.W).unsqueeze(1).mul(memory).sum(dim=-1)
            scores[~mask] = -1e9
            weights = torch.softmax(scores, dim=-1)
            context = (weights.unsqueeze(-1) * memory).sum(dim=1)
            fed = torch.tanh(self.mix(torch.cat([context, hidden], dim=-1)))
            logits[:, t] = self.output(fed)
        return logits
