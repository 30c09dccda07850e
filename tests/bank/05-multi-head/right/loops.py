"""Plain loops over examples, heads, queries and keys; PyTorch where gradients flow."""

import math

import numpy as np
import torch


def unpack_heads(packed, heads, groups):
    d_k = packed.shape[-1] // (heads + 2 * groups)

    def head(number):
        return packed[..., number * d_k : (number + 1) * d_k]

    parts = []
    first = 0
    for count in (heads, groups, groups):
        parts.append(np.stack([head(first + t) for t in range(count)], axis=-3))
        first += count
    return tuple(parts)


def decoder_costs(vocab_size, d, layers, n):
    parameters = vocab_size * d + d
    flops = 2 * n * d * vocab_size
    cached = 0
    for row in layers:
        h, g, d_k, d_ff = [int(x) for x in row]
        for rows, columns in [
            (d, h * d_k),
            (d, g * d_k),
            (d, g * d_k),
            (h * d_k, d),
            (d, d_ff),
            (d, d_ff),
            (d_ff, d),
        ]:
            parameters += rows * columns
            flops += 2 * n * rows * columns
        parameters += d + d
        for _ in range(h):
            flops += 2 * n * n * d_k
            flops += 2 * n * n * d_k
        cached += 2 * g * d_k * n * 2
    return parameters, flops, cached


def rotary_positions(x, positions, rotated, base):
    result = np.array(x)
    half = rotated // 2
    for b in range(x.shape[0]):
        for i in range(x.shape[2]):
            for t in range(half):
                angle = int(positions[b, i]) / base ** (2 * t / rotated)
                cos, sin = math.cos(angle), math.sin(angle)
                one, other = x[b, :, i, t], x[b, :, i, t + half]
                result[b, :, i, t] = one * cos - other * sin
                result[b, :, i, t + half] = one * sin + other * cos
    return result


def multi_head_attention(queries, memory, W_q, W_k, W_v, W_o, heads, lengths, offset):
    batch, n = queries.shape[:2]
    d_k, d_v = W_q.shape[1] // heads, W_v.shape[1] // heads
    examples = []
    for b in range(batch):
        rows = []
        for i in range(n):
            count = min(int(lengths[b]), offset + i + 1, memory.shape[1])
            contexts = []
            for t in range(heads):
                mine, own = slice(t * d_k, (t + 1) * d_k), slice(t * d_v, (t + 1) * d_v)
                q = queries[b, i] @ W_q[:, mine]
                k, v = memory[b, :count] @ W_k[:, mine], memory[b, :count] @ W_v[:, own]
                weights = torch.softmax(k @ q / d_k**0.5, dim=0)
                contexts.append(weights @ v)  # no key at all: a sum over nothing is 0
            rows.append(torch.cat(contexts) @ W_o)
        examples.append(torch.stack(rows))
    return torch.stack(examples)


def grouped_query_attention(queries, keys, values):
    h, g = queries.shape[-3], keys.shape[-3]
    contexts = []
    for t in range(h):
        k, v = keys[..., t // (h // g), :, :], values[..., t // (h // g), :, :]
        s = queries[..., t, :, :] @ np.swapaxes(k, -1, -2) * queries.shape[-1] ** -0.5
        e = np.exp(s - s.max(axis=-1)[..., None])
        contexts.append((e / e.sum(axis=-1)[..., None]) @ v)
    return np.stack(contexts, axis=-3)


class PreNormBlock(torch.nn.Module):
    def __init__(self, d_model, heads, d_ff):
        super().__init__()
        self.heads = heads
        self.width = d_model // heads
        self.norm_1 = torch.nn.LayerNorm(d_model)
        self.norm_2 = torch.nn.LayerNorm(d_model)
        self.query = torch.nn.Linear(d_model, d_model)
        self.key = torch.nn.Linear(d_model, d_model)
        self.value = torch.nn.Linear(d_model, d_model)
        self.output = torch.nn.Linear(d_model, d_model)
        self.expand = torch.nn.Linear(d_model, d_ff)
        self.contract = torch.nn.Linear(d_ff, d_model)

    def forward(self, x, mask):
        y = self.norm_1(x)
        queries, keys, values = self.query(y), self.key(y), self.value(y)
        contexts = []
        for t in range(self.heads):
            own = slice(t * self.width, (t + 1) * self.width)
            scores = queries[..., own] @ keys[..., own].transpose(1, 2) / math.sqrt(self.width)
            scores = torch.where(mask, scores, torch.full_like(scores, -1e9))
            contexts.append(torch.softmax(scores, dim=2) @ values[..., own])
        x = x + self.output(torch.cat(contexts, dim=2))
        return x + self.contract(torch.nn.functional.relu(self.expand(self.norm_2(x))))


def cached_attention(chunks, W_q, W_k, W_v, W_o, heads, window):
    d_k, d_v = W_q.shape[1] // heads, W_v.shape[1] // heads
    keys, values, outputs = [], [], []
    for chunk in chunks:
        for i in range(chunk.shape[1]):
            x = chunk[:, i]
            q = x @ W_q
            keys.append(x @ W_k)
            values.append(x @ W_v)
            if len(keys) > window:
                del keys[0], values[0]
            contexts = []
            for t in range(heads):
                mine, own = slice(t * d_k, (t + 1) * d_k), slice(t * d_v, (t + 1) * d_v)
                scores = [(q[:, mine] * k[:, mine]).sum(1) / math.sqrt(d_k) for k in keys]
                most = np.max(scores, axis=0)
                e = [np.exp(s - most) for s in scores]
                total = sum(e)
                parts = [(a / total)[:, None] * v[:, own] for a, v in zip(e, values, strict=True)]
                contexts.append(sum(parts))
            outputs.append(np.concatenate(contexts, axis=1) @ W_o)
    return np.stack(outputs, axis=1)
