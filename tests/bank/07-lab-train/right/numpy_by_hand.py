"""Probabilities, gradients and draws by hand in NumPy; the modules spelt out with named tensors of their own."""

import numpy as np
import torch

Trained = globals().get("LanguageModel")  # known from the model's cell on


def log_softmax(scores):
    scores = scores - scores.max(axis=-1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))


def linear(width_in, width_out):
    layer = torch.nn.Linear(width_in, width_out)
    layer.weight = torch.nn.Parameter(0.02 * torch.randn(width_out, width_in))
    layer.bias = torch.nn.Parameter(torch.zeros(width_out))
    return layer


def norm(width):
    layer = torch.nn.Module()
    layer.weight = torch.nn.Parameter(torch.ones(width))
    layer.bias = torch.nn.Parameter(torch.zeros(width))
    return layer


def apply(layer, x):
    return x @ layer.weight.T + layer.bias


def normalise(layer, x):
    x = x - x.mean(dim=-1, keepdim=True)
    x = x / (x.square().mean(dim=-1, keepdim=True) + 1e-5).sqrt()
    return x * layer.weight + layer.bias


def attend(module, x, hidden):
    batch, n, width = x.shape
    q, k, v = (
        apply(getattr(module, name), x).reshape(batch, n, module.heads, -1).swapaxes(1, 2)
        for name in ("query", "key", "value")
    )
    scores = (q * (module.heads / width) ** 0.5) @ k.swapaxes(2, 3)
    weights = torch.exp(scores - scores.amax(dim=-1, keepdim=True)) * ~hidden
    weights = weights / weights.sum(dim=-1, keepdim=True)
    return apply(module.output, (weights @ v).swapaxes(1, 2).reshape(batch, n, width))


def windows(tokens, starts, n):
    text = np.full(len(tokens) + n + 1, -1, dtype=np.int64)
    text[: len(tokens)] = tokens
    rows = np.lib.stride_tricks.sliding_window_view(text, n + 1)[starts].copy()
    inputs, targets = rows[:, :-1].copy(), rows[:, 1:]
    inputs[inputs < 0] = 0
    return inputs, targets


def losses(logits, targets, bytes_per_token):
    kind = np.result_type(logits.dtype, np.float32)
    counted = (targets >= 0).astype(kind)
    answer = np.eye(logits.shape[-1], dtype=kind)[np.maximum(targets, 0)] * counted[..., None]
    total = -(log_softmax(logits.astype(kind)) * answer).sum()
    nats = total / counted.sum()
    return nats, np.exp(nats), (total / np.log(2) / (answer @ bytes_per_token).sum()).astype(kind)


def learning_rate(step, steps, warmup, highest, lowest):
    table = [highest * (s + 1) / warmup for s in range(warmup)]
    left = np.arange(1, steps - warmup + 1) / (steps - warmup)
    table = np.concatenate(
        [table, lowest + (highest - lowest) * (0.5 + 0.5 * np.cos(np.pi * left))]
    )
    return table[np.minimum(step, steps - 1)]


def decay_groups(parameters, memory):
    names, kinds, shapes = (np.array(part, dtype=object) for part in zip(*parameters, strict=True))
    sizes = np.array([np.prod(shape) for shape in shapes], dtype=float)
    _, first = np.unique(memory, return_index=True)
    once = np.zeros(len(names), dtype=bool)
    once[first] = True
    matrix = np.array([len(shape) == 2 for shape in shapes]) & (kinds == "Linear")
    decays = once & matrix & ~np.isin(memory, memory[kinds == "Embedding"])
    others = once & ~decays
    return names[decays].tolist(), names[others].tolist(), sizes[decays].sum() / sizes[once].sum()


class CausalAttention(torch.nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (linear(width, width) for _ in range(4))

    def forward(self, x, documents=None):
        place = torch.arange(x.shape[1])
        hidden = place[:, None] < place
        if documents is not None:
            hidden = hidden | (documents[:, :, None] != documents[:, None, :])[:, None]
        return attend(self, x, hidden)


class LanguageModel(torch.nn.Module):
    def __init__(self, vocabulary, layers, heads, width, context):
        super().__init__()
        self.context = context
        self.embedding, self.positions = torch.nn.Module(), torch.nn.Module()
        self.embedding.weight = torch.nn.Parameter(0.02 * torch.randn(vocabulary, width))
        self.positions.weight = torch.nn.Parameter(0.02 * torch.randn(context, width))
        self.blocks = torch.nn.ModuleList()
        for _ in range(layers):
            block = torch.nn.Module()
            block.attention_norm, block.feed_forward_norm = norm(width), norm(width)
            block.attention = CausalAttention(width, heads)
            block.expand, block.contract = linear(width, 4 * width), linear(4 * width, width)
            for layer in (block.attention.output, block.contract):
                layer.weight.data *= (2 * layers) ** -0.5
            self.blocks.append(block)
        self.norm = norm(width)

    def forward(self, tokens):
        one_hot = torch.nn.functional.one_hot(tokens, len(self.embedding.weight)).float()
        x = one_hot @ self.embedding.weight + self.positions.weight[: tokens.shape[1]]
        for block in self.blocks:
            x = x + block.attention(normalise(block.attention_norm, x))
            hidden = apply(block.expand, normalise(block.feed_forward_norm, x))
            hidden = hidden * (1 + torch.erf(hidden / 2**0.5)) / 2
            x = x + apply(block.contract, hidden)
        return normalise(self.norm, x) @ self.embedding.weight.T


def training_steps(W, b, inputs, targets, clip, rate):
    W, b = W.numpy().copy(), b.numpy().copy()
    told = []
    for xs, ys in zip(inputs, targets, strict=True):
        x, y = (torch.cat(parts).numpy() for parts in (xs, ys))
        x, y = x[y >= 0], y[y >= 0]
        log_p = log_softmax(W[x] + b)
        by_logits = (np.exp(log_p) - np.eye(len(b), dtype=W.dtype)[y]) / np.float32(len(y))
        by_W = np.zeros_like(W)
        np.add.at(by_W, x, by_logits)
        by_b = by_logits.sum(axis=0)
        norm_ = np.sqrt((by_W**2).sum() + (by_b**2).sum())
        factor = np.float32(rate * min(1, clip / norm_))
        W, b = W - factor * by_W, b - factor * by_b
        told.append([-log_p[np.arange(len(y)), y].mean(), norm_])
    losses, norms = np.array(told, dtype="float32").T
    return tuple(torch.from_numpy(part) for part in (W, b, losses.copy(), norms.copy()))


def draw(logits, temperature, top_k, top_p, count):
    logits = logits.numpy()
    order = np.argsort(-logits, axis=1, kind="stable")
    ranked = np.take_along_axis(logits, order, axis=1)
    if temperature == 0:
        kept = np.zeros_like(ranked)
        kept[:, 0] = 1
    else:
        kept = np.exp((ranked - ranked[:, :1]) / temperature)
        kept[:, top_k:] *= 0 if top_k else 1
        kept /= kept.sum(axis=1, keepdims=True)
        if top_p:
            kept[np.cumsum(kept, axis=1) - kept >= top_p] = 0
            kept /= kept.sum(axis=1, keepdims=True)
    probabilities = np.empty_like(kept)
    np.put_along_axis(probabilities, order, kept, axis=1)
    uniform = np.random.default_rng().random((len(logits), count))
    ends = np.cumsum(kept.astype(float), axis=1)
    ends /= ends[:, -1:]
    ranks = (uniform[:, :, None] >= ends[:, None, :]).sum(axis=2)
    return probabilities, np.take_along_axis(order, ranks, axis=1)


def next_logits(weights, sizes, prefixes):
    model = LanguageModel(*sizes)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name])
        seen = prefixes[:, -sizes[4] :]
        return torch.cat([model(seen[i : i + 40])[:, -1] for i in range(0, len(seen), 40)])
