"""Extracted from book/01-background.md, edit there.

Written anew by `python -m book.extract_library`.
"""

import numpy as np
import torch

Array = np.ndarray | torch.Tensor


def negative_log_likelihood(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The surprise at every token, -ln p(token), where p is the softmax of the logits.

    Args:
        logits: (..., vocab_size), any real numbers.
        targets: (...), the tokens that came, integers from 0 to vocab_size - 1.

    Returns:
        Surprises (...), in nats (divide by ln 2 for bits), each at least 0.

    Raises:
        ValueError: the shapes do not fit, or a target is not in the vocabulary.

    Source: Bengio et al. 2003, section 2 (the log-likelihood that training maximises).
    """
    check_targets(logits, targets)
    shifted = logits - logits.max(axis=-1, keepdims=True)  # p stays, exp cannot overflow
    chosen = np.take_along_axis(shifted, targets[..., None], axis=-1)[..., 0]
    return np.log(np.exp(shifted).sum(axis=-1)) - chosen


def perplexity(
    logits: np.ndarray, targets: np.ndarray, mask: np.ndarray | None = None
) -> np.ndarray:
    """The exponential of the mean surprise: among how many equal choices a model guesses.

    Args:
        logits: (..., vocab_size).
        targets: (...), integers from 0 to vocab_size - 1.
        mask: boolean, broadcasts to (...): True where a token counts. All count without.

    Returns:
        One number, at least 1; vocab_size where all logits are equal.

    Raises:
        ValueError: the shapes do not fit, a target that counts is not in the vocabulary,
            or no token counts.

    Source: Jelinek et al. 1977; the exponential of the mean negative log-likelihood.
    """
    if mask is not None:
        counted = np.broadcast_to(mask, targets.shape)
        logits, targets = logits[counted], targets[counted]
    return np.exp(negative_log_likelihood(logits, targets).mean())


def check_targets(logits: Array, targets: Array) -> None:
    """Raise a ValueError unless targets (...) are tokens for logits (..., vocab_size)."""
    if tuple(logits.shape[:-1]) != tuple(targets.shape):
        raise ValueError(
            f"logits have shape {tuple(logits.shape)} and targets {tuple(targets.shape)}: "
            "each target needs a row of logits of its own"
        )
    if 0 in targets.shape:
        raise ValueError("no token counts: a mean over nothing does not exist")
    if targets.min() < 0 or targets.max() >= logits.shape[-1]:
        raise ValueError(f"targets must lie between 0 and {logits.shape[-1] - 1}")


def negative_log_likelihood_torch(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """PyTorch twin of `negative_log_likelihood`: the same arguments, shapes and errors."""
    check_targets(logits, targets)
    chosen = torch.gather(logits, -1, targets.unsqueeze(-1)).squeeze(-1)
    return torch.logsumexp(logits, dim=-1) - chosen


def perplexity_torch(
    logits: torch.Tensor, targets: torch.Tensor, mask: torch.Tensor | None = None
) -> torch.Tensor:
    """PyTorch twin of `perplexity`: the same arguments, shapes and errors."""
    if mask is not None:
        counted = torch.broadcast_to(mask, targets.shape)
        logits, targets = logits[counted], targets[counted]
    return negative_log_likelihood_torch(logits, targets).mean().exp()


def kernel_weights(
    queries: np.ndarray, keys: np.ndarray, bandwidth: float | np.ndarray
) -> np.ndarray:
    """Weights of a Gaussian kernel: the nearer a key, the larger its share.

    Args:
        queries: (..., n, d_k).
        keys: (..., m, d_k).
        bandwidth: h > 0, in the units of the keys; a number or one element.

    Returns:
        Weights (..., n, m), each row adding up to 1: the softmax of -|q - k|^2 / 2h^2.

    Raises:
        ValueError: queries and keys differ in width, or the bandwidth is not positive.

    Source: Nadaraya 1964 and Watson 1964, with a Gaussian kernel.
    """
    check_kernel(queries, keys, bandwidth)
    differences = queries[..., :, None, :] - keys[..., None, :, :]  # (..., n, m, d_k)
    scores = -(differences**2).sum(axis=-1) / (2 * bandwidth**2)
    kernel = np.exp(scores - scores.max(axis=-1, keepdims=True))  # the nearest key has 1
    return kernel / kernel.sum(axis=-1, keepdims=True)


def kernel_regression(
    queries: np.ndarray, keys: np.ndarray, values: np.ndarray, bandwidth: float | np.ndarray
) -> np.ndarray:
    """The average of the values, each weighted by how near its key is to the query.

    Args:
        queries: (..., n, d_k).
        keys: (..., m, d_k).
        values: (..., m, d_v).
        bandwidth: h > 0, in the units of the keys; a number or one element.

    Returns:
        Answers (..., n, d_v).

    Raises:
        ValueError: widths or numbers of keys and values differ, or h is not positive.

    Source: Nadaraya 1964 and Watson 1964.
    """
    check_pairs(keys, values)
    return kernel_weights(queries, keys, bandwidth) @ values


def check_kernel(queries: Array, keys: Array, bandwidth: float | Array) -> None:
    """Raise a ValueError unless distances exist and the bandwidth is positive."""
    if queries.shape[-1] != keys.shape[-1]:
        raise ValueError(
            f"queries have width {queries.shape[-1]} and keys width {keys.shape[-1]}: "
            "a distance needs equal widths"
        )
    if not bandwidth > 0:
        raise ValueError(f"the bandwidth is {float(bandwidth)}, not a positive number")


def check_pairs(keys: Array, values: Array) -> None:
    """Raise a ValueError unless there are as many values as keys."""
    if keys.shape[-2] != values.shape[-2]:
        raise ValueError(
            f"there are {keys.shape[-2]} keys and {values.shape[-2]} values: "
            "each key needs a value of its own"
        )


def kernel_weights_torch(
    queries: torch.Tensor, keys: torch.Tensor, bandwidth: float | torch.Tensor
) -> torch.Tensor:
    """PyTorch twin of `kernel_weights`: the same arguments, shapes and errors."""
    check_kernel(queries, keys, bandwidth)
    differences = queries.unsqueeze(-2) - keys.unsqueeze(-3)
    return (-differences.square().sum(dim=-1) / (2 * bandwidth**2)).softmax(dim=-1)


def kernel_regression_torch(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    bandwidth: float | torch.Tensor,
) -> torch.Tensor:
    """PyTorch twin of `kernel_regression`: the same arguments, shapes and errors."""
    check_pairs(keys, values)
    return kernel_weights_torch(queries, keys, bandwidth) @ values
