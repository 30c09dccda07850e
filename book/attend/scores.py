"""Extracted from book/02-scores.md, edit there.

Written anew by `python -m book.extract_library`.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F

Array = np.ndarray | torch.Tensor


def shared_width(queries: Array, keys: Array) -> int:
    """The width d_k that queries (..., n, d_k) and keys (..., m, d_k) share.

    Raises:
        ValueError: the last axes differ, so that no dot product exists.
    """
    if queries.shape[-1] != keys.shape[-1]:
        raise ValueError(
            f"queries have width {queries.shape[-1]} and keys width {keys.shape[-1]}: "
            "a dot product needs equal widths (the bilinear score does not)"
        )
    return keys.shape[-1]


def dot(queries: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Dot-product scores: how far each query and key point the same way.

    Args:
        queries: (..., n, d_k).
        keys: (..., m, d_k).

    Returns:
        Scores (..., n, m).

    Raises:
        ValueError: queries and keys differ in width.

    Source: Luong et al. 2015, the alternative "dot" below equation 7.
    """
    shared_width(queries, keys)
    return queries @ np.swapaxes(keys, -1, -2)


def dot_torch(queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """PyTorch twin of `dot`: the same arguments, shapes and errors."""
    shared_width(queries, keys)
    return queries @ keys.transpose(-2, -1)


def scaled_dot(queries: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Dot-product scores divided by the square root of the width.

    Args:
        queries: (..., n, d_k).
        keys: (..., m, d_k).

    Returns:
        Scores (..., n, m), of variance 1 where the components of queries and keys are
        independent with mean 0 and variance 1.

    Raises:
        ValueError: queries and keys differ in width.

    Source: Vaswani et al. 2017, equation 1 (the argument of the softmax) and footnote 4.
    """
    return dot(queries, keys) / math.sqrt(shared_width(queries, keys))


def scaled_dot_torch(queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """PyTorch twin of `scaled_dot`: the same arguments, shapes and errors."""
    return dot_torch(queries, keys) / math.sqrt(shared_width(queries, keys))


def bilinear(queries: np.ndarray, keys: np.ndarray, W: np.ndarray) -> np.ndarray:
    """Bilinear scores: a dot product after W has translated the query.

    Args:
        queries: (..., n, d_q).
        keys: (..., m, d_k); d_k may differ from d_q.
        W: (d_q, d_k).

    Returns:
        Scores (..., n, m).

    Raises:
        ValueError: W is not of shape (d_q, d_k).

    Source: Luong et al. 2015, the alternative "general" below equation 7.
    """
    check_matrix(W, "W", queries.shape[-1], keys.shape[-1])
    return dot(queries @ W, keys)


def check_matrix(matrix: Array, name: str, rows: int, columns: int) -> None:
    """Raise a ValueError unless a matrix has shape (rows, columns)."""
    if tuple(matrix.shape) != (rows, columns):
        raise ValueError(f"{name} has shape {tuple(matrix.shape)}, not ({rows}, {columns})")


def bilinear_torch(queries: torch.Tensor, keys: torch.Tensor, W: torch.Tensor) -> torch.Tensor:
    """PyTorch twin of `bilinear`: the same arguments, shapes and errors."""
    check_matrix(W, "W", queries.shape[-1], keys.shape[-1])
    return dot_torch(queries @ W, keys)


def additive(
    queries: np.ndarray,
    keys: np.ndarray,
    W_q: np.ndarray,
    W_k: np.ndarray,
    w: np.ndarray,
) -> np.ndarray:
    """Additive scores: a network with one hidden layer judges every pair.

    Args:
        queries: (..., n, d_q).
        keys: (..., m, d_k); d_k may differ from d_q.
        W_q: (d_q, d_h).
        W_k: (d_k, d_h).
        w: (d_h,).

    Returns:
        Scores (..., n, m), none larger than sum(abs(w)). An array (..., n, m, d_h) is
        made on the way.

    Raises:
        ValueError: a parameter does not fit the width of queries, of keys, or of w.

    Source: Bahdanau et al. 2015, appendix A.1.2.
    """
    check_matrix(W_q, "W_q", queries.shape[-1], w.shape[-1])
    check_matrix(W_k, "W_k", keys.shape[-1], w.shape[-1])
    hidden = np.tanh((queries @ W_q)[..., :, None, :] + (keys @ W_k)[..., None, :, :])
    return hidden @ w


def additive_torch(
    queries: torch.Tensor,
    keys: torch.Tensor,
    W_q: torch.Tensor,
    W_k: torch.Tensor,
    w: torch.Tensor,
) -> torch.Tensor:
    """PyTorch twin of `additive`: the same arguments, shapes and errors."""
    check_matrix(W_q, "W_q", queries.shape[-1], w.shape[-1])
    check_matrix(W_k, "W_k", keys.shape[-1], w.shape[-1])
    hidden = torch.tanh((queries @ W_q).unsqueeze(-2) + (keys @ W_k).unsqueeze(-3))
    return hidden @ w


def location(queries: np.ndarray, W: np.ndarray) -> np.ndarray:
    """Location-based scores: each query says which position it wants; no key is read.

    Args:
        queries: (..., n, d_q).
        W: (d_q, m), one column for each position; for a sequence shorter than the
            longest, the first m columns of the longest's matrix.

    Returns:
        Scores (..., n, m).

    Raises:
        ValueError: W has not as many rows as queries have features.

    Source: Luong et al. 2015, equation 8 (the argument of the softmax) and footnote 6.
    """
    check_matrix(W, "W", queries.shape[-1], W.shape[-1])
    return queries @ W


def location_torch(queries: torch.Tensor, W: torch.Tensor) -> torch.Tensor:
    """PyTorch twin of `location`: the same arguments, shapes and errors."""
    check_matrix(W, "W", queries.shape[-1], W.shape[-1])
    return queries @ W


def location_aware(
    queries: np.ndarray,
    keys: np.ndarray,
    previous: np.ndarray,
    W_q: np.ndarray,
    W_k: np.ndarray,
    filters: np.ndarray,
    W_f: np.ndarray,
    w: np.ndarray,
) -> np.ndarray:
    """Additive scores that also see where attention was before.

    Args:
        queries: (..., n, d_q).
        keys: (..., m, d_k).
        previous: (..., n, m), the weights from which each query starts.
        W_q: (d_q, d_h).
        W_k: (d_k, d_h).
        filters: (r, d_f) with r odd; row t meets the weight at position
            j + t - (r - 1) / 2.
        W_f: (d_f, d_h).
        w: (d_h,).

    Returns:
        Scores (..., n, m).

    Raises:
        ValueError: a parameter does not fit, or the filters have an even length.

    Source: Chorowski et al. 2015, the section on convolutional features.
    """
    check_matrix(W_q, "W_q", queries.shape[-1], w.shape[-1])
    check_matrix(W_k, "W_k", keys.shape[-1], w.shape[-1])
    check_matrix(W_f, "W_f", filters.shape[-1], w.shape[-1])
    half = half_window(filters)
    padded = np.pad(previous, [(0, 0)] * (previous.ndim - 1) + [(half, half)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, len(filters), axis=-1)
    pairs = (queries @ W_q)[..., :, None, :] + (keys @ W_k)[..., None, :, :]
    return np.tanh(pairs + windows @ filters @ W_f) @ w


def half_window(filters: Array) -> int:
    """(r - 1) / 2 for filters (r, d_f); a ValueError where r is even."""
    r = filters.shape[0]
    if r % 2 == 0:
        raise ValueError(f"filters have length {r}: only an odd length has a middle")
    return r // 2


def location_aware_torch(
    queries: torch.Tensor,
    keys: torch.Tensor,
    previous: torch.Tensor,
    W_q: torch.Tensor,
    W_k: torch.Tensor,
    filters: torch.Tensor,
    W_f: torch.Tensor,
    w: torch.Tensor,
) -> torch.Tensor:
    """PyTorch twin of `location_aware`: the same arguments, shapes and errors."""
    check_matrix(W_q, "W_q", queries.shape[-1], w.shape[-1])
    check_matrix(W_k, "W_k", keys.shape[-1], w.shape[-1])
    check_matrix(W_f, "W_f", filters.shape[-1], w.shape[-1])
    rows = previous.reshape(-1, 1, previous.shape[-1])  # (batch * n, one channel, m)
    features = F.conv1d(rows, filters.T.unsqueeze(1), padding=half_window(filters))
    features = features.transpose(1, 2).reshape(*previous.shape, -1)  # (..., n, m, d_f)
    pairs = (queries @ W_q).unsqueeze(-2) + (keys @ W_k).unsqueeze(-3)
    return torch.tanh(pairs + features @ W_f) @ w
