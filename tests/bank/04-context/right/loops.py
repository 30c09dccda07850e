"""Plain loops over examples, queries and keys: slow, long and right."""

import math

import numpy as np
import torch


def padded_attention(queries, keys, values, lengths):
    batch, n, m = queries.shape[0], queries.shape[-2], keys.shape[-2]
    between = queries.shape[1:-2]
    context = np.zeros((*queries.shape[:-1], values.shape[-1]), dtype=queries.dtype)
    weights = np.zeros((*queries.shape[:-1], m), dtype=queries.dtype)
    for b in range(batch):
        length = int(lengths[b])
        for inner in np.ndindex(*between):
            for i in range(n):
                if length == 0:
                    continue
                query = queries[(b, *inner, i)]
                scores = []
                for j in range(length):
                    scores.append(float(query @ keys[(b, *inner, j)]) / math.sqrt(len(query)))
                top = max(scores)
                shares = [math.exp(score - top) for score in scores]
                for j in range(length):
                    weights[(b, *inner, i, j)] = shares[j] / sum(shares)
                    context[(b, *inner, i)] += shares[j] / sum(shares) * values[(b, *inner, j)]
    return context, weights


def alignment_error(weights, sure, possible):
    links = np.zeros(weights.shape, dtype=bool)
    made = wanted = in_sure = in_possible = 0
    for b in range(weights.shape[0]):
        for i in range(weights.shape[1]):
            best = 0
            for j in range(weights.shape[2]):
                wanted += bool(sure[b, i, j])
                if weights[b, i, j] > weights[b, i, best]:
                    best = j
            if weights[b, i, best] > 0:
                links[b, i, best] = True
                made += 1
                in_sure += bool(sure[b, i, best])
                in_possible += bool(sure[b, i, best] or possible[b, i, best])
    error = 1 - (in_sure + in_possible) / (made + wanted)
    return links, in_possible / made, in_sure / wanted, error


def coverage_attention(queries, keys, W_q, W_k, w_c, w):
    examples = []
    for b in range(len(queries)):
        steps = []
        for t in range(queries.shape[1]):
            scores = []
            for j in range(keys.shape[1]):
                read = sum((step[j] for step in steps), start=keys.new_zeros(()))
                scores.append(torch.tanh(queries[b, t] @ W_q + keys[b, j] @ W_k + read * w_c) @ w)
            steps.append(torch.softmax(torch.stack(scores), dim=0))
        examples.append(torch.stack(steps))
    return torch.stack(examples)


def memory_backward(queries, memory, W, mask, upstream):
    d_queries, d_memory, d_W = np.zeros_like(queries), np.zeros_like(memory), np.zeros_like(W)
    for b in range(len(queries)):
        real = [j for j in range(memory.shape[1]) if mask[b, j]]
        for i in range(queries.shape[1]):
            if not real:
                continue
            scores = np.array([queries[b, i] @ W @ memory[b, j] for j in real])
            shares = np.exp(scores - scores.max())
            shares /= shares.sum()
            context = sum(a * memory[b, j] for a, j in zip(shares, real, strict=True))
            for a, j in zip(shares, real, strict=True):
                push = a * (upstream[b, i] @ (memory[b, j] - context))
                d_queries[b, i] += push * (W @ memory[b, j])
                d_memory[b, j] += push * (queries[b, i] @ W) + a * upstream[b, i]
                d_W += push * np.outer(queries[b, i], memory[b, j])
    return d_queries, d_memory, d_W


def beam_search(log_probs, start, end, width, limit, alpha):
    beam = [([], 0.0)]
    finished = []
    for _ in range(limit):
        continued = []
        for tokens, total in beam:
            last = start if len(tokens) == 0 else tokens[-1]
            for token in range(log_probs.shape[1]):
                if log_probs[last, token] != -np.inf:
                    continued.append(([*tokens, token], total + log_probs[last, token]))
        continued.sort(key=lambda pair: pair[0])
        continued.sort(key=lambda pair: pair[1], reverse=True)  # stable: ties stay in order
        beam = []
        for tokens, total in continued[:width]:
            if tokens[-1] == end:
                finished.append((tokens, total / ((5 + len(tokens)) / 6) ** alpha))
            else:
                beam.append((tokens, total))
    finished.sort(key=lambda pair: pair[0])
    finished.sort(key=lambda pair: pair[1], reverse=True)
    return finished[:width]


class MendedDecoder(torch.nn.Module):
    def __init__(self, vocabulary, width, d_memory, start):
        super().__init__()
        self.first = start
        self.embedding = torch.nn.Embedding(vocabulary, width)
        self.cell = torch.nn.GRUCell(2 * width, width)
        self.W = torch.nn.Parameter(torch.ones(width, d_memory))
        self.mix = torch.nn.Linear(d_memory + width, width)
        self.output = torch.nn.Linear(width, vocabulary)

    def forward(self, targets, hidden, memory, mask):
        examples = []
        for b in range(len(targets)):
            state, fed = hidden[b], torch.zeros_like(hidden[b])
            steps = []
            for t in range(targets.shape[1]):
                token = targets[b, t - 1] if t > 0 else torch.tensor(self.first)
                state = self.cell(torch.cat([self.embedding(token), fed]), state)
                real = [j for j in range(memory.shape[1]) if mask[b, j]]
                scores = torch.stack([state @ self.W @ memory[b, j] for j in real])
                weights = torch.softmax(scores, dim=0)
                context = sum(a * memory[b, j] for a, j in zip(weights, real, strict=True))
                fed = torch.tanh(self.mix(torch.cat([context, state])))
                steps.append(self.output(fed))
            examples.append(torch.stack(steps))
        return torch.stack(examples)
