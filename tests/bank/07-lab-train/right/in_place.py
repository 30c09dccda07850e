"""Works in place, on copies of its own."""

import numpy as np
import torch
from torch import nn

Trained = globals().get("LanguageModel")  # known from the model's cell on


def windows(tokens, starts, n):
    both = np.empty((2, len(starts), n), dtype=np.int64)
    both[0], both[1] = 0, -1
    for row, start in enumerate(starts):
        piece = tokens[start : start + n + 1]
        inputs = piece[:n]
        both[0, row, : len(inputs)] = inputs
        both[1, row, : len(piece) - 1] = piece[1:]
    return both[0], both[1]


def losses(logits, targets, bytes_per_token):
    scores = logits.reshape(-1, logits.shape[-1]).astype(
        "float32" if logits.dtype == "float16" else logits.dtype, copy=True
    )
    targets = targets.ravel()
    counted = np.flatnonzero(targets != -1)
    scores -= scores.max(axis=1, keepdims=True)
    own = scores[counted, targets[counted]].copy()
    np.exp(scores, out=scores)
    each = np.log(scores[counted].sum(axis=1))
    each -= own
    nats = each.sum() / len(counted)
    size = np.bincount(targets[counted], minlength=len(bytes_per_token)) @ bytes_per_token
    return nats, np.exp(nats), (each.sum() / np.log(2) / size).astype(nats.dtype)


def learning_rate(step, steps, warmup, highest, lowest):
    rates = np.full(step.shape, lowest)
    rising = step < warmup
    rates[rising] = (step[rising] + 1) * highest / max(warmup, 1)
    falling = (step >= warmup) & (step < steps)
    angle = (step[falling] + 1.0 - warmup) * np.pi
    angle /= steps - warmup
    np.cos(angle, out=angle)
    angle += 1
    angle *= (highest - lowest) / 2
    rates[falling] += angle
    return rates


def decay_groups(parameters, memory):
    left = [(*row, place) for row, place in zip(parameters, memory.tolist(), strict=True)]
    tables = [place for _, kind, _, place in left if kind == "Embedding"]
    decayed, others, numbers = [], [], np.zeros(2)
    while left:
        name, kind, shape, place = left.pop(0)
        left = [row for row in left if row[3] != place]
        decays = kind == "Linear" and len(shape) > 1 and place not in tables
        (others, decayed)[decays].append(name)
        numbers[int(decays)] += np.prod(shape)
    return decayed, others, numbers[1] / numbers.sum()


class CausalAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        for name in ("query", "key", "value", "output"):
            self.add_module(name, nn.Linear(width, width))

    def forward(self, x, documents=None):
        batch, n, width = x.shape
        q, k, v = (
            layer(x).view(batch, n, self.heads, -1) for layer in (self.query, self.key, self.value)
        )
        scores = torch.einsum("bihd,bjhd->bhij", q, k) / (width // self.heads) ** 0.5
        hidden = torch.ones(n, n, dtype=torch.bool).triu_(1).repeat(batch, 1, 1)
        if documents is not None:
            hidden |= documents[:, :, None] != documents[:, None]
        scores = scores.masked_fill_(hidden[:, None], -1e30)
        context = torch.einsum("bhij,bjhd->bihd", scores.softmax(-1), v)
        return self.output(context.reshape(batch, n, width))


def sublayers(width, heads):
    parts = {"attention_norm": nn.LayerNorm(width), "attention": CausalAttention(width, heads)}
    parts |= {"feed_forward_norm": nn.LayerNorm(width), "expand": nn.Linear(width, 4 * width)}
    return nn.ModuleDict(parts | {"contract": nn.Linear(4 * width, width)})


class LanguageModel(nn.Module):
    def __init__(self, vocabulary, layers, heads, width, context):
        super().__init__()
        self.context = context
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = nn.ModuleList(sublayers(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        for name, module in self.named_modules():
            if isinstance(module, nn.LayerNorm | CausalAttention) or not hasattr(module, "weight"):
                continue
            module.weight.data.normal_().mul_(0.02)
            if name.endswith(("attention.output", "contract")):
                module.weight.data.div_((2 * layers) ** 0.5)
            if isinstance(module, nn.Linear):
                module.bias.data.fill_(0)

    def forward(self, tokens):
        x = self.embedding(tokens)
        x += self.positions.weight[: tokens.shape[-1]]
        for b in self.blocks:
            x = x + b["attention"](b["attention_norm"](x))
            hidden = b["expand"](b["feed_forward_norm"](x))
            x = x + b["contract"](nn.functional.gelu(hidden))
        return self.norm(x) @ self.embedding.weight.t()


def training_steps(W, b, inputs, targets, clip, rate):
    """One matrix for both: b is a row more, and every token reads it."""
    theta = torch.cat([W, b[None]]).requires_grad_()
    losses, norms = [], []
    for xs, ys in zip(inputs, targets, strict=True):
        theta.grad = torch.zeros_like(theta)
        sums, count = 0.0, 0
        for x, y in zip(xs, ys, strict=True):
            x, y = x[y >= 0], y[y >= 0]
            log_p = (theta[x] + theta[-1]).log_softmax(-1)
            loss = -log_p.gather(1, y[:, None]).sum()
            loss.backward()
            sums, count = sums + loss.item(), count + len(y)
        theta.grad /= count
        norm = theta.grad.norm()
        if norm > clip:
            theta.grad *= clip / norm
        with torch.no_grad():
            theta -= rate * theta.grad
        losses.append(sums / count)
        norms.append(norm)
    theta = theta.detach()
    return theta[:-1], theta[-1], torch.tensor(losses), torch.tensor(norms)


def draw(logits, temperature, top_k, top_p, count):
    if temperature == 0:
        probabilities = torch.zeros_like(logits)
        probabilities[
            torch.arange(len(logits)), logits.max(dim=1, keepdim=True)[0].eq(logits).int().argmax(1)
        ] = 1
    else:
        probabilities = (logits / temperature).softmax(1)
        for row in probabilities:
            order = np.argsort(-row.numpy(), kind="stable")
            row[order[top_k:].copy() if top_k else []] = 0
            row /= row.sum()
            if top_p:
                enough = int(np.argmax(row[order].cumsum(0).numpy() >= top_p - 1e-12))
                row[order[enough + 1 :].copy()] = 0
                row /= row.sum()
    rng = np.random.default_rng()
    shares = probabilities.double().numpy()
    tokens = [rng.choice(len(p), size=count, p=p / p.sum()) for p in shares]
    return probabilities, np.stack(tokens)


def next_logits(weights, sizes, prefixes):
    model = LanguageModel(*sizes).eval().requires_grad_(False)
    model.load_state_dict(weights)
    logits = torch.empty(len(prefixes), sizes[0])
    for start in range(0, len(prefixes), 64):
        rows = slice(start, start + 64)
        logits[rows] = model(prefixes[rows, -model.context :])[:, -1]
    return logits
