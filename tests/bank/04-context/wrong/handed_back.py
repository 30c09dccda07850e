"""Something of a right shape or sum that answers nothing: arguments, constants, containers."""

import numpy as np
import torch


def padded_attention(queries, keys, values, lengths):
    return np.zeros((*queries.shape[:-1], values.shape[-1])), np.zeros(
        (*queries.shape[:-1], keys.shape[-2])
    )


def alignment_error(weights, sure, possible):
    return sure, 1.0, 1.0, 0.0


def memory_backward(queries, memory, W, mask, upstream):
    return queries, memory, W


def coverage_attention(queries, keys, W_q, W_k, w_c, w):
    return torch.full((*queries.shape[:2], keys.shape[1]), 1 / keys.shape[1])


def beam_search(log_probs, start, end, width, limit, alpha):
    return [([end], 0.0)]


class MendedDecoder(torch.nn.Module):
    def __init__(self, vocabulary, width, d_memory, start):
        super().__init__()
        self.embedding = torch.nn.Embedding(vocabulary, width)
        self.cell = torch.nn.GRUCell(2 * width, width)
        self.W = torch.nn.Parameter(torch.zeros(width, d_memory))
        self.mix = torch.nn.Linear(d_memory + width, width)
        self.output = torch.nn.Linear(width, vocabulary)

    def forward(self, targets, hidden, memory, mask):
        return self.output(self.embedding(targets))
