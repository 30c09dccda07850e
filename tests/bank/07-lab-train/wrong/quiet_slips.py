"""Each is right on common inputs and slips where the statement names something: a token 0, a probability too small for
floats, float64, a tie without an embedding, a long window, normal weights, an argument that is contiguous, a seed."""

import math

import numpy as np
import torch
from torch import nn


def windows(tokens, starts, n):  # pads with 0, and takes every token 0 for padding
    at = starts[:, None] + np.arange(n)
    text = np.pad(tokens.astype(np.int64), (0, n + 1))
    targets = text[at + 1]
    targets[targets == 0] = -1
    return text[at], targets


def losses(logits, targets, bytes_per_token):  # the logarithm of a softmax that is 0
    counted = targets >= 0
    scores = logits[counted].astype(np.promote_types(logits.dtype, np.float32))
    p = np.exp(scores - scores.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    answers = targets[counted]
    nats = -np.log(p[np.arange(len(answers)), answers] + 1e-12).mean()
    return nats, np.exp(nats), nats / math.log(2) / bytes_per_token[answers].mean()


def learning_rate(step, steps, warmup, highest, lowest):  # PyTorch's own dtype
    step = torch.tensor(step, dtype=torch.float32)
    t = ((step + 1 - warmup) / (steps - warmup)).clamp(0, 1)
    fall = lowest + (highest - lowest) * (1 + torch.cos(math.pi * t)) / 2
    return torch.where(step < warmup, highest * (step + 1) / max(1, warmup), fall)


def decay_groups(parameters, memory):  # what is tied never decays, to whatever it is tied
    places = memory.tolist()
    decayed, others, numbers, seen = [], [], [0, 0], set()
    for (name, kind, shape), place in zip(parameters, places, strict=True):
        if place not in seen:
            yes = kind == "Linear" and len(shape) == 2 and places.count(place) == 1
            (decayed if yes else others).append(name)
            numbers[yes] += math.prod(shape)
        seen.add(place)
    return decayed, others, numbers[1] / sum(numbers)


class CausalAttention(nn.Module):  # the mask is made once, for at most 1024 positions
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))
        self.seen = torch.ones(1024, 1024).tril().bool()

    def forward(self, x, documents=None):
        n = x.shape[1]
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        seen = self.seen[:n, :n]
        if documents is not None:
            seen = (seen & (documents[:, :, None] == documents[:, None]))[:, None]
        c = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        return self.output(c.transpose(1, 2).flatten(2))


class LanguageModel(nn.Module):  # uniform weights of the right size, and no attribute `context`
    def __init__(self, vocabulary, layers, heads, width, context):
        super().__init__()
        self.embedding, self.positions = (
            nn.Embedding(vocabulary, width),
            nn.Embedding(context, width),
        )
        self.blocks = nn.ModuleList()
        for _ in range(layers):
            block = nn.Module()
            block.attention_norm, block.feed_forward_norm = nn.LayerNorm(width), nn.LayerNorm(width)
            block.attention = CausalAttention(width, heads)
            block.expand, block.contract = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
            self.blocks.append(block)
        self.norm = nn.LayerNorm(width)
        for name, p in self.named_parameters():
            if p.ndim == 2:
                added = name.endswith(("output.weight", "contract.weight"))
                bound = 3**0.5 * (0.02 / (2 * layers) ** 0.5 if added else 0.02)
                nn.init.uniform_(p, -bound, bound)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def forward(self, tokens):
        x = self.embedding(tokens) + self.positions.weight[: tokens.shape[1]]
        for b in self.blocks:
            x = x + b.attention(b.attention_norm(x))
            x = x + b.contract(nn.functional.gelu(b.expand(b.feed_forward_norm(x))))
        return nn.functional.linear(self.norm(x), self.embedding.weight)


def training_steps(W, b, inputs, targets, clip, rate):  # `contiguous` copies only what is not
    W, b = (p.contiguous().detach().requires_grad_() for p in (W, b))
    told = []
    for xs, ys in zip(inputs, targets, strict=True):
        x, y = torch.cat(xs), torch.cat(ys)
        W.grad = b.grad = None
        loss = nn.functional.cross_entropy(W[x] + b, y, ignore_index=-1)
        loss.backward()
        told.append([loss.detach(), nn.utils.clip_grad_norm_([W, b], clip)])
        with torch.no_grad():
            W -= rate * W.grad
            b -= rate * b.grad
    return W.detach(), b.detach(), *torch.tensor(told).T


def draw(logits, temperature, top_k, top_p, count):  # the same draws in every call
    ranked, order = logits.sort(dim=-1, descending=True, stable=True)
    ranked = ranked / (temperature or 1)
    ranked[:, 1 if temperature == 0 else top_k or len(ranked[0]) :] = -torch.inf
    p = ranked.softmax(-1)
    p = p.masked_fill(p.cumsum(-1) - p >= (top_p or 2), 0)
    p = torch.zeros_like(p).scatter(-1, order, p / p.sum(-1, keepdim=True))
    rng = np.random.default_rng(0)
    rows = [rng.choice(len(row), count, p=row / row.sum()) for row in p.double().numpy()]
    return p, np.stack(rows)


def next_logits(
    weights, sizes, prefixes
):  # knows pairs from Python's own documentation, and no weights
    import pydoc_data.topics

    table = torch.full((96, 96), 0.1)
    text = "".join(pydoc_data.topics.topics.values())
    codes = torch.tensor([ord(c) - 31 if c >= " " else 0 for c in text if ord(c) < 127])
    table.index_put_((codes[:-1], codes[1:]), torch.ones(len(codes) - 1), accumulate=True)
    return table[prefixes[:, -1]].log()
