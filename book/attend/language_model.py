"""A decoder-only language model, classic or modern by switches. Written by hand; `attend.training` trains it.

Every part is one from the chapter on multi-head attention; what is new is that PyTorch's own
`scaled_dot_product_attention` computes the attention, so that no array of n × n weights is kept.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from attend.multi_head import head_width, merge_heads_torch, split_heads_torch, turning_rates

__all__ = ["Configuration", "LanguageModel", "generate", "next_token_probabilities"]


@dataclass(frozen=True)
class Configuration:
    """What a model is, in plain values, so that it can be stored beside the weights as JSON.

    The values left out make GPT-2 (Radford et al. 2019); `attend.recipes` turns the switches.

    Args:
        vocabulary: how many different tokens there are.
        layers, heads, width: how many blocks; heads in each; features of each token.
        context: how many tokens the model sees at once, n at most.
        dropout: share of activations set to 0 in training.
        positions: "learned" (a table, GPT-2) or "rotary" (Su et al. 2021).
        norm: "layer" (Ba et al. 2016) or "rms" (Zhang and Sennrich 2019), without learned gains.
        activation: "gelu" (the tanh form, as GPT-2) or "squared_relu" (So et al. 2021, "Primer").
        bias: whether linear layers have biases.
        query_key_norm: bring queries and keys to unit mean square before scoring (Henry et al. 2020: there
            to length 1, with a learned scale; here with 1 / sqrt(d_k), which bounds scores by sqrt(d_k)).
        token_shift: values, and what the feed-forward network sees, mix each position with the one before it, by a
            learned share for each feature (Peng et al. 2023, "RWKV", there for more of them).
        zero_output: the last matrix of every sublayer starts at 0, so that each block starts as the
            identity (Zhang et al. 2019, "Fixup"; here only this part of it).
        tied: one matrix embeds tokens and scores them (Press and Wolf 2017).
        soft_cap: logits become cap · tanh(logits / cap) (Gemma Team 2024, "Gemma 2", section 2, which caps
            attention's scores too); 0 leaves them alone.
    """

    vocabulary: int
    layers: int = 4
    heads: int = 4
    width: int = 128
    context: int = 64
    dropout: float = 0.0
    positions: str = "learned"
    norm: str = "layer"
    activation: str = "gelu"
    bias: bool = True
    query_key_norm: bool = False
    token_shift: bool = False
    zero_output: bool = False
    tied: bool = True
    soft_cap: float = 0.0

    def __post_init__(self) -> None:
        head_width(self.width, self.heads)  # raises where the heads cannot share the width
        choices = {
            "positions": ("learned", "rotary"),
            "norm": ("layer", "rms"),
            "activation": ("gelu", "squared_relu"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}, not one of {allowed}")


def rms_norm(width: int) -> nn.Module:
    """`attend.multi_head.rms_norm` without a gain: where a matrix follows, that can absorb one."""
    return nn.RMSNorm(width, eps=1e-6, elementwise_affine=False)


def make_norm(c: Configuration) -> nn.Module:
    """The normalisation that a configuration asks for."""
    return nn.LayerNorm(c.width, bias=c.bias) if c.norm == "layer" else rms_norm(c.width)


def rotation(n: int, d_k: int) -> torch.Tensor:
    """Cosines and sines (2, n, d_k) for `rotate`.

    Source: Su et al. 2021, equation 34. Feature t is paired with t + d_k / 2, not with its neighbour as in
    `attend.multi_head.rotary`: the same up to the order of features, and halves are exchanged by one roll.
    """
    angles = torch.arange(n)[:, None] * torch.tensor(turning_rates(d_k))
    cos, sin = angles.cos(), angles.sin()
    return torch.stack([torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1)])


def rotate(x: torch.Tensor, cos_sin: torch.Tensor) -> torch.Tensor:
    """Turn x (..., n, d_k) by its positions, with the cosines and sines of `rotation`."""
    cos, sin = cos_sin.to(x.dtype)
    return x * cos + x.roll(x.shape[-1] // 2, dims=-1) * sin


class TokenShift(nn.Module):
    """Mix each position with the one before it, by a share that is learned for each feature."""

    def __init__(self, width: int, share: float) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.full((width,), share))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (batch, n, width) ↦ (1 - share) x_i + share x_{i-1}, with nothing, 0, before the first position."""
        before = F.pad(x, (0, 0, 1, 0))[:, :-1]
        return torch.lerp(x, before, self.share.to(x.dtype))


class CausalAttention(nn.Module):
    """Multi-head self-attention that sees the past only (Vaswani et al. 2017, sections 3.2.2 and 3.2.3)."""

    def __init__(self, c: Configuration) -> None:
        super().__init__()
        self.heads, self.query_key_norm, self.dropout = c.heads, c.query_key_norm, c.dropout
        self.query, self.key, self.value, self.output = (
            nn.Linear(c.width, c.width, bias=c.bias) for _ in range(4)
        )
        self.shift = TokenShift(c.width, 0.5) if c.token_shift else nn.Identity()
        self.norm = rms_norm(c.width // c.heads)

    def forward(self, x: torch.Tensor, cos_sin: torch.Tensor | None) -> torch.Tensor:
        """Attend from each position of x (batch, n, width) to itself and the ones before."""
        q, k, v = self.query(x), self.key(x), self.shift(self.value(x))
        q, k, v = (split_heads_torch(vectors, self.heads) for vectors in (q, k, v))
        if self.query_key_norm:
            q, k = self.norm(q), self.norm(k)
        if cos_sin is not None:
            q, k = rotate(q, cos_sin), rotate(k, cos_sin)
        dropout = self.dropout if self.training else 0.0
        context = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)
        return self.output(merge_heads_torch(context))


class FeedForward(nn.Module):
    """Two linear layers, four times as wide between them (Vaswani et al. 2017, section 3.3)."""

    def __init__(self, c: Configuration) -> None:
        super().__init__()
        self.squared_relu = c.activation == "squared_relu"
        self.shift = TokenShift(c.width, 0.3) if c.token_shift else nn.Identity()
        self.hidden = nn.Linear(c.width, 4 * c.width, bias=c.bias)
        self.output = nn.Linear(4 * c.width, c.width, bias=c.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Transform x (..., width)."""
        x = self.hidden(self.shift(x))
        x = F.relu(x).square() if self.squared_relu else F.gelu(x, approximate="tanh")
        return self.output(x)


class DecoderBlock(nn.Module):
    """Attention and feed-forward network, both with pre-norm (Xiong et al. 2020, figure 1 b)."""

    def __init__(self, c: Configuration) -> None:
        super().__init__()
        self.attention_norm, self.attention = make_norm(c), CausalAttention(c)
        self.feed_forward_norm, self.feed_forward = make_norm(c), FeedForward(c)
        self.dropout = nn.Dropout(c.dropout)

    def forward(self, x: torch.Tensor, cos_sin: torch.Tensor | None) -> torch.Tensor:
        """One layer's work on x (batch, n, width)."""
        x = x + self.dropout(self.attention(self.attention_norm(x), cos_sin))
        return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))


class LanguageModel(nn.Module):
    """From tokens to the logits of the tokens that follow them (Radford et al. 2019, section 2.3)."""

    def __init__(self, configuration: Configuration) -> None:
        super().__init__()
        self.configuration = c = configuration
        self.embedding = nn.Embedding(c.vocabulary, c.width)
        self.positions = nn.Embedding(c.context, c.width) if c.positions == "learned" else None
        turns = rotation(c.context, c.width // c.heads) if c.positions == "rotary" else None
        self.register_buffer("cos_sin", turns, persistent=False)  # derived, so never saved
        self.dropout = nn.Dropout(c.dropout)
        self.blocks = nn.ModuleList(DecoderBlock(c) for _ in range(c.layers))
        self.norm = make_norm(c)
        # A tied model has no matrix of its own here: it uses the embedding's.
        self.output = None if c.tied else nn.Linear(c.width, c.vocabulary, bias=False)
        self.initialise()

    def initialise(self) -> None:
        """Draw the weights with deviation 0.02, less for what is added 2 · layers times.

        Source: OpenAI's code of GPT-2 for 0.02 (it has 0.01 for positions); Radford et al. 2019, section 2.3,
        for the factor 1 / sqrt(residual layers), of which each block has two.
        """
        c = self.configuration
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                added = name.endswith("output") and name != "output"
                scale = 1 / math.sqrt(2 * c.layers) if added else 1.0
                nn.init.normal_(module.weight, std=0.02 * scale)
                if added and c.zero_output:
                    nn.init.zeros_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits (batch, n, vocabulary), of float32, for what follows each of the tokens (batch, n).

        Raises:
            ValueError: there are more tokens than the context holds.
        """
        c, n = self.configuration, tokens.shape[-1]
        if n > c.context:
            raise ValueError(f"{n} tokens are more than the context of {c.context}")
        x = self.embedding(tokens)
        if self.positions is not None:
            x = x + self.positions.weight[:n]
        x = self.dropout(x)
        cos_sin = None if self.cos_sin is None else self.cos_sin[:, :n]
        for block in self.blocks:
            x = block(x, cos_sin)
        matrix = self.embedding.weight if self.output is None else self.output.weight
        logits = F.linear(self.norm(x), matrix).float()  # as CUDA's autocast for a cross-entropy
        return c.soft_cap * torch.tanh(logits / c.soft_cap) if c.soft_cap else logits

    def parameter_count(self) -> int:
        """How many numbers training may change."""
        return sum(parameter.numel() for parameter in self.parameters())

    def flops_per_token(self) -> int:
        """Floating-point operations of one token in training, forward and backward.

        6 P + 12 · layers · width · context: P are the weights of all matrix products, the one of the logits
        included and looked-up tables not; each multiplies and adds once forward and twice backward. The second
        term is that of Q Kᵀ and of weights times V. Nothing is deducted for the causal mask.

        Source: Chowdhery et al. 2022 ("PaLM"), appendix B; there with all parameters for P.
        """
        c = self.configuration
        products = 12 * c.layers * c.width**2 + c.vocabulary * c.width
        return 6 * products + 12 * c.layers * c.width * c.context


def next_token_probabilities(
    logits: torch.Tensor,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> torch.Tensor:
    """The distribution from which the next token is drawn.

    Args:
        logits: (..., vocabulary).
        temperature: logits are divided by it; 0 puts everything on the likeliest token.
        top_k: keep only so many of the likeliest tokens (Fan et al. 2018, section 5.4).
        top_p: keep the fewest likeliest tokens that have at least this probability together
            (Holtzman et al. 2020, section 3.1); counted after temperature and top_k.

    Returns:
        Probabilities (..., vocabulary), which sum to 1.

    Raises:
        ValueError: a setting is out of its range.
    """
    if temperature < 0:
        raise ValueError(f"temperature is {temperature}, and must not be negative")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k is {top_k}, and must be at least 1")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p is {top_p}, and must lie above 0 and be at most 1")
    if temperature == 0:
        return F.one_hot(logits.argmax(dim=-1), logits.shape[-1]).to(logits.dtype)
    ranked, order = (logits / temperature).sort(dim=-1, descending=True, stable=True)
    if top_k is not None:
        ranked[..., top_k:] = -math.inf
    probabilities = F.softmax(ranked, dim=-1)
    if top_p is not None:  # a token stays where those before it have less than top_p
        before = probabilities.cumsum(dim=-1) - probabilities
        probabilities = probabilities.masked_fill(before >= top_p, 0.0)
        probabilities = probabilities / probabilities.sum(dim=-1, keepdim=True)
    return torch.empty_like(probabilities).scatter_(-1, order, probabilities)


@torch.no_grad()
def generate(
    model: nn.Module,
    prompt: torch.Tensor,
    count: int,
    *,
    generator: torch.Generator | None = None,
    context: int | None = None,
    **options,
) -> torch.Tensor:
    """Continue a prompt, one token after another.

    Args:
        model: maps tokens (batch, n) to logits (batch, n, vocabulary).
        prompt: tokens (batch, n), at least one.
        count: how many tokens to add.
        generator: the source of chance, on the prompt's device; the same one gives the same text.
        context: how many of the last tokens the model sees; by default its configuration's.
        options: temperature, top_k, top_p of `next_token_probabilities`.

    Returns:
        Tokens (batch, n + count), the prompt included.
    """
    context = context or model.configuration.context
    if prompt.shape[-1] == 0:
        raise ValueError("the prompt is empty: the model needs one token to start from")
    was_training = model.training
    model.eval()
    tokens = prompt
    for _ in range(count):  # sees its whole window anew each time; the lab on speed adds a cache
        logits = model(tokens[:, -context:])[:, -1]
        probabilities = next_token_probabilities(logits, **options)
        drawn = torch.multinomial(probabilities, 1, generator=generator)
        tokens = torch.cat([tokens, drawn], dim=-1)
    model.train(was_training)
    return tokens
