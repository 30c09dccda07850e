"""Extracted from book/03-softmax.md, edit there.

Written anew by `python -m book.extract_library`.
"""

from collections.abc import Sequence

import numpy as np
import torch

from attend.scores import Array


def softmax(scores: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Weights of each row of scores: positive, with sum 1 along the last axis.

    Args:
        scores: (..., n, m).
        mask: boolean, broadcast to the scores; True where a query may attend. None: everywhere.

    Returns:
        Weights (..., n, m), exactly 0 where masked. A row that is masked as a whole, or whose
        scores are all minus infinity, has weights 0.

    Raises:
        ValueError: the mask is not boolean or does not broadcast to the scores.

    Source: Bridle 1990; the maximum is subtracted as in Milakov and Gimelshein 2018,
    algorithm 2.
    """
    if mask is not None:
        check_mask(mask, scores)
        scores = np.where(mask, scores, -np.inf)
    largest = scores.max(axis=-1, keepdims=True)
    # an empty row has nothing to subtract: -inf - (-inf) would be NaN
    exponentials = np.exp(scores - np.where(largest == -np.inf, 0, largest))
    total = exponentials.sum(axis=-1, keepdims=True)
    return exponentials / np.where(total == 0, 1, total)


def check_mask(mask: Array, scores: Array) -> None:
    """Raise a ValueError unless a mask is boolean and broadcasts to the scores."""
    if str(mask.dtype) not in ("bool", "torch.bool"):
        raise ValueError(
            f"the mask is of type {mask.dtype}, not boolean: True where a query may attend"
        )
    shape, given = tuple(scores.shape), tuple(mask.shape)
    padded = (1,) * (len(shape) - len(given)) + given
    if len(padded) != len(shape) or any(
        of_mask not in (1, size) for of_mask, size in zip(padded, shape, strict=True)
    ):
        raise ValueError(f"the mask has shape {given}, which does not broadcast to scores {shape}")


def softmax_torch(scores: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """PyTorch twin of `softmax`; the gradient of a masked score is 0, never NaN."""
    if mask is not None:
        check_mask(mask, scores)
        scores = scores.masked_fill(~mask, -torch.inf)
    empty = (scores == -torch.inf).all(dim=-1, keepdim=True)
    weights = torch.softmax(scores.masked_fill(empty, 0.0), dim=-1)
    return weights.masked_fill(empty, 0.0)


def softmax_backward(weights: np.ndarray, grad_weights: np.ndarray) -> np.ndarray:
    """Gradient of the loss with respect to the scores, from that with respect to the weights.

    Args:
        weights: (..., n, m), what `softmax` returned.
        grad_weights: (..., n, m).

    Returns:
        The gradient of the scores (..., n, m); 0 wherever the weight is 0.

    Raises:
        ValueError: the two shapes differ.

    Source: the derivatives a_j (delta_jl - a_l) of Bridle 1990, multiplied with grad_weights
    without building their matrix.
    """
    check_same_shape(weights, grad_weights)
    mean = (weights * grad_weights).sum(axis=-1, keepdims=True)
    return weights * (grad_weights - mean)


def check_same_shape(weights: Array, grad_weights: Array) -> None:
    """Raise a ValueError unless the gradient has the weights' shape."""
    if weights.shape != grad_weights.shape:
        raise ValueError(
            f"weights have shape {tuple(weights.shape)}, their gradient {tuple(grad_weights.shape)}"
        )


def softmax_backward_torch(weights: torch.Tensor, grad_weights: torch.Tensor) -> torch.Tensor:
    """PyTorch twin of `softmax_backward`: the same arguments, shapes and errors."""
    check_same_shape(weights, grad_weights)
    mean = (weights * grad_weights).sum(dim=-1, keepdim=True)
    return weights * (grad_weights - mean)


def padding_mask(lengths: Sequence[int] | np.ndarray, m: int) -> np.ndarray:
    """Which keys of a padded batch are real.

    Args:
        lengths: (batch,) or any shape (...), how many real keys each example has.
        m: the number of keys after padding.

    Returns:
        A boolean mask (..., 1, m), True for the first `length` keys; the axis of size 1
        stands for all queries.

    Raises:
        ValueError: a length is negative or larger than m.

    Source: a convention; `key_padding_mask` of PyTorch's `nn.MultiheadAttention` is its negation.
    """
    lengths = np.asarray(lengths)
    check_lengths(lengths, m)
    return np.arange(m) < lengths[..., None, None]


def causal_mask(n: int, m: int | None = None) -> np.ndarray:
    """Which keys are not in the future of each query.

    Args:
        n: the number of queries.
        m: the number of keys, n where left out. The queries are the last n of the m positions.

    Returns:
        A boolean mask (n, m): True where j <= i + m - n, so that the last query sees every key.

    Raises:
        ValueError: there are fewer keys than queries, so that some query would see no key.

    Source: Vaswani et al. 2017, section 3.2.3, the third point.
    """
    m = n if m is None else m
    check_causal(n, m)
    return np.tri(n, m, m - n, dtype=bool)


def check_lengths(lengths: Array, m: int) -> None:
    """Raise a ValueError unless every length lies between 0 and m."""
    if ((lengths < 0) | (lengths > m)).any():
        raise ValueError(
            f"lengths from {int(lengths.min())} to {int(lengths.max())} for m = {m} keys: "
            "each must lie between 0 and m"
        )


def check_causal(n: int, m: int) -> None:
    """Raise a ValueError where there are fewer keys than queries."""
    if m < n:
        raise ValueError(f"{n} queries but {m} keys: the first queries would see no key")


def padding_mask_torch(lengths: Sequence[int] | torch.Tensor, m: int) -> torch.Tensor:
    """PyTorch twin of `padding_mask`, on the device of the lengths."""
    lengths = torch.as_tensor(lengths)
    check_lengths(lengths, m)
    return torch.arange(m, device=lengths.device) < lengths[..., None, None]


def causal_mask_torch(
    n: int, m: int | None = None, device: torch.device | str | None = None
) -> torch.Tensor:
    """PyTorch twin of `causal_mask`, made on the device given."""
    m = n if m is None else m
    check_causal(n, m)
    return torch.ones(n, m, dtype=torch.bool, device=device).tril(m - n)
