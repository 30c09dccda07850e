"""Computes in double precision whatever comes in, and gives back what came."""

import numpy as np
import torch


def padded_attention(queries, keys, values, lengths):
    kind = queries.dtype
    context = np.zeros((*queries.shape[:-1], values.shape[-1]))
    weights = np.zeros((*queries.shape[:-1], keys.shape[-2]))
    for example, length in enumerate(lengths.tolist()):
        if length:
            real = keys[example, ..., :length, :].astype(float)
            scores = (
                queries[example].astype(float) @ real.swapaxes(-1, -2) / np.sqrt(keys.shape[-1])
            )
            shares = np.exp(scores - np.logaddexp.reduce(scores, axis=-1, keepdims=True))
            weights[example, ..., :length] = shares
            context[example] = shares @ values[example, ..., :length, :].astype(float)
    return context.astype(kind), weights.astype(kind)


def alignment_error(weights, sure, possible):
    links = []
    for sentence in weights:
        rows = [[False] * len(row) for row in sentence]
        for row, weight in zip(rows, sentence.tolist(), strict=True):
            if max(weight) > 0:
                row[weight.index(max(weight))] = True
        links.append(rows)
    links = np.array(links)
    drawn = {tuple(link) for link in np.argwhere(links).tolist()}
    wanted = {tuple(link) for link in np.argwhere(sure).tolist()}
    allowed = wanted | {tuple(link) for link in np.argwhere(possible).tolist()}
    right = len(drawn & wanted) + len(drawn & allowed)
    precision, recall = len(drawn & allowed) / len(drawn), len(drawn & wanted) / len(wanted)
    return links, precision, recall, 1 - right / (len(drawn) + len(wanted))


def coverage_attention(queries, keys, W_q, W_k, w_c, w):
    kind = queries.dtype
    queries, keys, W_q, W_k, w_c, w = (x.double() for x in (queries, keys, W_q, W_k, w_c, w))
    steps = []
    for t in range(queries.shape[1]):
        inside = (queries[:, t] @ W_q)[:, None, :] + keys @ W_k
        for step in steps:
            inside = inside + step[:, :, None] * w_c
        exponentials = torch.exp(torch.tanh(inside) @ w)
        steps.append(exponentials / exponentials.sum(dim=1, keepdim=True))
    return torch.stack(steps, dim=1).to(kind)


def memory_backward(queries, memory, W, mask, upstream):
    kind = queries.dtype
    q, h, W64, g = (x.astype(np.float64) for x in (queries, memory, W, upstream))
    scores = q @ W64 @ h.swapaxes(1, 2)
    shares = np.exp(scores) * mask[:, None, :]
    weights = shares / (shares.sum(axis=2, keepdims=True) + ~mask.any(axis=1)[:, None, None])
    # The Jacobian of the softmax, written out: (batch, n, m, m).
    jacobian = weights[..., None] * (np.eye(h.shape[1]) - weights[:, :, None, :])
    d_scores = ((g @ h.swapaxes(1, 2))[:, :, None] @ jacobian)[:, :, 0]
    d_queries = d_scores @ h @ W64.T
    d_memory = d_scores.swapaxes(1, 2) @ q @ W64 + weights.swapaxes(1, 2) @ g
    d_W = sum(one_q.T @ d @ one_h for one_q, d, one_h in zip(q, d_scores, h, strict=True))
    return d_queries.astype(kind), d_memory.astype(kind), d_W.astype(kind)


class Beginning:
    """Some tokens, and how likely they are."""

    def __init__(self, tokens, total):
        self.tokens, self.total = tokens, total

    def score(self, alpha):
        return self.total / ((5.0 + len(self.tokens)) / 6.0) ** alpha


def beam_search(log_probs, start, end, width, limit, alpha):
    beam, finished = [Beginning((), 0.0)], []
    while limit > 0 and beam:
        limit -= 1
        longer = []
        for old in beam:
            row = log_probs[old.tokens[-1] if old.tokens else start]
            longer += [
                Beginning((*old.tokens, y), old.total + p) for y, p in enumerate(row.tolist())
            ]
        longer = [new for new in longer if new.total != float("-inf")]
        longer.sort(key=lambda new: (-new.total, new.tokens))
        finished.extend(new for new in longer[:width] if new.tokens[-1] == end)
        beam = [new for new in longer[:width] if new.tokens[-1] != end]
    finished.sort(key=lambda new: (-new.score(alpha), new.tokens))
    return [(list(new.tokens), new.score(alpha)) for new in finished[:width]]


class MendedDecoder(torch.nn.Module):
    def __init__(self, vocabulary, width, d_memory, start):
        super().__init__()
        self.start = start
        self.embedding = torch.nn.Embedding(vocabulary, width)
        self.cell = torch.nn.GRUCell(2 * width, width)
        self.W = torch.nn.Parameter(torch.zeros(width, d_memory))
        self.mix = torch.nn.Linear(d_memory + width, width)
        self.output = torch.nn.Linear(width, vocabulary)

    def step(self, token, state, fed, memory, mask):
        state = self.cell(torch.cat([self.embedding(token), fed], dim=-1), state)
        scores = torch.einsum("bw,wd,bmd->bm", state.double(), self.W.double(), memory.double())
        shares = torch.exp(scores - scores.amax(dim=-1, keepdim=True)) * mask
        weights = (shares / shares.sum(dim=-1, keepdim=True)).float()
        context = torch.einsum("bm,bmd->bd", weights, memory)
        return state, torch.tanh(self.mix(torch.cat([context, state], dim=-1)))

    def forward(self, targets, hidden, memory, mask):
        token = torch.full_like(targets[:, 0], self.start)
        fed, logits = torch.zeros_like(hidden), []
        for following in targets.T:
            hidden, fed = self.step(token, hidden, fed, memory, mask)
            logits.append(self.output(fed))
            token = following
        return torch.stack(logits, dim=1)
