"""Plain loops, one number after another."""

import math
import random

import numpy as np
import torch
from torch import nn

Trained = globals().get("LanguageModel")  # known from the model's cell on


def windows(tokens, starts, n):
    inputs = np.zeros((len(starts), n), dtype=np.int64)
    targets = np.full((len(starts), n), -1, dtype=np.int64)
    for row, start in enumerate(starts):
        for i in range(n):
            if start + i < len(tokens):
                inputs[row, i] = tokens[start + i]
            if start + i + 1 < len(tokens):
                targets[row, i] = tokens[start + i + 1]
    return inputs, targets


def losses(logits, targets, bytes_per_token):
    kind = np.float64 if logits.dtype == np.float64 else np.float32
    total, count, size = 0.0, 0, 0
    for scores, row in zip(logits.astype(np.float64), targets, strict=True):
        for score, target in zip(scores, row, strict=True):
            if target < 0:
                continue
            top = max(score)
            total += top + math.log(sum(math.exp(s - top) for s in score)) - score[target]
            count += 1
            size += int(bytes_per_token[target])
    return kind(total / count), kind(math.exp(total / count)), kind(total / math.log(2) / size)


def learning_rate(step, steps, warmup, highest, lowest):
    rates = np.empty(step.shape)
    for place in np.ndindex(step.shape):
        s = int(step[place])
        if s < warmup:
            rates[place] = highest / warmup * (s + 1)
        elif s >= steps:
            rates[place] = lowest
        else:
            angle = math.pi * (s - warmup + 1) / (steps - warmup)
            rates[place] = (highest + lowest) / 2 + (highest - lowest) / 2 * math.cos(angle)
    return rates


def decay_groups(parameters, memory):
    decayed, others = [], []
    yes = no = 0
    for i, (name, kind, shape) in enumerate(parameters):
        earlier = False
        table = kind == "Embedding"
        for j in range(len(parameters)):
            if j != i and memory[j] == memory[i]:
                earlier = earlier or j < i
                table = table or parameters[j][1] == "Embedding"
        if earlier:
            continue
        size = 1
        for axis in shape:
            size *= axis
        if kind == "Linear" and not table and len(shape) == 2:
            decayed.append(name)
            yes += size
        else:
            others.append(name)
            no += size
    return decayed, others, yes / (yes + no)


class CausalAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.d_k = heads, width // heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def forward(self, x, documents=None):
        batch, n, _ = x.shape
        q, k, v = self.query(x), self.key(x), self.value(x)
        examples = []
        for e in range(batch):
            rows = []
            for i in range(n):
                seen = [
                    j
                    for j in range(i + 1)
                    if documents is None or documents[e, j] == documents[e, i]
                ]
                parts = []
                for h in range(self.heads):
                    of_head = slice(h * self.d_k, (h + 1) * self.d_k)
                    scores = k[e, seen, of_head] @ q[e, i, of_head] / math.sqrt(self.d_k)
                    parts.append(torch.softmax(scores, dim=0) @ v[e, seen, of_head])
                rows.append(torch.cat(parts))
            examples.append(torch.stack(rows))
        return self.output(torch.stack(examples))


class Layer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = CausalAttention(width, heads)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)


class LanguageModel(nn.Module):
    def __init__(self, vocabulary, layers, heads, width, context):
        super().__init__()
        self.context = context
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = nn.ModuleList()
        for _ in range(layers):
            self.blocks.append(Layer(width, heads))
        self.norm = nn.LayerNorm(width)
        with torch.no_grad():
            self.embedding.weight.normal_(std=0.02)
            self.positions.weight.normal_(std=0.02)
            for b in self.blocks:
                a = b.attention
                for layer in (a.query, a.key, a.value, b.expand):
                    layer.weight.normal_(std=0.02)
                    layer.bias.zero_()
                for layer in (a.output, b.contract):
                    layer.weight.normal_(std=0.02 / math.sqrt(2 * layers))
                    layer.bias.zero_()

    def forward(self, tokens):
        fast = nn.functional.scaled_dot_product_attention
        x = self.embedding(tokens) + self.positions(torch.arange(tokens.shape[1]))
        for b in self.blocks:
            y, a = b.attention_norm(x), b.attention
            q, k, v = (
                torch.stack(layer(y).chunk(a.heads, dim=-1), dim=1)
                for layer in (a.query, a.key, a.value)
            )
            heads = fast(q, k, v, is_causal=True)
            x = x + a.output(torch.cat(heads.unbind(1), dim=-1))
            x = x + b.contract(nn.functional.gelu(b.expand(b.feed_forward_norm(x))))
        return torch.einsum("bnd,vd->bnv", self.norm(x), self.embedding.weight)


def training_steps(W, b, inputs, targets, clip, rate):
    W, b = W.clone(), b.clone()
    losses, norms = [], []
    for xs, ys in zip(inputs, targets, strict=True):
        dW, db, loss, count = torch.zeros_like(W), torch.zeros_like(b), 0.0, 0
        for x, y in zip(xs, ys, strict=True):
            for token, target in zip(x.tolist(), y.tolist(), strict=True):
                if target < 0:
                    continue
                p = torch.softmax(W[token] + b, dim=0)
                loss -= math.log(p[target])
                p[target] -= 1  # the gradient by the logits
                dW[token] += p
                db += p
                count += 1
        dW, db = dW / count, db / count
        norm = math.sqrt(float((dW**2).sum() + (db**2).sum()))
        shrink = clip / norm if norm > clip else 1.0
        W -= rate * shrink * dW
        b -= rate * shrink * db
        losses.append(loss / count)
        norms.append(norm)
    return W, b, torch.tensor(losses), torch.tensor(norms)


def draw(logits, temperature, top_k, top_p, count):
    rows, vocabulary = logits.shape
    probabilities = torch.zeros_like(logits)
    tokens = torch.zeros(rows, count, dtype=torch.long)
    for r in range(rows):
        order = sorted(range(vocabulary), key=lambda j, r=r: -float(logits[r, j]))
        if temperature == 0:
            weights = {order[0]: 1.0}
        else:
            top = float(logits[r].max())
            weights = {}
            for j in order[: top_k or vocabulary]:
                weights[j] = math.exp((float(logits[r, j]) - top) / temperature)
            total, reached, kept = sum(weights.values()), 0.0, {}
            for j, weight in weights.items():
                if top_p is not None and reached >= top_p:
                    break
                kept[j] = weight
                reached += weight / total
            weights = kept
        total = sum(weights.values())
        for j, weight in weights.items():
            probabilities[r, j] = weight / total
        drawn = random.choices(list(weights), weights=list(weights.values()), k=count)
        tokens[r] = torch.tensor(drawn)
    return probabilities, tokens


def next_logits(weights, sizes, prefixes):
    model = LanguageModel(*sizes)
    own = model.state_dict()
    for name in own:
        own[name].copy_(weights[name])
    model.eval()
    rows = []
    with torch.no_grad():
        for piece in prefixes.split(50):
            rows.append(model(piece[:, 64 - min(64, model.context) :])[:, -1])
    return torch.cat(rows)
