"""The same with PyTorch's repeat_interleave, under another name."""

import torch


def wide(x, times):
    return torch.from_numpy(x).repeat_interleave(times, -3)


def grouped_query_attention(queries, keys, values):
    times = queries.shape[-3] // keys.shape[-3]
    q, k, v = torch.from_numpy(queries), wide(keys, times), wide(values, times)
    return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v
