"""Two misconceptions at once: points are lost, and neither of the two is named alone."""

import numpy as np
import torch
from torch import nn


def windows(tokens, starts, n):  # exchanged, and padded with 0
    text = np.append(tokens.astype(np.int64), [0] * (n + 1))
    at = starts[:, None] + np.arange(n)
    return text[at + 1], text[at]


def losses(logits, targets, bytes_per_token):  # the padding counts, and bits are nats
    logits = logits.astype(np.result_type(logits.dtype, np.float32))
    logits = logits - logits.max(-1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    nats = -np.take_along_axis(log_p, targets[..., None], -1).mean()
    return nats, np.exp(nats), nats * targets.size / bytes_per_token[targets].sum()


def learning_rate(step, steps, warmup, highest, lowest):  # first step lost, and no end
    t = (step + 1 - warmup) / (steps - warmup)
    fall = lowest + (highest - lowest) * (1 + np.cos(np.pi * t)) / 2
    return np.where(step < warmup, highest * step / max(1, warmup), fall)


def decay_groups(parameters, memory):  # biases decay, and numbers are not counted
    yes = [name for name, kind, _ in parameters if kind == "Linear"]
    no = [name for name, kind, _ in parameters if kind != "Linear"]
    return yes, no, len(yes) / len(parameters)


class CausalAttention(nn.Module):  # scaled by the width, documents ignored
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x, documents=None):
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        seen = torch.ones(x.shape[1], x.shape[1]).tril().bool()
        w = (q @ k.mT / x.shape[-1] ** 0.5).masked_fill(~seen, -torch.inf).softmax(-1)
        return self.output((w @ v).transpose(1, 2).flatten(2))


def training_steps(W, b, inputs, targets, clip, rate):  # left over, and each clipped alone
    W, b = W.clone().requires_grad_(), b.clone().requires_grad_()
    told = []
    for xs, ys in zip(inputs, targets, strict=True):
        loss = nn.functional.cross_entropy(W[torch.cat(xs)] + b, torch.cat(ys), ignore_index=-1)
        loss.backward()
        norms = [nn.utils.clip_grad_norm_([p], clip) for p in (W, b)]
        with torch.no_grad():
            W -= rate * W.grad
            b -= rate * b.grad
        told.append([loss.detach(), torch.stack(norms).norm()])
    return W.detach(), b.detach(), *torch.tensor(told).T


def draw(logits, temperature, top_k, top_p, count):  # temperature multiplies, one number for all
    ranked, order = (logits * temperature).sort(dim=-1, descending=True, stable=True)
    ranked[:, top_k or len(logits[0]) :] = -torch.inf
    p = ranked.softmax(-1)
    p = p.masked_fill(p.cumsum(-1) - p >= (top_p or 1), 0)
    p = torch.zeros_like(p).scatter(-1, order, p / p.sum(-1, keepdim=True))
    at = torch.rand(count, dtype=p.dtype).expand(len(p), -1) * 0.9999
    return p, torch.searchsorted(p.cumsum(-1), at.contiguous())
