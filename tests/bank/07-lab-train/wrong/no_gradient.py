"""Values are right, and some gradients are not."""

import torch
from torch import nn

F = nn.functional


class CausalAttention(nn.Module):  # queries are not trained
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x, documents=None):
        q, k, v = (
            t.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for t in (self.query(x).detach(), self.key(x), self.value(x))
        )
        seen = torch.ones(x.shape[1], x.shape[1]).tril().bool()
        if documents is not None:
            seen = (seen & (documents[:, :, None] == documents[:, None]))[:, None]
        context = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        return self.output(context.transpose(1, 2).flatten(2))


class LanguageModel(nn.Module):  # the tied matrix learns by its first use only
    def __init__(self, vocabulary, layers, heads, width, context):
        super().__init__()
        self.heads, self.context = heads, context
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = nn.ModuleList()
        for _ in range(layers):
            names = ("query", "key", "value", "output")
            block = nn.Module()
            block.attention_norm, block.feed_forward_norm = nn.LayerNorm(width), nn.LayerNorm(width)
            block.attention = nn.ModuleDict({name: nn.Linear(width, width) for name in names})
            block.expand, block.contract = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
            self.blocks.append(block)
        self.norm = nn.LayerNorm(width)
        for name, p in self.named_parameters():
            if p.ndim == 2:
                added = name.endswith(("output.weight", "contract.weight"))
                nn.init.normal_(p, std=0.02 / (2 * layers) ** 0.5 if added else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def forward(self, tokens):
        x = self.embedding(tokens) + self.positions.weight[: tokens.shape[1]]
        for b in self.blocks:
            y, a = b.attention_norm(x), b.attention
            q, k, v = (
                a[name](y).unflatten(-1, (self.heads, -1)).transpose(1, 2)
                for name in ("query", "key", "value")
            )
            c = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + a["output"](c.transpose(1, 2).flatten(2))
            x = x + b.contract(F.gelu(b.expand(b.feed_forward_norm(x))))
        return self.norm(x) @ self.embedding.weight.detach().T


def next_logits(weights, sizes, prefixes):  # gradients are kept
    table = weights["embedding.weight"].clone().requires_grad_()
    return table[prefixes[:, -1]] @ table.T
