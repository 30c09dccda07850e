"""Right but for the arguments, which are changed."""

import numpy as np
import torch
from torch import nn


def windows(tokens, starts, n):
    starts += 1
    text = np.pad(tokens.astype(int), (0, n + 1), constant_values=-1)
    at = starts[:, None] + np.arange(n)
    return np.maximum(text[at - 1], 0), text[at]


def losses(logits, targets, bytes_per_token):
    if logits.dtype == np.float16:
        logits = logits.astype(np.float32)
    logits -= logits.max(-1, keepdims=True)
    ok = targets >= 0
    each = np.log(np.exp(logits[ok]).sum(-1)) - logits[ok][np.arange(ok.sum()), targets[ok]]
    nats = each.mean()
    return nats, np.exp(nats), nats / np.log(2) / bytes_per_token[targets[ok]].mean()


def learning_rate(step, steps, warmup, highest, lowest):
    rising = step < warmup
    step += 1
    t = np.clip((step - warmup) / (steps - warmup), 0, 1)
    fall = lowest + (highest - lowest) * (1 + np.cos(np.pi * t)) / 2
    return np.where(rising, highest * step / max(1, warmup), fall)


def decay_groups(parameters, memory):
    tables = [m for (_, kind, _), m in zip(parameters, memory, strict=True) if kind == "Embedding"]
    decayed, others, numbers = [], [], [0, 0]
    for i, (name, kind, shape) in enumerate(parameters):
        if memory[i] < 0:
            continue
        yes = kind == "Linear" and len(shape) == 2 and memory[i] not in tables
        (decayed if yes else others).append(name)
        numbers[yes] += int(np.prod(shape))
        memory[memory == memory[i]] = -1
    return decayed, others, numbers[1] / sum(numbers)


class CausalAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x, documents=None):
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        hidden = torch.ones(x.shape[1], x.shape[1]).triu(1).bool()
        if documents is not None:
            documents += 1
            hidden = (hidden | (documents[:, :, None] != documents[:, None]))[:, None]
        w = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(hidden, -torch.inf).softmax(-1)
        return self.output((w @ v).transpose(1, 2).flatten(2))


def training_steps(W, b, inputs, targets, clip, rate):
    losses, norms = [], []
    for xs, ys in zip(inputs, targets, strict=True):
        V, c = W.clone().requires_grad_(), b.clone().requires_grad_()
        loss = nn.functional.cross_entropy(V[torch.cat(xs)] + c, torch.cat(ys), ignore_index=-1)
        loss.backward()
        norms.append(nn.utils.clip_grad_norm_([V, c], clip))
        losses.append(loss.detach())
        W -= rate * V.grad
        b -= rate * c.grad
    return W, b, torch.stack(losses), torch.stack(norms)


def draw(logits, temperature, top_k, top_p, count):
    ranked, order = logits.sort(dim=-1, descending=True, stable=True)
    logits -= logits.max()
    if temperature == 0:
        p = torch.zeros_like(ranked)
        p[:, 0] = 1
    else:
        ranked = ranked / temperature
        ranked[:, top_k or len(ranked[0]) :] = -torch.inf
        p = ranked.softmax(-1)
        p = p.masked_fill(p.cumsum(-1) - p >= (top_p or 2), 0)
        p = p / p.sum(-1, keepdim=True)
    p = torch.zeros_like(p).scatter(-1, order, p)
    return p, p.multinomial(count, replacement=True)
