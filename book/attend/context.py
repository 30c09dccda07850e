"""Extracted from book/04-context.md, edit there.

Written anew by `python -m book.extract_library`.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from attend.scores import Array, check_matrix, dot_torch, scaled_dot, scaled_dot_torch
from attend.softmax import padding_mask_torch, softmax, softmax_backward, softmax_torch


def weighted_sum(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Context vectors: for each query the average of the values under its weights.

    Args:
        weights: (..., n, m), each row with sum 1 (or 0, where everything is masked).
        values: (..., m, d_v).

    Returns:
        Context (..., n, d_v).

    Raises:
        ValueError: there are not as many values as weights in a row.

    Source: Bahdanau et al. 2015, equation 5; as a matrix product Vaswani et al. 2017,
    equation 1.
    """
    check_memory(weights, values, "weights in a row")
    return weights @ values


def check_memory(of_keys: Array, values: Array, name: str = "keys") -> None:
    """Raise a ValueError unless there is one value for each key, or for each weight."""
    m = of_keys.shape[-2 if name == "keys" else -1]
    if m != values.shape[-2]:
        raise ValueError(f"{m} {name} but {values.shape[-2]} values: each key has one value")


def weighted_sum_torch(weights: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """PyTorch twin of `weighted_sum`: the same arguments, shapes and errors."""
    check_memory(weights, values, "weights in a row")
    return weights @ values


def attention(
    queries: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    mask: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Scaled dot-product attention: score, softmax, weighted sum.

    Args:
        queries: (..., n, d_k).
        keys: (..., m, d_k).
        values: (..., m, d_v).
        mask: boolean, broadcast to (..., n, m); True where a query may attend.

    Returns:
        The context (..., n, d_v) and the weights (..., n, m). A query that may attend
        nowhere receives zeros.

    Raises:
        ValueError: queries and keys differ in width, keys and values in number, or the
            mask does not fit.

    Source: Vaswani et al. 2017, equation 1.
    """
    check_memory(keys, values)
    weights = softmax(scaled_dot(queries, keys), mask)
    return weighted_sum(weights, values), weights


def attention_torch(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    mask: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """PyTorch twin of `attention`: the same arguments, shapes and errors."""
    check_memory(keys, values)
    weights = softmax_torch(scaled_dot_torch(queries, keys), mask)
    return weighted_sum_torch(weights, values), weights


def attention_backward(
    queries: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    weights: np.ndarray,
    grad_context: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of scaled dot-product attention, derived by hand.

    Args:
        queries: (..., n, d_k).
        keys: (..., m, d_k).
        values: (..., m, d_v).
        weights: (..., n, m), what `attention` returned. A masked pair has weight 0 and
            passes nothing back, so that no mask is needed here.
        grad_context: (..., n, d_v), the gradient that arrives at the context.

    Returns:
        The gradients of queries, keys and values, each in the shape of its array; where
        an array was shared by several examples, the sum over them.

    Raises:
        ValueError: the gradient has not the shape of the context.

    Source: the chain rule through Vaswani et al. 2017, equation 1.
    """
    leading = np.broadcast_shapes(weights.shape[:-2], values.shape[:-2])
    expected = (*leading, weights.shape[-2], values.shape[-1])
    if grad_context.shape != expected:
        raise ValueError(f"grad_context has shape {grad_context.shape}, the context {expected}")
    grad_values = np.swapaxes(weights, -1, -2) @ grad_context
    grad_weights = sum_to(grad_context @ np.swapaxes(values, -1, -2), weights.shape)
    grad_scores = softmax_backward(weights, grad_weights) / math.sqrt(keys.shape[-1])
    grad_queries = grad_scores @ keys
    grad_keys = np.swapaxes(grad_scores, -1, -2) @ queries
    return (
        sum_to(grad_queries, queries.shape),
        sum_to(grad_keys, keys.shape),
        sum_to(grad_values, values.shape),
    )


def projection_backward(
    x: np.ndarray, W: np.ndarray, grad_output: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of a projection x @ W.

    Args:
        x: (..., d_in).
        W: (d_in, d_out), shared by everything along the leading axes.
        grad_output: (..., d_out).

    Returns:
        The gradient of x (..., d_in), and that of W (d_in, d_out), the sum over all rows.

    Raises:
        ValueError: W is not of shape (d_in, d_out).

    Source: the chain rule.
    """
    check_matrix(W, "W", x.shape[-1], grad_output.shape[-1])
    rows, grad_rows = x.reshape(-1, x.shape[-1]), grad_output.reshape(-1, W.shape[1])
    return grad_output @ W.T, rows.T @ grad_rows


def sum_to(gradient: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Sum a gradient over the axes along which an array of this shape was broadcast."""
    added = gradient.ndim - len(shape)
    repeated = tuple(added + axis for axis, size in enumerate(shape) if size == 1)
    total = gradient.sum(axis=tuple(range(added)) + repeated, keepdims=True)
    return total.reshape(shape)


class AdditiveAttention(nn.Module):
    """Bahdanau's attention: a small network scores every pair of query and key.

    Args:
        d_q: width of the queries.
        d_k: width of the keys.
        d_h: hidden width of the score.

    Source: Bahdanau et al. 2015, equations 5 and 6 and appendix A.1.2.
    """

    def __init__(self, d_q: int, d_k: int, d_h: int):
        super().__init__()
        self.W_q = nn.Parameter(torch.randn(d_q, d_h) / math.sqrt(d_q))
        self.W_k = nn.Parameter(torch.randn(d_k, d_h) / math.sqrt(d_k))
        self.w = nn.Parameter(torch.randn(d_h) / math.sqrt(d_h))

    def project(self, keys: torch.Tensor) -> torch.Tensor:
        """The keys' part of the score (..., m, d_h), for all queries to come."""
        return keys @ self.W_k

    def attend(self, queries, projected, values, mask=None):
        """As `forward`, with keys that `project` has seen already."""
        hidden = torch.tanh((queries @ self.W_q).unsqueeze(-2) + projected.unsqueeze(-3))
        weights = softmax_torch(hidden @ self.w, mask)
        return weighted_sum_torch(weights, values), weights

    def forward(self, queries, keys, values, mask=None):
        """Queries (..., n, d_q), keys (..., m, d_k), values (..., m, d_v) and a boolean
        mask that broadcasts to (..., n, m) -> context (..., n, d_v), weights (..., n, m)."""
        return self.attend(queries, self.project(keys), values, mask)


class LuongAttention(nn.Module):
    """Luong's multiplicative attention with the score "general", q^T W k.

    Args:
        d_q: width of the queries.
        d_k: width of the keys.

    Source: Luong et al. 2015, the alternative "general" below equation 7.
    """

    def __init__(self, d_q: int, d_k: int):
        super().__init__()
        self.W = nn.Parameter(torch.randn(d_q, d_k) / math.sqrt(d_q * d_k))

    def project(self, keys: torch.Tensor) -> torch.Tensor:
        """The keys translated into the queries' space (..., m, d_q)."""
        return keys @ self.W.T

    def attend(self, queries, projected, values, mask=None):
        """As `forward`, with keys that `project` has seen already."""
        weights = softmax_torch(dot_torch(queries, projected), mask)
        return weighted_sum_torch(weights, values), weights

    def forward(self, queries, keys, values, mask=None):
        """Queries (..., n, d_q), keys (..., m, d_k), values (..., m, d_v) and a boolean
        mask that broadcasts to (..., n, m) -> context (..., n, d_v), weights (..., n, m)."""
        return self.attend(queries, self.project(keys), values, mask)


class Memory(NamedTuple):
    """What an encoder hands to a decoder."""

    states: torch.Tensor  # (batch, m, d), one for each position of the input
    mask: torch.Tensor  # (batch, 1, m), True where the input is real and not padding
    summary: torch.Tensor  # (batch, d), the last state of each direction


class Encoder(nn.Module):
    """A GRU that reads a sequence of tokens from both ends.

    Args:
        vocabulary: the number of tokens; token 0 is padding.
        d_embedding: width of an embedding.
        d_hidden: width of the state of each direction; the states have twice that.

    Source: Bahdanau et al. 2015, section 3.2.
    """

    def __init__(self, vocabulary: int, d_embedding: int, d_hidden: int):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, d_embedding, padding_idx=0)
        self.gru = nn.GRU(d_embedding, d_hidden, batch_first=True, bidirectional=True)

    def forward(self, tokens: torch.Tensor, lengths: torch.Tensor) -> Memory:
        """Tokens (batch, m), padded with 0, and lengths (batch,) -> the memory."""
        m = tokens.shape[1]
        # packed, so that the backward direction starts at each input's own last token
        packed = nn.utils.rnn.pack_padded_sequence(
            self.embedding(tokens), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        states, last = self.gru(packed)
        states, _ = nn.utils.rnn.pad_packed_sequence(states, batch_first=True, total_length=m)
        mask = padding_mask_torch(lengths.to(tokens.device), m)
        return Memory(states, mask, last.transpose(0, 1).flatten(1))


class Decoder(nn.Module):
    """A GRU that writes the output from the summary alone: no attention.

    The summary is part of the input of every step, so that it need not survive in the
    state. All decoders share this interface. `forward` is teacher forcing. `start` and
    `step` write one token at a time, as the searches need it; a state is a tuple of
    tensors, batch first.

    Args:
        vocabulary: the number of output tokens; token 0 is padding.
        d_embedding: width of an embedding.
        d_hidden: width of the decoder's state.
        d_memory: width of the encoder's states and of its summary.

    Source: Cho et al. 2014, section 2.2.
    """

    def __init__(self, vocabulary: int, d_embedding: int, d_hidden: int, d_memory: int):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, d_embedding, padding_idx=0)
        self.bridge = nn.Linear(d_memory, d_hidden)
        self.gru = nn.GRU(d_embedding + d_memory, d_hidden, batch_first=True)
        self.output = nn.Linear(d_hidden + d_memory, vocabulary)

    def start(self, memory: Memory) -> tuple[torch.Tensor, ...]:
        """The state before the first step: hidden, then what stays as it is."""
        return torch.tanh(self.bridge(memory.summary)), memory.summary

    def step(self, tokens: torch.Tensor, state: tuple) -> tuple[torch.Tensor, tuple]:
        """Last tokens (batch,) and state -> logits (batch, vocabulary), new state."""
        hidden, summary = state
        logits, hidden = self._write(tokens[:, None], hidden, summary)
        return logits[:, 0], (hidden, summary)

    def forward(self, tokens: torch.Tensor, memory: Memory):
        """Tokens (batch, n), start token first -> logits (batch, n, vocabulary), None."""
        return self._write(tokens, *self.start(memory))[0], None

    def _write(self, tokens, hidden, summary):
        repeated = summary[:, None].expand(-1, tokens.shape[1], -1)
        inputs = torch.cat([self.embedding(tokens), repeated], dim=-1)
        states, last = self.gru(inputs, hidden[None])
        return self.output(torch.cat([states, repeated], dim=-1)), last[0]


def start_attending(hidden: torch.Tensor, memory: Memory, attention: nn.Module) -> tuple:
    """The first state of a decoder that attends: hidden, last weights, projected keys,
    values and mask."""
    nowhere = memory.states.new_zeros(memory.states.shape[:2])
    return hidden, nowhere, attention.project(memory.states), memory.states, memory.mask


class BahdanauDecoder(Decoder):
    """Attends before each step: the query is the state in which the last step ended.

    The context is part of the input of the step and of its output.

    Args:
        vocabulary, d_embedding, d_hidden, d_memory: as in `Decoder`.
        d_h: hidden width of the additive score.

    Source: Bahdanau et al. 2015, equations 4 to 6; the output without y_{t-1} and without their maxout layer.
    """

    def __init__(self, vocabulary, d_embedding, d_hidden, d_memory, d_h):
        super().__init__(vocabulary, d_embedding, d_hidden, d_memory)
        self.attention = AdditiveAttention(d_hidden, d_memory, d_h)

    def start(self, memory: Memory) -> tuple[torch.Tensor, ...]:
        """The state: hidden, last weights, projected keys, values and mask."""
        return start_attending(super().start(memory)[0], memory, self.attention)

    def step(self, tokens: torch.Tensor, state: tuple) -> tuple[torch.Tensor, tuple]:
        """Last tokens (batch,) and state -> logits (batch, vocabulary), new state."""
        hidden, _, *memory = state
        context, weights = self.attention.attend(hidden[:, None], *memory)
        logits, hidden = self._write(tokens[:, None], hidden, context[:, 0])
        return logits[:, 0], (hidden, weights[:, 0], *memory)

    def forward(self, tokens: torch.Tensor, memory: Memory):
        """Tokens (batch, n), the start token first -> logits (batch, n, vocabulary) and
        weights (batch, n, m)."""
        state, steps = self.start(memory), []
        for column in tokens.unbind(dim=1):
            logits, state = self.step(column, state)
            steps.append((logits, state[1]))
        logits, weights = zip(*steps, strict=True)
        return torch.stack(logits, dim=1), torch.stack(weights, dim=1)


class LuongDecoder(Decoder):
    """Attends after each step: the query is the state in which this step ends.

    The context goes to the output and not back into the state, so that teacher forcing runs
    over all steps at once. The arguments are those of `Decoder`.

    Source: Luong et al. 2015, equations 5 to 7, score "general"; without input feeding.
    """

    def __init__(self, vocabulary, d_embedding, d_hidden, d_memory):
        super().__init__(vocabulary, d_embedding, d_hidden, d_memory)
        self.gru = nn.GRU(d_embedding, d_hidden, batch_first=True)
        self.attention = LuongAttention(d_hidden, d_memory)
        self.mix = nn.Linear(d_hidden + d_memory, d_hidden)
        self.output = nn.Linear(d_hidden, vocabulary)

    def start(self, memory: Memory) -> tuple[torch.Tensor, ...]:
        """The state: hidden, last weights, projected keys, values and mask."""
        return start_attending(super().start(memory)[0], memory, self.attention)

    def step(self, tokens: torch.Tensor, state: tuple) -> tuple[torch.Tensor, tuple]:
        """Last tokens (batch,) and state -> logits (batch, vocabulary), new state."""
        hidden, _, *memory = state
        logits, weights, hidden = self._write(tokens[:, None], hidden, memory)
        return logits[:, 0], (hidden, weights[:, 0], *memory)

    def forward(self, tokens: torch.Tensor, memory: Memory):
        """Tokens (batch, n), the start token first -> logits (batch, n, vocabulary) and
        weights (batch, n, m)."""
        hidden, _, *memory = self.start(memory)
        return self._write(tokens, hidden, memory)[:2]

    def _write(self, tokens, hidden, memory):
        states, last = self.gru(self.embedding(tokens), hidden[None])
        context, weights = self.attention.attend(states, *memory)
        mixed = torch.tanh(self.mix(torch.cat([context, states], dim=-1)))
        return self.output(mixed), weights, last[0]


Step = Callable[[torch.Tensor, tuple], tuple[torch.Tensor, tuple]]


def check_limit(limit: int) -> None:
    """Raise a ValueError unless an output may hold a token."""
    if limit < 1:
        raise ValueError(f"limit is {limit}: an output has at least one token")


@torch.no_grad()
def greedy_search(step: Step, state: tuple, start: int, end: int, limit: int) -> torch.Tensor:
    """Write the most probable token at every step, until all outputs have ended.

    Args:
        step: maps the last tokens (batch,) and a state to logits (batch, vocabulary) and
            the next state, as `Decoder.step` does.
        state: a tuple of tensors, each with the batch along its first axis.
        start: the token before the first one.
        end: the token that ends an output.
        limit: the largest number of tokens.

    Returns:
        Tokens (batch, at most limit) without the start; after its end an output holds
        nothing but `end`.

    Raises:
        ValueError: the limit is not positive.

    Source: Sutskever et al. 2014, section 3.2, a beam of one.
    """
    check_limit(limit)
    batch, device = state[0].shape[0], state[0].device
    tokens = torch.full((batch,), start, device=device)
    ended = torch.zeros(batch, dtype=torch.bool, device=device)
    written = []
    while len(written) < limit and not ended.all():
        logits, state = step(tokens, state)
        tokens = logits.argmax(dim=-1).masked_fill(ended, end)
        ended = ended | (tokens == end)
        written.append(tokens)
    return torch.stack(written, dim=1)


@torch.no_grad()
def beam_search(
    step: Step,
    state: tuple,
    start: int,
    end: int,
    limit: int,
    width: int = 4,
    alpha: float = 1.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Keep the best few unfinished outputs at every step instead of one.

    An output of n tokens (its end included) is ranked by its log-probability / n ** alpha.
    Alpha 0 ranks by probability, which favours short outputs, 1 by the mean per token.

    Args:
        step, state, start, end, limit: as in `greedy_search`.
        width: how many outputs of each example are kept.
        alpha: the exponent of the length.

    Returns:
        The best output of each example (batch, at most limit), filled up with `end`, and
        its rank (batch,).

    Raises:
        ValueError: the width is not positive.

    Source: Sutskever et al. 2014, section 3.2; lengths normalised as by Wu et al. 2016,
    section 7, with n ** alpha in place of their (5 + n) ** alpha / 6 ** alpha.
    """
    if width < 1:
        raise ValueError(f"width is {width}: a beam keeps at least one output")
    check_limit(limit)
    batch, device = state[0].shape[0], state[0].device
    state = tuple(part.repeat_interleave(width, dim=0) for part in state)
    tokens = torch.full((batch, width, 0), start, device=device)
    last = torch.full((batch * width,), start, device=device)
    # all beams begin alike: only the first may be continued
    total = torch.full((batch, width), -torch.inf, device=device)
    total[:, 0] = 0.0
    ended = torch.zeros(batch, width, dtype=torch.bool, device=device)
    lengths = torch.zeros(batch, width, device=device)
    first = width * torch.arange(batch, device=device)[:, None]
    while tokens.shape[-1] < limit and not ended.all():
        logits, state = step(last, state)
        log_p = logits.log_softmax(dim=-1).unflatten(0, (batch, width))
        vocabulary = log_p.shape[-1]
        # an output that has ended is continued by `end` alone, at no cost
        free = torch.full_like(log_p, -torch.inf)
        free[..., end] = 0.0
        candidates = total[..., None] + torch.where(ended[..., None], free, log_p)
        lengths = lengths + ~ended
        ranks = candidates / lengths[..., None] ** alpha
        ranks, chosen = ranks.flatten(1).topk(width)
        beam, token = chosen // vocabulary, chosen % vocabulary
        total = candidates.flatten(1).gather(1, chosen)
        lengths, ended = lengths.gather(1, beam), ended.gather(1, beam) | (token == end)
        tokens = tokens.gather(1, beam[..., None].expand_as(tokens))
        tokens = torch.cat([tokens, token[..., None]], dim=-1)
        state = tuple(part[(first + beam).flatten()] for part in state)
        last = token.flatten()
    return tokens[:, 0], ranks[:, 0]
