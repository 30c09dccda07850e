"""Extracted from book/05-multi-head.md, edit there.

Written anew by `python -m book.extract_library`.
"""

import math

import numpy as np
import torch
from torch import nn

from attend.context import attention, attention_torch
from attend.scores import Array, scaled_dot_torch
from attend.softmax import causal_mask_torch, softmax_torch


def head_width(width: int, heads: int) -> int:
    """The width of one head where `heads` of them share `width` features.

    Raises:
        ValueError: the features cannot be shared out evenly.
    """
    if width % heads:
        raise ValueError(f"width {width} cannot be shared out among {heads} heads")
    return width // heads


def split_heads(x: np.ndarray, heads: int) -> np.ndarray:
    """Give each head its own slice of the features.

    Args:
        x: (..., n, heads * d_k).
        heads: how many heads.

    Returns:
        (..., heads, n, d_k): head t has the features from t * d_k on.

    Raises:
        ValueError: the width of x is no multiple of the heads.

    Source: Vaswani et al. 2017, section 3.2.2, with the heads' projections side by side.
    """
    *leading, n, width = x.shape
    return np.swapaxes(x.reshape(*leading, n, heads, head_width(width, heads)), -3, -2)


def merge_heads(x: np.ndarray) -> np.ndarray:
    """Put the heads' features side by side again, the inverse of `split_heads`.

    Args:
        x: (..., heads, n, d_v).

    Returns:
        (..., n, heads * d_v).

    Source: Vaswani et al. 2017, section 3.2.2 ("Concat").
    """
    *leading, heads, n, width = x.shape
    return np.swapaxes(x, -3, -2).reshape(*leading, n, heads * width)


def split_heads_torch(x: torch.Tensor, heads: int) -> torch.Tensor:
    """PyTorch twin of `split_heads`: the same arguments, shapes and errors."""
    return x.unflatten(-1, (heads, head_width(x.shape[-1], heads))).transpose(-3, -2)


def merge_heads_torch(x: torch.Tensor) -> torch.Tensor:
    """PyTorch twin of `merge_heads`: the same arguments and shapes."""
    return x.transpose(-3, -2).flatten(-2)


def over_heads(mask: Array | None) -> Array | None:
    """A mask (..., n, m) with an axis for the heads, (..., 1, n, m); none stays none."""
    return None if mask is None else mask[..., None, :, :]


def multi_head_attention(
    queries: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    W_q: np.ndarray,
    W_k: np.ndarray,
    W_v: np.ndarray,
    W_o: np.ndarray,
    heads: int,
    mask: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Several attentions side by side, each on projections of its own.

    Args:
        queries: (..., n, d); keys: (..., m, d'); values: (..., m, d'').
        W_q: (d, heads * d_k); W_k: (d', heads * d_k); W_v: (d'', heads * d_v).
        W_o: (heads * d_v, d_out).
        heads: how many heads.
        mask: boolean (..., n, m), True where a query may attend; the same for all heads.

    Returns:
        The output (..., n, d_out), and the weights (..., heads, n, m) of every head.

    Raises:
        ValueError: the projections' widths are no multiples of the heads.

    Source: Vaswani et al. 2017, section 3.2.2.
    """
    q = split_heads(queries @ W_q, heads)
    k = split_heads(keys @ W_k, heads)
    v = split_heads(values @ W_v, heads)
    context, weights = attention(q, k, v, over_heads(mask))
    return merge_heads(context) @ W_o, weights


def multi_head_attention_torch(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    W_q: torch.Tensor,
    W_k: torch.Tensor,
    W_v: torch.Tensor,
    W_o: torch.Tensor,
    heads: int,
    mask: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """PyTorch twin of `multi_head_attention`: the same arguments, shapes and errors."""
    q = split_heads_torch(queries @ W_q, heads)
    k = split_heads_torch(keys @ W_k, heads)
    v = split_heads_torch(values @ W_v, heads)
    context, weights = attention_torch(q, k, v, over_heads(mask))
    return merge_heads_torch(context) @ W_o, weights


class MultiHeadAttention(nn.Module):
    """Multi-head attention with learned projections.

    Args:
        d_model: width of queries, keys, values and output; each head has d_model / heads.
        heads: how many heads.
        rotate: whether queries and keys are turned by their positions (`rotary`).

    Raises:
        ValueError: d_model is no multiple of the heads.

    Source: Vaswani et al. 2017, section 3.2.2.
    """

    def __init__(self, d_model: int, heads: int, rotate: bool = False) -> None:
        super().__init__()
        head_width(d_model, heads)  # raises
        self.heads, self.rotate = heads, rotate
        self.query, self.key, self.value, self.output = (
            nn.Linear(d_model, d_model) for _ in range(4)
        )

    def forward(
        self,
        queries: torch.Tensor,
        keys: torch.Tensor | None = None,
        values: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
        score_bias: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Attend.

        Args:
            queries: (..., n, d_model).
            keys: (..., m, d_model); the queries where left out (self-attention).
            values: (..., m, d_model); the keys where left out.
            mask: boolean (..., n, m), True where a query may attend.
            score_bias: (heads, n, m), added to the scores (`alibi`, `relative_bias`).

        Returns:
            The output (..., n, d_model), and the weights (..., heads, n, m).
        """
        keys = queries if keys is None else keys
        values = keys if values is None else values
        q = split_heads_torch(self.query(queries), self.heads)
        k = split_heads_torch(self.key(keys), self.heads)
        v = split_heads_torch(self.value(values), self.heads)
        if self.rotate:  # the queries are the last n of the m positions
            if q.shape[-2] > k.shape[-2]:
                raise ValueError(
                    f"{q.shape[-2]} queries cannot be the last of {k.shape[-2]} positions"
                )
            places = torch.arange(k.shape[-2], device=k.device)
            q = rotary_torch(q, places[-q.shape[-2] :])
            k = rotary_torch(k, places)
        scores = scaled_dot_torch(q, k)
        if score_bias is not None:
            scores = scores + score_bias.to(scores.dtype)
        weights = softmax_torch(scores, over_heads(mask))
        return self.output(merge_heads_torch(weights @ v)), weights


def turning_rates(width: int) -> list[float]:
    """How fast each pair of features turns: 10000^(-2t / width) for t = 0, 1, …

    Raises:
        ValueError: the width is odd, so that the features do not form pairs.
    """
    if width % 2:
        raise ValueError(f"width {width} is odd, and positions turn pairs of features")
    return [10000.0 ** (-2 * t / width) for t in range(width // 2)]


def sinusoidal(positions: np.ndarray, d_model: int) -> np.ndarray:
    """Codes of positions, to be added to vectors of width d_model.

    Args:
        positions: (..., n), numbers; of float32 positions the codes are float32.
        d_model: an even width.

    Returns:
        Codes (..., n, d_model): sine and cosine in turn.

    Raises:
        ValueError: d_model is odd.

    Source: Vaswani et al. 2017, section 3.5.
    """
    rates = np.array(turning_rates(d_model), dtype=np.result_type(positions, np.float16))
    angles = positions[..., None] * rates
    codes = np.stack([np.sin(angles), np.cos(angles)], axis=-1)
    return codes.reshape(*positions.shape, d_model)


def sinusoidal_torch(positions: torch.Tensor, d_model: int) -> torch.Tensor:
    """PyTorch twin of `sinusoidal`; codes of integer positions have the default type."""
    whole = not positions.is_floating_point()
    dtype = torch.get_default_dtype() if whole else positions.dtype
    rates = torch.tensor(turning_rates(d_model), dtype=dtype, device=positions.device)
    angles = positions[..., None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)


def reach_of(table: Array) -> int:
    """The largest distance r of a table (heads, 2r + 1).

    Raises:
        ValueError: the table has an even number of columns, and so no middle.
    """
    if table.shape[-1] % 2 == 0:
        raise ValueError(
            f"the table has {table.shape[-1]} columns, not 2r + 1 for the distances -r to r"
        )
    return table.shape[-1] // 2


def relative_bias(
    table: np.ndarray, query_positions: np.ndarray, key_positions: np.ndarray
) -> np.ndarray:
    """A learned bias for each head and distance, to be added to the scores.

    Args:
        table: (heads, 2r + 1), for the distances j - i from -r to r.
        query_positions: (n,) whole numbers; key_positions: (m,).

    Returns:
        (heads, n, m); beyond the reach r the table's end counts.

    Raises:
        ValueError: the table has an even number of columns.

    Source: Raffel et al. 2020, section 2.1, with the clipped distances of Shaw et al. 2018.
    """
    reach = reach_of(table)
    distances = key_positions - query_positions[:, None]
    return table[:, np.clip(distances, -reach, reach) + reach]


def relative_bias_torch(
    table: torch.Tensor, query_positions: torch.Tensor, key_positions: torch.Tensor
) -> torch.Tensor:
    """PyTorch twin of `relative_bias`: the same arguments, shapes and errors."""
    reach = reach_of(table)
    distances = key_positions - query_positions[:, None]
    return table[:, distances.clamp(-reach, reach) + reach]


def alibi(heads: int, query_positions: np.ndarray, key_positions: np.ndarray) -> np.ndarray:
    """Biases that fall in a straight line with the distance, one slope for each head.

    Args:
        heads: how many heads; head t = 1, 2, … has the slope 2^(-8t / heads).
        query_positions: (n,); key_positions: (m,), of the type that the bias shall have.

    Returns:
        (heads, n, m), to be added to the scores.

    Source: Press et al. 2022, section 3; in both directions where no causal mask follows.
    """
    distances = np.abs(key_positions - query_positions[:, None])
    slopes = np.array([2.0 ** (-8 * t / heads) for t in range(1, heads + 1)])
    return -slopes.astype(np.result_type(distances, np.float16))[:, None, None] * distances


def alibi_torch(
    heads: int, query_positions: torch.Tensor, key_positions: torch.Tensor
) -> torch.Tensor:
    """PyTorch twin of `alibi`; of whole positions the bias has the default type."""
    distances = (key_positions - query_positions[:, None]).abs()
    slopes = [2.0 ** (-8 * t / heads) for t in range(1, heads + 1)]
    whole = not distances.is_floating_point()
    dtype = torch.get_default_dtype() if whole else distances.dtype
    return -torch.tensor(slopes, dtype=dtype, device=distances.device)[:, None, None] * distances


def rotary(x: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Turn pairs of features by angles that grow with the position.

    Args:
        x: (..., n, d_k), queries or keys; features 0 and 1 are the first pair, and so on.
        positions: (n,), or any shape that broadcasts to (..., n).

    Returns:
        The turned x, of the same shape.

    Raises:
        ValueError: d_k is odd.

    Source: Su et al. 2021, equations 14, 15 and 34.
    """
    angles = positions[..., None] * np.array(turning_rates(x.shape[-1]))
    dtype = np.result_type(x, np.float16)  # whole numbers have no sines
    cos, sin = np.cos(angles).astype(dtype), np.sin(angles).astype(dtype)
    first, second = x[..., 0::2], x[..., 1::2]
    turned = [first * cos - second * sin, first * sin + second * cos]
    return np.stack(turned, axis=-1).reshape(x.shape)


def rotary_torch(x: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """PyTorch twin of `rotary`: the same arguments, shapes and errors."""
    dtype = torch.promote_types(x.dtype, torch.float32)  # half precision would lose places
    rates = torch.tensor(turning_rates(x.shape[-1]), dtype=dtype, device=x.device)
    angles = positions[..., None] * rates
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = x[..., 0::2], x[..., 1::2]
    turned = [first * cos - second * sin, first * sin + second * cos]
    return torch.stack(turned, dim=-1).flatten(-2)


def layer_norm(
    x: np.ndarray,
    gain: np.ndarray,
    shift: np.ndarray,
    eps: float = 1e-5,
) -> np.ndarray:
    """Give each vector mean 0 and variance 1 over its features, then gain and shift.

    Args:
        x: (..., d).
        gain: (d,); shift: (d,).
        eps: added to the variance, so that a constant vector is no division by 0.

    Returns:
        (..., d).

    Source: Ba et al. 2016, section 3, applied to each position.
    """
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred * centred).mean(axis=-1, keepdims=True)
    return gain * centred / np.sqrt(variance + eps) + shift


def rms_norm(x: np.ndarray, gain: np.ndarray, eps: float = 1e-6) -> np.ndarray:
    """Divide each vector by the root of its mean square, then apply the gain.

    Args:
        x: (..., d).
        gain: (d,).
        eps: added to the mean square.

    Returns:
        (..., d).

    Source: Zhang and Sennrich 2019, equation 4.
    """
    return gain * x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + eps)


def layer_norm_torch(
    x: torch.Tensor,
    gain: torch.Tensor,
    shift: torch.Tensor,
    eps: float = 1e-5,
) -> torch.Tensor:
    """PyTorch twin of `layer_norm`: the same arguments and shapes."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))  # squares overflow a half
    centred = wide - wide.mean(dim=-1, keepdim=True)
    variance = (centred * centred).mean(dim=-1, keepdim=True)
    return gain * (centred / torch.sqrt(variance + eps)).to(x.dtype) + shift


def rms_norm_torch(x: torch.Tensor, gain: torch.Tensor, eps: float = 1e-6) -> torch.Tensor:
    """PyTorch twin of `rms_norm`: the same arguments and shapes."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    unit = wide / torch.sqrt((wide * wide).mean(dim=-1, keepdim=True) + eps)
    return gain * unit.to(x.dtype)


class RMSNorm(nn.Module):
    """`rms_norm` with a learned gain (d_model,), which starts at 1.

    Source: Zhang and Sennrich 2019.
    """

    def __init__(self, d_model: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.gain, self.eps = nn.Parameter(torch.ones(d_model)), eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise x (..., d_model)."""
        return rms_norm_torch(x, self.gain, self.eps)


class Block(nn.Module):
    """Self-attention, where asked for cross-attention, and a feed-forward network.

    Args:
        d_model: width of the vectors.
        heads: how many heads.
        d_ff: hidden width of the feed-forward network.
        cross: whether the block also attends to a memory (a decoder's block).
        pre: normalise before each sublayer, else after the addition.
        norm: nn.LayerNorm or RMSNorm.
        activation: the feed-forward network's; GPT-2's here, nn.ReLU in the first Transformer.
        dropout: share of each sublayer's output set to 0 in training.
        rotate: whether self-attention turns queries and keys by their positions.

    Source: Vaswani et al. 2017, sections 3.1 and 3.3; pre as in Xiong et al. 2020, figure 1 (b).
    """

    def __init__(
        self,
        d_model: int,
        heads: int,
        d_ff: int,
        *,
        cross: bool = False,
        pre: bool = True,
        norm: type[nn.Module] = nn.LayerNorm,
        activation: type[nn.Module] = nn.GELU,
        dropout: float = 0.0,
        rotate: bool = False,
    ) -> None:
        super().__init__()
        self.pre = pre
        self.attention = MultiHeadAttention(d_model, heads, rotate)
        self.attention_norm = norm(d_model)
        self.cross = MultiHeadAttention(d_model, heads) if cross else None
        self.cross_norm = norm(d_model) if cross else None
        self.feed_forward = nn.Sequential(
            nn.Linear(d_model, d_ff), activation(), nn.Linear(d_ff, d_model)
        )
        self.feed_forward_norm = norm(d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: torch.Tensor,
        mask: torch.Tensor | None = None,
        score_bias: torch.Tensor | None = None,
        memory: torch.Tensor | None = None,
        memory_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """One layer's work on x (..., n, d_model), with a memory (..., m, d_model) for `cross`.

        mask is (..., n, n) and memory_mask (..., n, m), boolean; score_bias is (heads, n, n).
        Raises ValueError where a memory is missing, or not asked for.
        """
        if (self.cross is None) != (memory is None):
            raise ValueError("a memory belongs to a block with cross=True, and to no other")

        def attend(y):
            return self.attention(y, mask=mask, score_bias=score_bias)[0]

        def consult(y):
            return self.cross(y, memory, mask=memory_mask)[0]

        x = self.around(attend, self.attention_norm, x)
        if self.cross is not None:
            x = self.around(consult, self.cross_norm, x)
        return self.around(self.feed_forward, self.feed_forward_norm, x)

    def around(self, sublayer, norm: nn.Module, x: torch.Tensor) -> torch.Tensor:
        """The residual connection and the normalisation around a sublayer."""
        if self.pre:
            return x + self.dropout(sublayer(norm(x)))
        return norm(x + self.dropout(sublayer(x)))


class Encoder(nn.Module):
    """A stack of blocks; with a causal mask it is a decoder-only model's body.

    Args:
        layers: how many blocks.
        d_model, heads, d_ff, options: see `Block`.

    Source: Vaswani et al. 2017, section 3.1; a last norm where blocks normalise before.
    """

    cross = False

    def __init__(self, layers: int, d_model: int, heads: int, d_ff: int, **options) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            Block(d_model, heads, d_ff, cross=self.cross, **options) for _ in range(layers)
        )
        last = options.get("norm", nn.LayerNorm) if options.get("pre", True) else nn.Identity
        self.norm = last(d_model)

    def forward(
        self,
        x: torch.Tensor,
        mask: torch.Tensor | None = None,
        score_bias: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Encode x (..., n, d_model) under a mask (..., n, n) and a bias (heads, n, n)."""
        for block in self.blocks:
            x = block(x, mask, score_bias)
        return self.norm(x)


class Decoder(Encoder):
    """A stack of blocks that see the past of their own sequence and all of a memory.

    Args: as `Encoder`.

    Source: Vaswani et al. 2017, section 3.1.
    """

    cross = True

    def forward(
        self,
        x: torch.Tensor,
        memory: torch.Tensor,
        memory_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Decode x (..., n, d_model) with a memory (..., m, d_model), mask (..., n, m)."""
        mask = causal_mask_torch(x.shape[-2], device=x.device)
        for block in self.blocks:
            x = block(x, mask, memory=memory, memory_mask=memory_mask)
        return self.norm(x)


class EncoderDecoder(nn.Module):
    """The Transformer: from tokens of a source to logits of the target's next tokens.

    Args:
        source_size: how many different tokens the source has; target_size: the target.
        layers, d_model, heads, d_ff, options: see `Encoder`; the same on both sides.

    Source: Vaswani et al. 2017, sections 3.1, 3.4 and 3.5.
    """

    def __init__(
        self,
        source_size: int,
        target_size: int,
        layers: int,
        d_model: int,
        heads: int,
        d_ff: int,
        **options,
    ) -> None:
        super().__init__()
        self.source = nn.Embedding(source_size, d_model)
        self.target = nn.Embedding(target_size, d_model)
        for embedding in (self.source, self.target):
            nn.init.normal_(embedding.weight, std=d_model**-0.5)
        self.encoder = Encoder(layers, d_model, heads, d_ff, **options)
        self.decoder = Decoder(layers, d_model, heads, d_ff, **options)
        self.output = nn.Linear(d_model, target_size)

    def embed(self, embedding: nn.Embedding, tokens: torch.Tensor) -> torch.Tensor:
        """Vectors (..., n, d_model) of tokens (..., n), with their positions."""
        x = embedding(tokens) * math.sqrt(embedding.embedding_dim)
        wide = torch.promote_types(x.dtype, torch.float32)  # half precision has no 257
        positions = torch.arange(tokens.shape[-1], device=x.device, dtype=wide)
        return x + sinusoidal_torch(positions, embedding.embedding_dim).to(x.dtype)

    def encode(self, source: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """The memory (..., m, d_model) of source tokens (..., m), mask (..., 1, m)."""
        return self.encoder(self.embed(self.source, source), mask)

    def forward(
        self, source: torch.Tensor, target: torch.Tensor, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Logits (..., n, target_size) for the tokens that follow each of the target's.

        source is (..., m), target (..., n), whole numbers; mask (..., 1, m) hides padding.
        """
        memory = self.encode(source, mask)
        return self.output(self.decoder(self.embed(self.target, target), memory, mask))
