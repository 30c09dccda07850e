"""As short as it goes, other names, lists returned."""

import numpy as np
import torch
from torch import nn

F = nn.functional
Trained = globals().get("LanguageModel")  # known from the model's cell on


def windows(t, s, n):
    t = np.r_[t.astype(int), [-1] * (n + 1)][s[:, None] + np.arange(n + 1)]
    return [np.maximum(t[:, :-1], 0), t[:, 1:]]


def losses(s, y, size):
    ok = y > -1
    s, y = torch.from_numpy(s[ok]), torch.from_numpy(y[ok])
    nats = F.cross_entropy(s.float() if s.dtype is torch.half else s, y)
    return [nats, nats.exp(), nats / np.log(2) * len(y) / float(size[y].sum())]


def learning_rate(i, n, w, top, low):
    t = np.minimum((i + 1 - w) / (n - w), 1)
    return np.where(i < w, top * (i + 1) / (w or 1), low + (top - low) * np.cos(t * np.pi / 2) ** 2)


def decay_groups(rows, at):
    first = {m: row for row, m in list(zip(rows, at.tolist(), strict=True))[::-1]}
    no = {m for (_, k, s), m in zip(rows, at.tolist(), strict=True) if k != "Linear" or len(s) < 2}
    once = [(m, row) for m, row in list(first.items())[::-1]]
    once.sort(key=lambda pair: rows.index(pair[1]))
    size = [sum(int(np.prod(r[2])) for m, r in once if (m in no) == b) for b in (False, True)]
    return (
        [r[0] for m, r in once if m not in no],
        [r[0] for m, r in once if m in no],
        size[0] / sum(size),
    )


class CausalAttention(nn.Module):
    def __init__(self, d, h):
        super().__init__()
        self.h = h
        self.query, self.key, self.value, self.output = (nn.Linear(d, d) for _ in "qkvo")

    def forward(self, x, doc=None):
        q, k, v = (
            f(x).unflatten(2, (self.h, -1)).transpose(1, 2)
            for f in (self.query, self.key, self.value)
        )
        doc = x.new_zeros(x.shape[:2]) if doc is None else doc
        hide = (doc[:, None] != doc[..., None]) | torch.ones(x.shape[1], x.shape[1]).triu(1).bool()
        s = (q @ k.mT * q.shape[-1] ** -0.5).masked_fill(hide[:, None], -torch.inf)
        return self.output((s.softmax(-1) @ v).transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, d, h):
        super().__init__()
        self.attention_norm, self.attention = nn.LayerNorm(d), CausalAttention(d, h)
        self.feed_forward_norm = nn.LayerNorm(d)
        self.expand, self.contract = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

    def forward(self, x):
        x = x + self.attention(self.attention_norm(x))
        return x + self.contract(F.gelu(self.expand(self.feed_forward_norm(x))))


class LanguageModel(nn.Module):
    def __init__(self, V, L, h, d, context):
        super().__init__()
        self.context = context
        self.embedding, self.positions = nn.Embedding(V, d), nn.Embedding(context, d)
        self.blocks, self.norm = nn.Sequential(*(Block(d, h) for _ in range(L))), nn.LayerNorm(d)
        for n, p in self.named_parameters():
            if p.ndim > 1:
                p.data.normal_(
                    0, 0.02 / (2 * L) ** 0.5 if "output" in n or "contract" in n else 0.02
                )
            elif "bias" in n:
                p.data *= 0

    def forward(self, t):
        x = self.blocks(self.embedding(t) + self.positions.weight[: t.shape[1]])
        return self.norm(x) @ self.embedding.weight.T


def training_steps(W, b, xs, ys, clip, rate):
    out = []
    for x, y in zip(map(torch.cat, xs), map(torch.cat, ys), strict=True):
        W, b = W.detach().clone().requires_grad_(), b.detach().clone().requires_grad_()
        loss = F.cross_entropy(W[x] + b, y, ignore_index=-1)
        loss.backward()
        out += [[loss.detach(), nn.utils.clip_grad_norm_([W, b], clip)]]
        W, b = W - rate * W.grad, b - rate * b.grad
    return [W, b, *torch.tensor(out).T]


def draw(s, T, k, p, count):
    r, at = s.sort(dim=-1, descending=True, stable=True)
    r = r / T if T else torch.full_like(r, -torch.inf).index_fill(1, torch.tensor([0]), 0)
    r[:, k or r.shape[1] :] = -torch.inf
    q = r.softmax(-1)
    q = q * (q.cumsum(-1) - q < (p or 1))
    q = torch.zeros_like(q).scatter(1, at, q / q.sum(-1, keepdim=True))
    return [q, q.multinomial(count, True)]


@torch.no_grad()
def next_logits(w, sizes, x):
    m = Trained(*sizes)
    m.load_state_dict(w)
    return torch.cat([m.eval()(y[:, -m.context :])[:, -1] for y in x.split(32)])
