"""The feed-forward network is half as wide as it should be."""

from torch import nn

F = nn.functional


class LanguageModel(nn.Module):
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
            block.expand, block.contract = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
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
        return F.linear(self.norm(x), self.embedding.weight)
