"""Recursion and plain lists."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


def teacher_forcing_batch(tokens, lengths, bos, eos, pad):
    tokens, lengths = list(map(int, tokens)), [int(n) for n in lengths]
    width = max(lengths) + 1

    def rows(start, left):
        if not left:
            return []
        n = left[0]
        text = tokens[start : start + n]
        fill = [pad] * (width - 1 - n)
        return [
            ([bos, *text, *fill], [*text, eos, *fill], [True] * (n + 1) + [False] * len(fill)),
            *rows(start + n, left[1:]),
        ]

    a, b, c = zip(*rows(0, lengths), strict=True)
    return [np.array(a), np.array(b), np.array(c)]


def perplexity_and_bits(logits, targets, pad, characters):
    nats, n, ch = [], 0, 0
    for z, x in zip(
        logits.reshape(-1, logits.shape[-1]).tolist(), targets.reshape(-1).tolist(), strict=True
    ):
        if x == pad:
            continue
        top = max(z)
        nats.append(top + math.log(sum(math.exp(v - top) for v in z)) - z[x])
        n += 1
        ch += int(characters[x])
    s = math.fsum(nats)
    return math.exp(s / n), s / math.log(2) / ch


def nearest_weights(queries, keys, mask, k):
    if queries.ndim > 2:
        return np.stack(
            [nearest_weights(q, x, m, k) for q, x, m in zip(queries, keys, mask, strict=True)]
        )
    out = np.zeros((len(queries), len(keys)), queries.dtype)
    for i, q in enumerate(queries):
        d = {j: float(((q - x) ** 2).sum()) for j, x in enumerate(keys) if mask[j]}
        if not d:
            continue
        far = sorted(d.values())[:k][-1]
        near = [j for j in d if d[j] <= far]
        out[i, near] = 1 / len(near)
    return out


def leave_one_out_loss(keys, values, log_bandwidths):
    _b, m, _ = keys.shape
    rest = torch.stack([torch.cat([torch.arange(i), torch.arange(i + 1, m)]) for i in range(m)])
    ok, ov = keys[:, rest], values[:, rest]
    s = -0.5 * ((keys[:, :, None] - ok) * torch.exp(-log_bandwidths)).pow(2).sum(-1)
    s = s - s.max(-1, keepdim=True).values
    e = s.exp()
    w = e / e.sum(-1, keepdim=True)
    return F.mse_loss((w[..., None] * ov).sum(2), values, reduction="none").flatten(1).mean(1)


def gru_last_states(inputs, lengths, W_ih, W_hh, b_ih, b_hh):
    d = W_hh.shape[-1]

    def sig(v):
        return np.where(v >= 0, 1 / (1 + np.exp(-np.abs(v))), 1 - 1 / (1 + np.exp(-np.abs(v))))

    def go(text):
        if len(text) == 0:
            return np.zeros(d, inputs.dtype)
        h = go(text[:-1])
        x = text[-1]
        a, c = W_ih @ x + b_ih, W_hh @ h + b_hh
        r, z = sig(a[:d] + c[:d]), sig(a[d : 2 * d] + c[d : 2 * d])
        n = np.tanh(a[2 * d :] + r * c[2 * d :])
        return (1 - z) * n + z * h

    return np.array([go(t[:n]) for t, n in zip(inputs, lengths, strict=True)])


def gradients_by_path(states, W_h, weights, upstream):
    T = states.shape[1]
    direct = np.einsum("bt,bd->btd", weights, upstream)
    carry = np.zeros_like(upstream)
    outs = []
    for t in range(T)[::-1]:
        carry = direct[:, t] + carry
        outs.insert(0, carry)
        carry = np.einsum("bj,ij->bi", carry * (1 - states[:, t] ** 2), W_h)
    return direct, np.stack(outs, 1)


class NextTokenLoss(nn.Module):
    def __init__(self, vocab_size, width, pad):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, width, padding_idx=pad)
        self.rnn = nn.RNN(width, width, batch_first=True)
        self.output = nn.Linear(width, vocab_size)
        self.ce = nn.CrossEntropyLoss(ignore_index=pad, reduction="none")

    def forward(self, tokens):
        z = self.output(self.rnn(self.embedding(tokens))[0])[:, :-1].reshape(
            -1, self.output.out_features
        )
        return self.ce(z, tokens[:, 1:].reshape(-1)).reshape(len(tokens), -1).sum(-1)
