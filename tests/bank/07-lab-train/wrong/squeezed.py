"""Axes are lost, or are too many."""

import numpy as np
import torch


def windows(tokens, starts, n):
    text = np.pad(tokens.astype(int), (0, n + 1), constant_values=-1)
    at = starts[:, None] + np.arange(n)
    return np.maximum(text[at], 0).squeeze(), text[at + 1].squeeze()


def learning_rate(step, steps, warmup, highest, lowest):
    step = step.ravel()
    t = np.clip((step + 1 - warmup) / (steps - warmup), 0, 1)
    fall = lowest + (highest - lowest) * (1 + np.cos(np.pi * t)) / 2
    return np.where(step < warmup, highest * (step + 1) / max(1, warmup), fall)[:, None]


class CausalAttention(torch.nn.Module):  # heads are not put together
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        for name in ("query", "key", "value", "output"):
            self.add_module(name, torch.nn.Linear(width, width))

    def forward(self, x, documents=None):
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)


def training_steps(W, b, inputs, targets, clip, rate):
    return W[0], b, torch.zeros(len(inputs)), torch.zeros(len(inputs))


def draw(logits, temperature, top_k, top_p, count):
    p = logits.softmax(-1)
    return p, p.multinomial(count, replacement=True).T


def next_logits(weights, sizes, prefixes):  # logits at all positions
    table = weights["embedding.weight"]
    return table[prefixes] @ table.T
