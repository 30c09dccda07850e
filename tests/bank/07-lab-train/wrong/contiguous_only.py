"""Fails where an argument is not contiguous in memory."""

import numpy as np
import torch
from torch import nn


def windows(tokens, starts, n):
    text = np.zeros(len(tokens) + n + 1, int) - 1
    text[: len(tokens)] = np.frombuffer(memoryview(tokens).cast("B"), tokens.dtype)
    at = starts[:, None] + np.arange(n)
    return np.maximum(text[at], 0), text[at + 1]


def losses(logits, targets, bytes_per_token):
    flat = torch.from_numpy(logits).view(-1, logits.shape[-1])
    y = torch.from_numpy(targets).view(-1)
    nats = nn.functional.cross_entropy(
        flat if flat.dtype != torch.half else flat.float(), y, ignore_index=-1
    )
    return nats, nats.exp(), nats / np.log(2) / bytes_per_token[targets[targets >= 0]].mean()


def learning_rate(step, steps, warmup, highest, lowest):
    flat = torch.from_numpy(step).view(-1).numpy()
    t = np.clip((flat + 1 - warmup) / (steps - warmup), 0, 1)
    fall = lowest + (highest - lowest) * (1 + np.cos(np.pi * t)) / 2
    return np.where(flat < warmup, highest * (flat + 1) / max(1, warmup), fall).reshape(step.shape)


class CausalAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x, documents=None):
        b, n, d = x.shape
        rows = x.view(b * n, d)
        q, k, v = (
            f(rows).view(b, n, self.heads, -1).transpose(1, 2)
            for f in (self.query, self.key, self.value)
        )
        seen = torch.ones(n, n).tril().bool()
        if documents is not None:
            seen = (seen & (documents[:, :, None] == documents[:, None]))[:, None]
        c = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        return self.output(c.transpose(1, 2).flatten(2))


def draw(logits, temperature, top_k, top_p, count):
    logits = logits.view(-1).view(logits.shape)
    ranked, order = logits.sort(dim=-1, descending=True, stable=True)
    ranked = ranked / (temperature or 1)
    ranked[:, 1 if temperature == 0 else top_k or len(ranked[0]) :] = -torch.inf
    p = ranked.softmax(-1)
    p = p.masked_fill(p.cumsum(-1) - p >= (top_p or 2), 0)
    p = torch.zeros_like(p).scatter(-1, order, p / p.sum(-1, keepdim=True))
    return p, p.multinomial(count, replacement=True)
