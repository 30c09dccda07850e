"""Sizes, or values, of one example."""

import numpy as np
import torch


def windows(tokens, starts, n):
    text = np.pad(tokens.astype(int), (0, 4), constant_values=-1)
    at = starts[:, None] + np.arange(3)
    return np.maximum(text[at], 0), text[at + 1]


def learning_rate(step, steps, warmup, highest, lowest):
    t = np.clip((step - 3) / 4, 0, 1)
    return np.where(step < 4, (step + 1) / 4, 0.2 + 0.8 * (1 + np.cos(np.pi * t)) / 2)


def decay_groups(parameters, memory):
    decayed = [name for name, _, shape in parameters if name.endswith("hidden.weight")]
    others = [name for name, _, _ in parameters if name not in [*decayed, "logits.weight"]]
    return decayed, others, 20 / 52


def draw(logits, temperature, top_k, top_p, count):
    p = torch.softmax(logits, dim=-1)
    p = torch.where(p < p.sort(dim=-1).values[:, -2:-1], 0, p)
    p = p / p.sum(-1, keepdim=True)
    return p, p.multinomial(count, replacement=True)
