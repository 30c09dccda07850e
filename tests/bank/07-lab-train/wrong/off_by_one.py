"""One too many, or one too few."""

import numpy as np
import torch


def windows(tokens, starts, n):  # the last token of the text is never a target
    text = np.pad(tokens.astype(int), (0, n + 1), constant_values=-1)
    at = starts[:, None] + np.arange(n)
    targets = text[at + 1]
    targets[at + 1 == len(tokens) - 1] = -1
    return np.maximum(text[at], 0), targets


def learning_rate(step, steps, warmup, highest, lowest):  # the highest rate comes a step late
    t = np.clip((step - warmup) / (steps - 1 - warmup), 0, 1)
    fall = lowest + (highest - lowest) * (1 + np.cos(np.pi * t)) / 2
    return np.where(step < warmup, highest * (step + 1) / (warmup + 1), fall)


def draw(logits, temperature, top_k, top_p, count):  # keeps a token more than top_k
    ranked, order = logits.sort(dim=-1, descending=True, stable=True)
    ranked = ranked / (temperature or 1)
    ranked[:, 1 if temperature == 0 else (top_k or 99) + 1 :] = -torch.inf
    p = ranked.softmax(-1)
    p = p.masked_fill(p.cumsum(-1) - p >= (top_p or 2), 0)
    p = torch.zeros_like(p).scatter(-1, order, p / p.sum(-1, keepdim=True))
    return p, p.multinomial(count, replacement=True)
