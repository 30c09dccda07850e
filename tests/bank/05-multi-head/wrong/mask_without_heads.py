"""The mask lacks the axis of the heads: it goes through where there are as many heads as examples, or one example."""

import torch


def multi_head_attention(queries, memory, W_q, W_k, W_v, W_o, heads, lengths, offset):
    q, k, v = (
        (x @ W).unflatten(-1, (heads, -1)).transpose(1, 2)
        for x, W in ((queries, W_q), (memory, W_k), (memory, W_v))
    )
    scores = q @ k.mT / q.shape[-1] ** 0.5
    keys_at, queries_at = torch.arange(k.shape[2]), torch.arange(q.shape[2])
    seen = (keys_at < lengths[:, None, None]) & (keys_at <= offset + queries_at[:, None])
    weights = scores.masked_fill(~seen, -1e30).softmax(-1).masked_fill(~seen, 0)
    return (weights @ v).transpose(1, 2).flatten(2) @ W_o


class PreNormBlock(torch.nn.Module):
    def __init__(self, d_model, heads, d_ff):
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = torch.nn.LayerNorm(d_model), torch.nn.LayerNorm(d_model)
        self.query, self.key, self.value, self.output = (
            torch.nn.Linear(d_model, d_model) for _ in range(4)
        )
        self.expand, self.contract = torch.nn.Linear(d_model, d_ff), torch.nn.Linear(d_ff, d_model)

    def forward(self, x, mask):
        y = self.norm_1(x)
        q, k, v = (
            layer(y).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        scores = q @ k.mT / q.shape[-1] ** 0.5
        scores = scores.masked_fill(~mask, -torch.inf)
        context = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
        x = x + self.output(context)
        return x + self.contract(torch.relu(self.expand(self.norm_2(x))))
