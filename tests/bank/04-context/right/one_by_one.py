"""Example by example, with sets, matrices of derivatives, recursion and classes of its own."""

import numpy as np
import torch
from torch import nn


def padded_attention(queries, keys, values, lengths):
    def one(q, k, v, length):
        if q.ndim > 2:
            parts = [one(*p, length) for p in zip(q, k, v, strict=True)]
            return np.stack([p[0] for p in parts]), np.stack([p[1] for p in parts])
        c = np.zeros((q.shape[0], v.shape[1]), q.dtype)
        w = np.zeros((q.shape[0], k.shape[0]), q.dtype)
        if length:
            s = (q @ k[:length].T) / np.sqrt(k.shape[1])
            e = np.exp(s - s.max(1, keepdims=True))
            w[:, :length] = e / e.sum(1, keepdims=True)
            c[:] = w[:, :length] @ v[:length]
        return c, w

    parts = [one(*p) for p in zip(queries, keys, values, lengths, strict=True)]
    return np.stack([p[0] for p in parts]), np.stack([p[1] for p in parts])


def alignment_error(weights, sure, possible):
    links = np.zeros_like(weights, dtype=bool)
    for b, i in np.ndindex(weights.shape[:2]):
        row = list(weights[b, i])
        if any(row):
            links[b, i, row.index(max(row))] = True
    A, S, P = (set(zip(*np.nonzero(x), strict=True)) for x in (links, sure, possible))
    P |= S
    return (
        links,
        len(A & P) / len(A),
        len(A & S) / len(S),
        1 - (len(A & S) + len(A & P)) / (len(A) + len(S)),
    )


def coverage_attention(queries, keys, W_q, W_k, w_c, w):
    def go(t, cov):
        if t == queries.shape[1]:
            return []
        e = torch.einsum(
            "bmh,h->bm",
            torch.tanh(
                torch.einsum("bq,qh->bh", queries[:, t], W_q).unsqueeze(1)
                + torch.einsum("bmk,kh->bmh", keys, W_k)
                + torch.einsum("bm,h->bmh", cov, w_c)
            ),
            w,
        )
        a = e.exp() / e.exp().sum(1, keepdim=True)
        return [a, *go(t + 1, cov + a)]

    return torch.stack(go(0, torch.zeros(keys.shape[0], keys.shape[1])), 1)


def memory_backward(queries, memory, W, mask, upstream):
    dq, dm, dW = np.zeros_like(queries), np.zeros_like(memory), np.zeros_like(W)
    for b in range(len(queries)):
        real = np.flatnonzero(mask[b])
        if not len(real):
            continue
        H = memory[b][real]
        for i, q in enumerate(queries[b]):
            s = H @ (W.T @ q)
            a = np.exp(s - s.max())
            a /= a.sum()
            J = np.diag(a) - np.outer(a, a)
            g = upstream[b, i]
            ds = J @ (H @ g)
            dq[b, i] = W @ (H.T @ ds)
            dm[b, real] += np.outer(a, g) + np.outer(ds, W.T @ q)
            dW += np.outer(q, H.T @ ds)
    return dq, dm, dW


def beam_search(log_probs, start, end, width, limit, alpha):
    import heapq

    class Hyp:
        def __init__(self, total, tokens):
            self.total, self.tokens = total, tokens

        def key(self):
            return (-self.total, self.tokens)

    live, finished = [Hyp(0.0, ())], []
    step = 0
    while live and step < limit:
        step += 1
        cand = []
        for h in live:
            prev = h.tokens[-1] if h.tokens else start
            for y in np.flatnonzero(np.isfinite(log_probs[prev])):
                cand.append(Hyp(h.total + log_probs[prev][y], (*h.tokens, y)))
        best = heapq.nsmallest(width, cand, key=Hyp.key)
        finished += [h for h in best if h.tokens[-1] == end]
        live = [h for h in best if h.tokens[-1] != end]

    def lp(n):
        return (5 + n) ** alpha / (5 + 1) ** alpha

    scored = sorted(
        ((list(h.tokens), h.total / lp(len(h.tokens))) for h in finished), key=lambda p: p[0]
    )
    scored.sort(key=lambda p: p[1], reverse=True)
    return scored[:width]


class MendedDecoder(nn.Module):
    def __init__(self, vocabulary, width, d_memory, start):
        super().__init__()
        self.register_buffer("first", torch.tensor([start]), persistent=False)
        self.embedding = nn.Embedding(vocabulary, width)
        self.cell = nn.GRUCell(input_size=2 * width, hidden_size=width)
        self.W = nn.Parameter(torch.zeros(width, d_memory))
        nn.init.xavier_uniform_(self.W)
        self.mix = nn.Linear(width + d_memory, width)
        self.output = nn.Linear(width, vocabulary)

    def attend(self, state, memory, mask):
        e = torch.einsum("bw,wd,bmd->bm", state, self.W, memory)
        e = torch.where(mask, e, torch.tensor(-1e9))
        return torch.einsum("bm,bmd->bd", torch.softmax(e, 1), memory)

    def forward(self, targets, hidden, memory, mask):
        B, n = targets.shape
        y = torch.cat([self.first.expand(B, 1), targets[:, :-1]], 1)
        e = self.embedding(y)
        s, f, out = hidden, hidden.new_zeros(hidden.shape), []
        for t in range(n):
            s = self.cell(torch.cat((e[:, t], f), 1), s)
            f = torch.tanh(self.mix(torch.cat((self.attend(s, memory, mask), s), 1)))
            out.append(f)
        return self.output(torch.stack(out, 1))
