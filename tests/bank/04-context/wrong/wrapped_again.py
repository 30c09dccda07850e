"""An argument becomes a new leaf, or is cut off: no gradient reaches it."""

import math

import torch
import torch.nn.functional as F
from torch import nn


def coverage_attention(queries, keys, W_q, W_k, w_c, w):
    W_q, W_k = torch.nn.Parameter(W_q.detach()), torch.nn.Parameter(W_k.detach())
    q, k = queries @ W_q, keys @ W_k
    c, out = torch.zeros_like(k[..., 0]), []
    for t in range(q.shape[1]):
        a = torch.softmax(torch.tanh(q[:, t : t + 1] + k + c[..., None] * w_c) @ w, -1)
        out.append(a)
        c = c + a
    return torch.stack(out, 1)


class MendedDecoder(nn.Module):
    def __init__(self, vocabulary, width, d_memory, start):
        super().__init__()
        self.start = start
        self.embedding = nn.Embedding(vocabulary, width)
        self.cell = nn.GRUCell(2 * width, width)
        self.W = nn.Parameter(torch.randn(width, d_memory) / math.sqrt(width * d_memory))
        self.mix = nn.Linear(d_memory + width, width)
        self.output = nn.Linear(width, vocabulary)

    def forward(self, targets, hidden, memory, mask):
        inputs = F.pad(targets[:, :-1], (1, 0), value=self.start)
        hidden = hidden.detach()
        fed, steps = torch.zeros_like(hidden), []
        for token in inputs.unbind(dim=1):
            hidden = self.cell(torch.cat([self.embedding(token), fed], dim=-1), hidden)
            scores = ((hidden @ self.W)[:, None] * memory).sum(dim=-1)
            weights = torch.softmax(scores.masked_fill(~mask, -math.inf), dim=-1)
            context = (weights[..., None] * memory).sum(dim=1)
            fed = torch.tanh(self.mix(torch.cat([context, hidden], dim=-1)))
            steps.append(self.output(fed))
        return torch.stack(steps, dim=1)
