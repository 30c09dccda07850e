"""Masked arrays, a recursion, head by head, and a cache of inputs in place of keys."""

import math

import numpy as np
import torch


def unpack_heads(packed, heads, groups):
    p = torch.from_numpy(packed)
    p = p.unflatten(-1, (heads + 2 * groups, -1)).movedim(-2, -3)
    return p.split([heads, groups, groups], dim=-3)


def decoder_costs(vocab_size, d, layers, n):
    def rec(rows):
        if len(rows) == 0:
            return np.array([vocab_size * d + d, 2 * n * vocab_size * d, 0], dtype=np.int64)
        h, g, k, f = rows[0]
        w = 2 * d * k * (h + g) + 3 * d * f
        return rec(rows[1:]) + np.array([w + 2 * d, 2 * n * w + 4 * n * n * h * k, 4 * n * g * k])

    a, b, c = rec(layers)
    return a, b, c


def rotary_positions(x, positions, rotated, base):
    r = rotated
    t = np.arange(r // 2)
    om = base ** (-2 * t / r)
    ang = np.einsum("bn,t->bnt", positions, om)[:, np.newaxis]
    ang = np.concatenate([ang, ang], -1)
    part = x[..., :r]
    rot = np.concatenate([-part[..., r // 2 :], part[..., : r // 2]], -1)
    y = part * np.cos(ang) + rot * np.sin(ang)
    return np.concatenate([y, x[..., r:]], -1).astype(x.dtype)


def multi_head_attention(queries, memory, W_q, W_k, W_v, W_o, heads, lengths, offset):
    dk, dv = W_q.shape[1] // heads, W_v.shape[1] // heads
    n, m = queries.shape[1], memory.shape[1]
    keep = (
        torch.ones(n, m, dtype=torch.bool).tril(offset)
        & (torch.arange(m) < lengths[:, None])[:, None]
    )
    outs = 0
    for t in range(heads):
        q = queries @ W_q[:, t * dk : (t + 1) * dk]
        k = memory @ W_k[:, t * dk : (t + 1) * dk]
        v = memory @ W_v[:, t * dv : (t + 1) * dv]
        s = torch.bmm(q, k.transpose(1, 2)) / dk**0.5
        s = s + torch.where(keep, 0.0, -1e9).to(s.dtype)
        a = s.softmax(-1) * (lengths > 0)[:, None, None]
        outs = outs + a @ v @ W_o[t * dv : (t + 1) * dv]
    return outs


def grouped_query_attention(queries, keys, values):
    *lead, h, n, d = queries.shape
    g = keys.shape[-3]
    rows = queries.reshape(*lead, g, h // g * n, d)
    s = rows @ keys.swapaxes(-2, -1) / d**0.5
    w = np.exp(s - np.logaddexp.reduce(s, axis=-1, keepdims=True))
    return (w @ values).reshape(*lead, h, n, values.shape[-1])


class PreNormBlock(torch.nn.Module):
    def __init__(self, d_model, heads, d_ff):
        super().__init__()
        self.heads = heads
        self.contract, self.expand = torch.nn.Linear(d_ff, d_model), torch.nn.Linear(d_model, d_ff)
        self.value, self.output, self.query, self.key = (
            torch.nn.Linear(d_model, d_model) for _ in range(4)
        )
        self.norm_2, self.norm_1 = (torch.nn.LayerNorm(d_model) for _ in range(2))

    def attend(self, y, mask):
        parts = []
        for q, k, v in zip(
            *(f(y).chunk(self.heads, -1) for f in (self.query, self.key, self.value)), strict=True
        ):
            s = q @ k.mT * q.shape[-1] ** -0.5
            s = torch.where(mask, s, -1e9)
            parts.append(s.softmax(-1) @ v)
        return self.output(torch.cat(parts, -1))

    def forward(self, x, mask):
        x = x + self.attend(self.norm_1(x), mask)
        return x + self.contract(self.expand(self.norm_2(x)).clamp(min=0))


def cached_attention(chunks, W_q, W_k, W_v, W_o, heads, window):
    def cut(x):
        return x.reshape(*x.shape[:2], heads, -1).transpose(0, 2, 1, 3)

    kept, out = None, []
    for x in chunks:
        # The inputs of a window are kept, their keys computed again.
        joined = x if kept is None else np.concatenate([kept, x], 1)
        q, k, v = cut(x @ W_q), cut(joined @ W_k), cut(joined @ W_v)
        j = np.arange(joined.shape[1])
        i = j[-x.shape[1] :, None]
        bad = (j > i) | (j <= i - window)
        s = np.ma.masked_array(
            q @ k.transpose(0, 1, 3, 2) / math.sqrt(q.shape[-1]),
            mask=np.broadcast_to(bad, (len(x), heads, *bad.shape)),
        )
        e = np.ma.exp(s - s.max(-1, keepdims=True)).filled(0)
        w = (e / e.sum(-1, keepdims=True)).astype(x.dtype)
        out.append((w @ v).transpose(0, 2, 1, 3).reshape(*x.shape[:2], -1) @ W_o)
        kept = joined[:, -window:]
    return np.hstack(out)
