"""Something of the right shape that answers nothing: arguments, constants."""

import numpy as np
import torch


def unpack_heads(packed, heads, groups):
    return packed, packed, packed


def rotary_positions(x, positions, rotated, base):
    return x


class PreNormBlock(torch.nn.Module):
    def __init__(self, d_model, heads, d_ff):
        super().__init__()
        self.norm_1, self.norm_2 = torch.nn.LayerNorm(d_model), torch.nn.LayerNorm(d_model)
        self.query, self.key, self.value, self.output = (
            torch.nn.Linear(d_model, d_model) for _ in range(4)
        )
        self.expand, self.contract = torch.nn.Linear(d_model, d_ff), torch.nn.Linear(d_ff, d_model)

    def forward(self, x, mask):
        return x


def cached_attention(chunks, W_q, W_k, W_v, W_o, heads, window):
    x = np.concatenate(list(chunks), axis=1)
    return np.ones((*x.shape[:2], W_o.shape[1]), dtype=x.dtype)


def multi_head_attention(queries, memory, W_q, W_k, W_v, W_o, heads, lengths, offset):
    return (
        torch.zeros(*queries.shape[:2], W_o.shape[1], dtype=queries.dtype, requires_grad=True) * 1
    )
