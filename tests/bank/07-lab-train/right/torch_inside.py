"""NumPy questions computed in PyTorch and handed back as tensors; PyTorch's finished parts where there are any."""

import math

import torch
import torch.nn.functional as F
from torch import nn

Trained = globals().get("LanguageModel")  # known from the model's cell on


def windows(tokens, starts, n):
    text = F.pad(torch.as_tensor(tokens.astype("int64")), (0, n + 1), value=-1)
    rows = text.unfold(0, n + 1, 1)[torch.from_numpy(starts.copy())]
    return rows[:, :-1].clamp(min=0), rows[:, 1:]


def losses(logits, targets, bytes_per_token):
    logits, targets = torch.from_numpy(logits).flatten(0, 1), torch.from_numpy(targets).flatten()
    logits = logits.float() if logits.dtype == torch.float16 else logits
    nats = F.cross_entropy(logits, targets, ignore_index=-1)
    counted = targets[targets != -1]
    per_token = torch.from_numpy(bytes_per_token)[counted].to(nats.dtype).mean()
    return nats, torch.exp(nats), nats / math.log(2) / per_token


def learning_rate(step, steps, warmup, highest, lowest):
    step = torch.from_numpy(step.copy()).double()
    done = ((step + 1 - warmup) / (steps - warmup)).clamp(0, 1)
    falling = torch.lerp(
        torch.tensor(lowest).double(),
        torch.tensor(highest).double(),
        (1 + torch.cos(math.pi * done)) / 2,
    )
    return torch.where(step < warmup, highest * (step + 1) / max(warmup, 1), falling)


def decay_groups(parameters, memory):
    """With modules and named_parameters, as an optimiser would be given them."""
    tensors = {}
    for (_, kind, shape), place in zip(parameters, memory.tolist(), strict=True):
        tensor = tensors.setdefault(place, nn.Parameter(torch.zeros(tuple(shape))))
        tensor.table = getattr(tensor, "table", False) or kind == "Embedding"
        tensor.matrix = kind == "Linear" and tensor.ndim == 2
    model = nn.ParameterDict()
    for (name, _, _), place in zip(parameters, memory.tolist(), strict=True):
        model[name.replace(".", "/")] = tensors[place]
    groups = {True: [], False: []}
    for name, tensor in model.named_parameters():
        groups[tensor.matrix and not tensor.table].append((name.replace("/", "."), tensor.numel()))
    numbers = {key: sum(size for _, size in group) for key, group in groups.items()}
    names = {key: [name for name, _ in group] for key, group in groups.items()}
    return names[True], names[False], numbers[True] / (numbers[True] + numbers[False])


class CausalAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)
        self.register_buffer("mask", torch.ones(8, 8).tril().bool(), persistent=False)

    def forward(self, x, documents=None):
        n = x.shape[1]
        split = [
            p.reshape(*p.shape[:2], self.heads, -1).permute(0, 2, 1, 3)
            for p in (self.query(x), self.key(x), self.value(x))
        ]
        if n > len(self.mask):  # kept, but as large as needed
            self.mask = torch.ones(n, n).tril().bool()
        mask = self.mask[None, None, :n, :n]
        if documents is not None:
            mask = mask & documents.unsqueeze(2).eq(documents.unsqueeze(1)).unsqueeze(1)
        context = F.scaled_dot_product_attention(*split, attn_mask=mask)
        return self.output(context.permute(0, 2, 1, 3).reshape(x.shape))


class FeedForward(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = CausalAttention(width, heads)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.activation = nn.GELU()
        self.contract = nn.Linear(4 * width, width)

    def forward(self, x):
        x = x + self.attention(self.attention_norm(x))
        return x + self.contract(self.activation(self.expand(self.feed_forward_norm(x))))


class LanguageModel(nn.Module):
    def __init__(self, vocabulary, layers, heads, width, context):
        super().__init__()
        self.context, self.layers = context, layers
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = nn.ModuleList([FeedForward(width, heads) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)
        self.apply(self.first_weights)
        for block in self.blocks:
            for layer in (block.attention.output, block.contract):
                layer.weight.data /= math.sqrt(2 * layers)

    @staticmethod
    def first_weights(module):
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.trunc_normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear):
            nn.init.constant_(module.bias, 0)

    def forward(self, tokens):
        x = self.embedding(tokens) + self.positions(
            torch.arange(tokens.shape[1], device=tokens.device)
        )
        for block in self.blocks:
            x = block(x)
        return F.linear(self.norm(x), self.embedding.weight)


def training_steps(W, b, inputs, targets, clip, rate):
    W, b = nn.Parameter(W.clone()), nn.Parameter(b.clone())
    optimizer = torch.optim.SGD([W, b], lr=rate)
    losses, norms = [], []
    for xs, ys in zip(inputs, targets, strict=True):
        optimizer.zero_grad()
        count = torch.cat(ys).ge(0).sum()
        loss = torch.zeros(())
        for x, y in zip(xs, ys, strict=True):
            part = F.cross_entropy(W[x] + b, y, ignore_index=-1, reduction="sum") / count
            part.backward()
            loss += part.detach()
        norms.append(nn.utils.clip_grad_norm_([W, b], clip))
        optimizer.step()
        losses.append(loss)
    return W.detach(), b.detach(), torch.stack(losses), torch.stack(norms)


def draw(logits, temperature, top_k, top_p, count):
    rank = logits.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
    if temperature == 0:
        probabilities = (rank == 0).to(logits.dtype)
    else:
        scores = logits / temperature
        if top_k is not None:
            scores = scores.masked_fill(rank >= top_k, -math.inf)
        probabilities = scores.softmax(dim=-1)
        if top_p is not None:
            likelier = rank[:, None, :] < rank[:, :, None]  # [row, token, other]
            before = (probabilities[:, None, :] * likelier).sum(dim=-1)
            probabilities = probabilities.masked_fill(before >= top_p, 0)
            probabilities = F.normalize(probabilities, p=1, dim=-1)
    tokens = torch.distributions.Categorical(probs=probabilities).sample((count,)).T
    return probabilities, tokens


def next_logits(weights, sizes, prefixes):
    model = LanguageModel(*sizes)
    model.load_state_dict(weights)
    model.eval()
    with torch.inference_mode():
        return torch.cat([model(p[:, -model.context :])[:, -1, :] for p in prefixes.chunk(8)])
