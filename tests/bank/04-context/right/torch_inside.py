"""Arrays come in, PyTorch computes, tensors go out."""

import math

import torch
import torch.nn.functional as F


def padded_attention(queries, keys, values, lengths):
    queries, keys, values = (torch.from_numpy(array) for array in (queries, keys, values))
    lengths = torch.from_numpy(lengths).view(-1, *[1] * (keys.ndim - 2))
    real = torch.arange(keys.shape[-2]) < lengths  # (batch, ..., m)
    keys = keys.masked_fill(~real[..., None], 0)
    values = values.masked_fill(~real[..., None], 0)
    scores = queries @ keys.transpose(-1, -2) / math.sqrt(keys.shape[-1])
    scores = scores.masked_fill(~real[..., None, :], -math.inf)
    weights = F.softmax(scores, dim=-1).nan_to_num(0.0)
    return weights @ values, weights


def alignment_error(weights, sure, possible):
    weights, sure, possible = (torch.from_numpy(array) for array in (weights, sure, possible))
    links = F.one_hot(weights.argmax(dim=-1), weights.shape[-1]).bool() & (weights > 0)
    both = sure | possible
    made, wanted = links.sum().double(), sure.sum().double()
    in_sure, in_possible = (links & sure).sum(), (links & both).sum()
    error = 1 - (in_sure + in_possible) / (made + wanted)
    return links, in_possible / made, in_sure / wanted, error


def coverage_attention(queries, keys, W_q, W_k, w_c, w):
    projected = keys @ W_k
    coverage = torch.zeros(keys.shape[:2], dtype=keys.dtype)
    rows = []
    for t in range(queries.size(1)):
        query = queries[:, t : t + 1] @ W_q
        scores = torch.tanh(query + projected + coverage.unsqueeze(-1) * w_c) @ w
        rows.append(scores.softmax(-1).unsqueeze(1))
        coverage = torch.cat(rows, dim=1).sum(dim=1)
    return torch.cat(rows, dim=1)


def memory_backward(queries, memory, W, mask, upstream):
    arrays = (queries, memory, W, mask, upstream)
    queries, memory, W, mask, upstream = (torch.from_numpy(array) for array in arrays)
    scores = (queries @ W @ memory.mT).masked_fill(~mask[:, None], -math.inf)
    weights = scores.softmax(dim=-1).nan_to_num(0.0)
    d_weights = upstream @ memory.mT
    context = weights @ memory
    d_scores = weights * (d_weights - (upstream * context).sum(dim=-1, keepdim=True))
    d_asked = d_scores @ memory
    d_W = queries.flatten(0, 1).T @ d_asked.flatten(0, 1)
    return d_asked @ W.T, weights.mT @ upstream + d_scores.mT @ (queries @ W), d_W


def beam_search(log_probs, start, end, width, limit, alpha):
    table = torch.from_numpy(log_probs).double()
    vocabulary = len(table)
    beam, finished = [((), torch.zeros((), dtype=torch.float64))], []
    for _ in range(limit):
        if not beam:
            break
        last = torch.tensor([tokens[-1] if tokens else start for tokens, _ in beam])
        totals = torch.stack([total for _, total in beam])[:, None] + table[last]
        found = [
            ((*beam[int(k) // vocabulary][0], int(k) % vocabulary), totals.flatten()[k])
            for k in torch.nonzero(totals.flatten() > -math.inf)[:, 0]
        ]
        found.sort(key=lambda pair: (-float(pair[1]), pair[0]))
        beam = []
        for tokens, total in found[:width]:
            (finished if tokens[-1] == end else beam).append((tokens, total))
    ranked = [(list(t), total / ((5 + len(t)) / 6) ** alpha) for t, total in finished]
    return sorted(ranked, key=lambda pair: (-float(pair[1]), pair[0]))[:width]


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
        inputs = torch.full_like(targets, self.start)
        inputs[:, 1:] = targets[:, :-1]
        keys = memory @ self.W.T  # once for all steps
        state, fed, logits = hidden, torch.zeros_like(hidden), []
        for t in range(inputs.size(1)):
            state = self.cell(torch.cat([self.embedding(inputs[:, t]), fed], dim=-1), state)
            scores = torch.bmm(keys, state[:, :, None]).squeeze(-1)
            weights = scores.masked_fill(~mask, float("-inf")).softmax(dim=-1)
            context = torch.bmm(weights[:, None], memory).squeeze(1)
            fed = torch.tanh(self.mix(torch.cat([context, state], dim=-1)))
            logits.append(self.output(fed)[:, None])
        return torch.cat(logits, dim=1)
