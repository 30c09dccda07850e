"""Parameters of other names, or more than there should be."""

import torch
from torch import nn

F = nn.functional


class CausalAttention(nn.Module):  # the mask is stored
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))
        self.register_buffer("mask", torch.ones(64, 64).tril().bool())

    def forward(self, x, documents=None):
        n = x.shape[1]
        q, k, v = (
            f(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for f in (self.query, self.key, self.value)
        )
        context = F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask[:n, :n])
        return self.output(context.transpose(1, 2).flatten(2))


class LanguageModel(nn.Module):  # PyTorch's own layers
    def __init__(self, vocabulary, layers, heads, width, context):
        super().__init__()
        self.context = context
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(width, heads, 4 * width, batch_first=True, norm_first=True)
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens):
        n = tokens.shape[1]
        x = self.embedding(tokens) + self.positions.weight[:n]
        for block in self.blocks:
            x = block(x, src_mask=torch.ones(n, n).triu(1).bool())
        return self.norm(x) @ self.embedding.weight.T


def next_logits(weights, sizes, prefixes):  # the weights are never loaded
    torch.seed()
    return torch.randn(sizes[0], sizes[0])[prefixes[:, -1]]
