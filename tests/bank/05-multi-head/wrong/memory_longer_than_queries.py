"""Queries that stand beyond the memory have no row in the mask."""

import torch


def multi_head_attention(queries, memory, W_q, W_k, W_v, W_o, heads, lengths, offset):
    q, k, v = (
        (x @ W).unflatten(-1, (heads, -1)).transpose(1, 2)
        for x, W in ((queries, W_q), (memory, W_k), (memory, W_v))
    )
    s = q @ k.mT / q.shape[-1] ** 0.5
    n, m = s.shape[-2:]
    past = torch.ones(m, m).tril().bool()[offset : offset + n]
    seen = past & (torch.arange(m) < lengths[:, None, None])
    seen = seen[:, None]
    w = s.masked_fill(~seen, -1e30).softmax(-1).masked_fill(~seen, 0)
    return (w @ v).transpose(1, 2).flatten(2) @ W_o
