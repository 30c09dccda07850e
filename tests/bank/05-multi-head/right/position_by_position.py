"""A queue of keys, complex rotations, PyTorch's attention where it is allowed, sums of e by hand."""

import math
from collections import deque

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


def unpack_heads(packed, heads, groups):
    total = heads + 2 * groups
    d_k = packed.shape[-1] // total
    idx = np.arange(packed.shape[-1]).reshape(total, d_k)
    return [
        np.stack([packed[..., idx[i]] for i in r], axis=-3)
        for r in (range(heads), range(heads, heads + groups), range(heads + groups, total))
    ]


def decoder_costs(vocab_size, d, layers, n):
    p = float(vocab_size * d + d)
    f = 2.0 * n * d * vocab_size
    c = 0.0
    for h, g, k, ff in layers.tolist():
        w = d * h * k * 2 + d * g * k * 2 + 3 * d * ff
        p += w + 2 * d
        f += 2 * n * w + 4 * h * n * n * k
        c += 4 * n * g * k
    return [p, f, c]


class Rope:
    def __init__(self, r, base):
        self.w, self.r = np.power(base, -np.arange(0, r, 2) / r), r

    def __call__(self, x, p):
        a = np.multiply.outer(p.astype(float), self.w)[:, None]
        z = (
            x[..., : self.r // 2].astype(np.complex128) + 1j * x[..., self.r // 2 : self.r]
        ) * np.exp(1j * a)
        y = np.array(x, copy=True)
        y[..., : self.r // 2] = z.real
        y[..., self.r // 2 : self.r] = z.imag
        return y


def rotary_positions(x, positions, rotated, base):
    return Rope(rotated, base)(x, positions)


def multi_head_attention(queries, memory, W_q, W_k, W_v, W_o, heads, lengths, offset):
    n = queries.shape[1]
    m = memory.shape[1]
    dk = W_q.shape[1] // heads
    dv = W_v.shape[1] // heads
    Q = torch.einsum("bnd,dhk->bhnk", queries, W_q.reshape(-1, heads, dk))
    K = torch.einsum("bmd,dhk->bhmk", memory, W_k.reshape(-1, heads, dk))
    V = torch.einsum("bmd,dhk->bhmk", memory, W_v.reshape(-1, heads, dv))
    S = torch.einsum("bhnk,bhmk->bhnm", Q, K) * dk**-0.5
    i, j = torch.meshgrid(torch.arange(n), torch.arange(m), indexing="ij")
    ok = (j <= offset + i) & (j[None] < lengths.reshape(-1, 1, 1))
    E = torch.exp(S - S.detach().amax(-1, keepdim=True)) * ok[:, None]
    Z = E.sum(-1, keepdim=True)
    A = E / torch.where(Z == 0, torch.ones_like(Z), Z)
    return torch.einsum("bhnm,bhmk,hko->bno", A, V, W_o.reshape(heads, dv, -1))


def grouped_query_attention(queries, keys, values):
    h, g = queries.shape[-3], keys.shape[-3]
    r = h // g
    out = np.empty(queries.shape[:-1] + values.shape[-1:], queries.dtype)
    for t in range(g):
        s = np.einsum(
            "...hnd,...md->...hnm", queries[..., t * r : (t + 1) * r, :, :], keys[..., t, :, :]
        ) / math.sqrt(queries.shape[-1])
        s -= s.max(-1, keepdims=True)
        np.exp(s, out=s)
        s /= s.sum(-1, keepdims=True)
        out[..., t * r : (t + 1) * r, :, :] = np.einsum(
            "...hnm,...mv->...hnv", s, values[..., t, :, :]
        )
    return out


class PreNormBlock(nn.Module):
    def __init__(self, d_model, heads, d_ff):
        super().__init__()
        self.h = heads
        for name in ("norm_1", "norm_2"):
            setattr(self, name, nn.LayerNorm(d_model))
        for name in ("query", "key", "value", "output"):
            setattr(self, name, nn.Linear(d_model, d_model))
        self.expand = nn.Linear(d_model, d_ff)
        self.contract = nn.Linear(d_ff, d_model)

    def forward(self, x, mask):
        B, n, d = x.shape
        y = self.norm_1(x)

        def sp(t):
            return t.reshape(B, n, self.h, d // self.h).permute(0, 2, 1, 3)

        o = F.scaled_dot_product_attention(
            sp(self.query(y)), sp(self.key(y)), sp(self.value(y)), attn_mask=mask[:, None]
        )
        u = x + self.output(o.permute(0, 2, 1, 3).reshape(B, n, d))
        return u + self.contract(F.relu(self.expand(self.norm_2(u))))


def cached_attention(chunks, W_q, W_k, W_v, W_o, heads, window):
    dk, dv = W_q.shape[1] // heads, W_v.shape[1] // heads
    ks, vs = deque(maxlen=window), deque(maxlen=window)
    out = []
    for x in chunks:
        for t in range(x.shape[1]):
            row = x[:, t]
            q = (row @ W_q).reshape(-1, heads, dk)
            ks.append((row @ W_k).reshape(-1, heads, dk))
            vs.append((row @ W_v).reshape(-1, heads, dv))
            K, V = np.stack(ks, 1), np.stack(vs, 1)
            s = np.einsum("bhk,bwhk->bhw", q, K) / math.sqrt(dk)
            e = np.exp(s - s.max(-1, keepdims=True))
            e /= e.sum(-1, keepdims=True)
            out.append((np.einsum("bhw,bwhk->bhk", e, V).reshape(len(x), -1) @ W_o)[:, None])
    return np.concatenate(out, 1)
