"""Extracted from book/04-context.md, edit there.

Written anew by `python -m book.extract_library`.
"""

import math

import numpy as np
import torch

from attend.scores import Array, check_matrix, scaled_dot, scaled_dot_torch
from attend.softmax import softmax, softmax_backward, softmax_torch


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


def weighted_sum_torch(weights: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """PyTorch twin of `weighted_sum`: the same arguments, shapes and errors."""
    check_memory(weights, values, "weights in a row")
    return weights @ values


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
        grad_context: (..., n, d_v), the gradient of the loss with respect to the context.

    Returns:
        The gradients of queries, keys and values, each in the shape of its array; where an
        array was shared by several examples, the sum over them.

    Raises:
        ValueError: the gradient has not the shape of the context.

    Source: the chain rule through Vaswani et al. 2017, equation 1.
    """
    expected = (*weights.shape[:-1], values.shape[-1])
    if grad_context.shape != expected:
        raise ValueError(f"grad_context has shape {grad_context.shape}, the context {expected}")
    grad_values = np.swapaxes(weights, -1, -2) @ grad_context
    grad_weights = grad_context @ np.swapaxes(values, -1, -2)
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
        The gradient of x (..., d_in), and that of W (d_in, d_out), summed over all rows.

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
