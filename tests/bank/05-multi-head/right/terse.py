"""As short as it goes, other names, lists returned."""

import numpy as np
import torch
from torch import nn


def soft(s):
    s = np.exp(s - s.max(-1, keepdims=True))
    return s / s.sum(-1, keepdims=True)


def unpack_heads(p, h, g):
    x = np.moveaxis(p.reshape(*p.shape[:-1], h + 2 * g, -1), -2, -3)
    return [x[..., :h, :, :], x[..., h : h + g, :, :], x[..., h + g :, :, :]]


def decoder_costs(v, d, t, n):
    a, b = (t[:, 0] * t[:, 2]).sum().item(), (t[:, 1] * t[:, 2]).sum().item()
    w = d * (v + 2 * a + 2 * b + 3 * t[:, 3].sum().item())
    return [w + d * (1 + 2 * len(t)), 2 * n * (w + 2 * n * a), 4 * n * b]


def rotary_positions(x, p, r, b):
    z = x[..., : r // 2] + 1j * x[..., r // 2 : r].astype(float)
    z = z * np.exp(1j * p[:, None, :, None] / b ** (np.arange(0, r, 2) / r))
    return np.concatenate([z.real, z.imag, x[..., r:]], -1).astype(x.dtype)


def multi_head_attention(x, y, A, B, C, D, h, ends, start):
    q, k, v = ((a @ w).unflatten(2, (h, -1)).transpose(1, 2) for a, w in ((x, A), (y, B), (y, C)))
    i, j = torch.arange(x.shape[1])[:, None] + start, torch.arange(y.shape[1])
    ok = ((j <= i) & (j < ends[:, None, None]))[:, None]
    w = (q @ k.mT * k.shape[-1] ** -0.5).masked_fill(~ok, -torch.inf).softmax(-1).nan_to_num(0)
    return (w @ v).transpose(1, 2).flatten(2) @ D


def grouped_query_attention(q, k, v):
    s = q.shape
    q = q.reshape(*s[:-3], k.shape[-3], -1, s[-1])
    return (soft(q @ k.swapaxes(-1, -2) * s[-1] ** -0.5) @ v).reshape(*s[:-1], -1)


class PreNormBlock(nn.Module):
    def __init__(self, d, h, f):
        super().__init__()
        self.h = h
        self.norm_1, self.norm_2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.query, self.key, self.value, self.output = (nn.Linear(d, d) for _ in "qkvo")
        self.expand, self.contract = nn.Linear(d, f), nn.Linear(f, d)

    def forward(self, x, ok):
        y = self.norm_1(x)
        q, k, v = (
            f(y).unflatten(2, (self.h, -1)).transpose(1, 2)
            for f in (self.query, self.key, self.value)
        )
        w = torch.where(ok[:, None], q @ k.mT / q.shape[-1] ** 0.5, -torch.inf).softmax(-1)
        x = x + self.output((w @ v).transpose(1, 2).flatten(2))
        return x + self.contract(self.expand(self.norm_2(x)).relu_())


def cached_attention(xs, A, B, C, D, h, w):
    out, k, v = [], None, None
    for x in xs:
        b, n, _ = x.shape
        q, k_, v_ = ((x @ M).reshape(b, n, h, -1).swapaxes(1, 2) for M in (A, B, C))
        k, v = (k_, v_) if k is None else (np.append(k, k_, 2), np.append(v, v_, 2))
        t = np.arange(k.shape[2] - n, k.shape[2])[:, None] - np.arange(k.shape[2])
        s = q @ k.swapaxes(-1, -2) * q.shape[-1] ** -0.5 + np.where(
            (t < 0) | (t >= w), x.dtype.type(-1e9), 0
        ).astype(x.dtype)
        out += [(soft(s) @ v).swapaxes(1, 2).reshape(b, n, -1) @ D]
        k, v = k[:, :, -w:], v[:, :, -w:]
    return np.concatenate(out, 1)
