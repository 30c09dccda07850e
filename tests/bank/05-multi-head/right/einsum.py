"""Index notation throughout."""

import math

import numpy as np
import torch
from torch import einsum, nn


def weights_of(scores):
    scores = scores - scores.max(-1, keepdims=True)
    return np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)


def unpack_heads(packed, heads, groups):
    *rest, width = packed.shape
    parts = packed.reshape(*rest, heads + 2 * groups, width // (heads + 2 * groups))
    parts = np.einsum("...nhd->...hnd", parts)
    first, second, third = np.arange(heads), heads + np.arange(groups), -np.arange(groups, 0, -1)
    return parts[..., first, :, :], parts[..., second, :, :], parts[..., third, :, :]


def decoder_costs(vocab_size, d, layers, n):
    h, g, d_k, d_ff = np.asarray(layers, dtype=np.int64).T
    heads, groups = np.einsum("l,l->", h, d_k), np.einsum("l,l->", g, d_k)
    products = 2 * d * (heads + groups) + 3 * d * np.einsum("l->", d_ff)
    parameters = products + vocab_size * d + d * (1 + 2 * layers.shape[0])
    return parameters, 2 * n * (products + vocab_size * d) + 4 * n**2 * heads, 4 * n * groups


def rotary_positions(x, positions, rotated, base):
    t = np.arange(0, rotated, 2) / rotated
    angles = np.einsum("bn,t->bnt", positions.astype(np.float64), base**-t)[:, None]
    turn = np.stack([[np.cos(angles), -np.sin(angles)], [np.sin(angles), np.cos(angles)]])
    pairs = x[..., :rotated].reshape(*x.shape[:-1], 2, rotated // 2)
    turned = np.einsum("pqbhnt,bhnqt->bhnpt", turn.reshape(2, 2, *angles.shape), pairs)
    turned = turned.reshape(*x.shape[:-1], rotated).astype(x.dtype)
    return np.concatenate([turned, x[..., rotated:]], axis=-1)


def multi_head_attention(queries, memory, W_q, W_k, W_v, W_o, heads, lengths, offset):
    q = einsum("bnd,dhk->bhnk", queries, W_q.unflatten(1, (heads, -1)))
    k = einsum("bmd,dhk->bhmk", memory, W_k.unflatten(1, (heads, -1)))
    v = einsum("bmd,dhk->bhmk", memory, W_v.unflatten(1, (heads, -1)))
    scores = einsum("bhnk,bhmk->bhnm", q, k) / math.sqrt(k.shape[-1])
    n, m = scores.shape[2:]
    seen = torch.arange(m)[None, None] < lengths[:, None, None]
    seen = (seen & torch.ones(n, m, dtype=torch.bool).tril(diagonal=offset))[:, None]
    exponentials = scores.masked_fill(~seen, -torch.inf).exp()
    weights = exponentials / exponentials.sum(-1, keepdim=True).clamp_min(1e-30)
    return einsum("bhnm,bhmv,hvo->bno", weights, v, W_o.unflatten(0, (heads, -1)))


def grouped_query_attention(queries, keys, values):
    *leading, h, n, d_k = queries.shape
    q = queries.reshape(*leading, keys.shape[-3], -1, n, d_k)
    scores = np.einsum("...grnd,...gmd->...grnm", q, keys) / math.sqrt(d_k)
    contexts = np.einsum("...grnm,...gmv->...grnv", weights_of(scores), values)
    return contexts.reshape(*leading, h, n, values.shape[-1])


class PreNormBlock(nn.Module):
    def __init__(self, d_model, heads, d_ff):
        super().__init__()
        for name in ("query", "key", "value", "output"):
            setattr(self, name, nn.Linear(d_model, d_model))
        self.norm_1, self.norm_2 = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.expand, self.contract = nn.Linear(d_model, d_ff), nn.Linear(d_ff, d_model)
        self.h = heads

    def forward(self, x, mask):
        y = self.norm_1(x)
        q, k, v = (
            layer(y).unflatten(2, (self.h, -1)) for layer in (self.query, self.key, self.value)
        )
        scores = einsum("bihk,bjhk->bhij", q, k) * q.shape[-1] ** -0.5
        bias = torch.zeros_like(scores[:, :1]).masked_fill(~mask.unsqueeze(1), -torch.inf)
        context = einsum("bhij,bjhv->bihv", (scores + bias).softmax(3), v).flatten(2)
        u = x + self.output(context)
        return u + self.contract(self.expand(self.norm_2(u)).clamp(min=0))


def cached_attention(chunks, W_q, W_k, W_v, W_o, heads, window):
    def split(x, W):
        return np.einsum("bnd,dhk->bhnk", x, W.reshape(len(W), heads, -1))

    outputs = []
    past = None
    for x in chunks:
        q, k, v = split(x, W_q), split(x, W_k), split(x, W_v)
        if past is not None:
            k = np.concatenate((past[0], k), 2)
            v = np.concatenate((past[1], v), 2)
        n, m = q.shape[2], k.shape[2]
        ones = np.ones((n, m), dtype=bool)
        seen = np.tril(ones, m - n) & np.triu(ones, m - n - window + 1)
        scores = np.einsum("bhnk,bhmk->bhnm", q, k) / math.sqrt(q.shape[-1])
        weights = weights_of(np.where(seen, scores, -np.inf))
        out = np.einsum("bhnm,bhmv,hvo->bno", weights, v, W_o.reshape(heads, -1, W_o.shape[1]))
        outputs.append(out)
        past = k[:, :, max(0, m - window + 1) :].copy(), v[:, :, max(0, m - window + 1) :].copy()
    return np.concatenate(outputs, 1)
