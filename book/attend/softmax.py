"""Extracted from book/03-softmax.md, edit there.

Written anew by `python -m book.extract_library`.
"""

from collections.abc import Iterable, Sequence

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


def logsumexp(scores: np.ndarray) -> np.ndarray:
    """The logarithm of the sum of exponentials along the last axis: a soft maximum.

    Args:
        scores: (..., m).

    Returns:
        (...), between the largest score and log(m) above it; minus infinity for a row whose
        scores are all minus infinity.

    Source: the maximum is subtracted as in Milakov and Gimelshein 2018, algorithm 2.
    """
    largest = scores.max(axis=-1, keepdims=True)
    shift = np.where(largest == -np.inf, 0, largest)
    with np.errstate(divide="ignore"):  # log(0) = -inf is the answer for an empty row
        logarithm = np.log(np.exp(scores - shift).sum(axis=-1))
    return shift[..., 0] + logarithm


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """Logarithms of the softmax weights, exact even where a weight underflows to 0.

    Args:
        scores: (..., m), in each row at least one above minus infinity.

    Returns:
        (..., m).

    Source: as `logsumexp`.
    """
    return scores - logsumexp(scores)[..., None]


def logsumexp_torch(scores: torch.Tensor) -> torch.Tensor:
    """PyTorch twin of `logsumexp`."""
    return torch.logsumexp(scores, dim=-1)


def log_softmax_torch(scores: torch.Tensor) -> torch.Tensor:
    """PyTorch twin of `log_softmax`."""
    return torch.log_softmax(scores, dim=-1)


def entropy(weights: np.ndarray) -> np.ndarray:
    """Entropy of each row of weights, in nats; its exponential is the effective number of keys.

    Args:
        weights: (..., m), each row with sum 1 (or all 0, with entropy 0).

    Returns:
        (...), from 0 to log(m).

    Source: Shannon 1948, section 6.
    """
    # a weight of 0 adds nothing; log(1) = 0 stands in for log(0)
    return -(weights * np.log(np.where(weights > 0, weights, 1))).sum(axis=-1)


def entropy_torch(weights: torch.Tensor) -> torch.Tensor:
    """PyTorch twin of `entropy`; the gradient of a weight that is 0 is 0, not infinite."""
    return -(weights * torch.log(torch.where(weights > 0, weights, 1.0))).sum(dim=-1)


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


def sparsemax(scores: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Weights that may be exactly 0: the point of the simplex nearest to each row of scores.

    Args:
        scores: (..., n, m).
        mask: as in `softmax`.

    Returns:
        Weights (..., n, m); 0 for a row that is masked as a whole.

    Raises:
        ValueError: the mask is not boolean or does not broadcast to the scores.

    Source: Martins and Astudillo 2016, algorithm 1.
    """
    scores, empty = below_zero(scores, mask)
    ordered = -np.sort(-scores, axis=-1)
    sums = ordered.cumsum(axis=-1)
    ranks = np.arange(1, scores.shape[-1] + 1, dtype=scores.dtype)
    support = (1 + ranks * ordered > sums).sum(axis=-1, keepdims=True)
    threshold = (np.take_along_axis(sums, support - 1, axis=-1) - 1) / support.astype(scores.dtype)
    return np.where(empty, 0, np.maximum(scores - threshold, 0))


def below_zero(scores: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Scores with the maximum 0 in each row, -inf where masked; and which rows are empty.

    An empty row is given scores of 0.
    """
    if mask is not None:
        check_mask(mask, scores)
        scores = np.where(mask, scores, -np.inf)
    largest = scores.max(axis=-1, keepdims=True)
    empty = largest == -np.inf
    return np.where(empty, 0, scores - np.where(empty, 0, largest)), empty


def entmax(scores: np.ndarray, alpha: float = 1.5, mask: np.ndarray | None = None) -> np.ndarray:
    """The family from softmax (alpha near 1) to sparsemax (alpha = 2), by bisection.

    Args:
        scores: (..., n, m).
        alpha: above 1, at most 2; the larger, the sparser.
        mask: as in `softmax`.

    Returns:
        Weights (..., n, m); 0 for a row that is masked as a whole.

    Raises:
        ValueError: alpha is out of range, or the mask does not fit.

    Source: Peters, Niculae and Martins 2019, where it is called alpha-entmax.
    """
    check_alpha(alpha)
    scores, empty = below_zero(scores, mask)
    scores, power = (alpha - 1) * scores, 1 / (alpha - 1)
    # the largest weight lies between 1/m and 1, which encloses the threshold
    low = np.full_like(scores[..., :1], -1)
    high = np.full_like(low, -(scores.shape[-1] ** (1 - alpha)))
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        enough = (np.maximum(scores - middle, 0) ** power).sum(axis=-1, keepdims=True) >= 1
        low, high = np.where(enough, middle, low), np.where(enough, high, middle)
    weights = np.maximum(scores - low, 0) ** power
    return np.where(empty, 0, weights / weights.sum(axis=-1, keepdims=True))


BISECTIONS = 60  # halves an interval of length 1 to less than float64 can tell


def check_alpha(alpha: float) -> None:
    """Raise a ValueError unless 1 < alpha <= 2."""
    if not 1 < alpha <= 2:
        raise ValueError(f"alpha is {alpha}, not above 1 (softmax) and at most 2 (sparsemax)")


def top_k_mask(scores: np.ndarray, k: int) -> np.ndarray:
    """The k largest scores of each row; of equal ones the first.

    Args:
        scores: (..., m).
        k: from 1 to m.

    Returns:
        A boolean mask (..., m) with k times True in each row.

    Raises:
        ValueError: k is out of range.

    Source: Zhao et al. 2019, there as a mask on attention scores.
    """
    check_k(k, scores.shape[-1])
    best = np.argsort(-scores, axis=-1, kind="stable")[..., :k]
    mask = np.zeros(scores.shape, dtype=bool)
    np.put_along_axis(mask, best, True, axis=-1)
    return mask


def check_k(k: int, m: int) -> None:
    """Raise a ValueError unless 1 <= k <= m."""
    if not 1 <= k <= m:
        raise ValueError(f"k is {k}, for {m} keys")


def sparsemax_torch(scores: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """PyTorch twin of `sparsemax`; autograd gives the gradient of its formula."""
    scores, empty = below_zero_torch(scores, mask)
    ordered = scores.sort(dim=-1, descending=True).values
    sums = ordered.cumsum(dim=-1)
    ranks = torch.arange(1, scores.shape[-1] + 1, device=scores.device)
    support = (1 + ranks * ordered > sums).sum(dim=-1, keepdim=True)
    threshold = (sums.gather(-1, support - 1) - 1) / support
    return (scores - threshold).clamp(min=0).masked_fill(empty, 0.0)


def below_zero_torch(
    scores: torch.Tensor, mask: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """PyTorch twin of `below_zero`."""
    if mask is not None:
        check_mask(mask, scores)
        scores = scores.masked_fill(~mask, -torch.inf)
    largest = scores.detach().amax(dim=-1, keepdim=True)
    empty = largest == -torch.inf
    return (scores - largest.masked_fill(empty, 0.0)).masked_fill(empty, 0.0), empty


def entmax_torch(
    scores: torch.Tensor, alpha: float = 1.5, mask: torch.Tensor | None = None
) -> torch.Tensor:
    """PyTorch twin of `entmax`; the gradient goes through the threshold, not the bisection."""
    check_alpha(alpha)
    scores, empty = below_zero_torch(scores, mask)
    scores, power = (alpha - 1) * scores, 1 / (alpha - 1)
    with torch.no_grad():
        low = torch.full_like(scores[..., :1], -1)
        high = torch.full_like(low, -(scores.shape[-1] ** (1 - alpha)))
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            enough = ((scores - middle).clamp(min=0) ** power).sum(dim=-1, keepdim=True) >= 1
            low, high = torch.where(enough, middle, low), torch.where(enough, high, middle)
        slope = power * ((scores - low).clamp(min=0) ** (power - 1)) * (scores > low)
        slope = slope.sum(dim=-1, keepdim=True)
    # One Newton step changes the threshold by nothing, but tells autograd how scores move it.
    surplus = ((scores - low).clamp(min=0) ** power).sum(dim=-1, keepdim=True) - 1
    return ((scores - low - surplus / slope).clamp(min=0) ** power).masked_fill(empty, 0.0)


def top_k_mask_torch(scores: torch.Tensor, k: int) -> torch.Tensor:
    """PyTorch twin of `top_k_mask`."""
    check_k(k, scores.shape[-1])
    best = torch.argsort(scores, dim=-1, descending=True, stable=True)[..., :k]
    return torch.zeros_like(scores, dtype=torch.bool).scatter(-1, best, True)


def online_softmax(
    blocks: Iterable[tuple[np.ndarray, np.ndarray]],
) -> tuple[np.ndarray, np.ndarray]:
    """softmax(scores) @ values in one pass over keys that come in blocks.

    Args:
        blocks: pairs of scores (..., n, b), -inf where masked, and values (..., b, d_v);
            the number b of keys may differ from block to block. At least one pair.

    Returns:
        The context (..., n, d_v), 0 for a query that saw no key, and the log-sum-exp (..., n)
        of all its scores, from which contexts over disjoint keys can be joined.

    Raises:
        ValueError: there is no block.

    Source: Milakov and Gimelshein 2018, algorithm 3; with values, Dao et al. 2022, algorithm 1.
    """
    largest, total, context = -np.inf, 0.0, 0.0
    for scores, values in blocks:
        new = np.maximum(largest, scores.max(axis=-1, keepdims=True))
        shift = np.where(new == -np.inf, 0, new)  # nothing seen yet: -inf - (-inf) is NaN
        rescale, exponentials = np.exp(largest - shift), np.exp(scores - shift)
        total = rescale * total + exponentials.sum(axis=-1, keepdims=True)
        context = rescale * context + exponentials @ values
        largest = new
    if isinstance(total, float):
        raise ValueError("no block: at least one pair of scores and values is needed")
    with np.errstate(divide="ignore"):
        lse = (shift + np.log(total))[..., 0]
    return context / np.where(total == 0, 1, total), lse


def online_softmax_torch(
    blocks: Iterable[tuple[torch.Tensor, torch.Tensor]],
) -> tuple[torch.Tensor, torch.Tensor]:
    """PyTorch twin of `online_softmax`: the same arguments, shapes and errors."""
    largest = total = None
    for scores, values in blocks:
        if total is None:
            largest = torch.full_like(scores[..., :1], -torch.inf)
            total = context = torch.zeros_like(largest)
        # the result does not depend on what is subtracted: no gradient through the maximum
        new = torch.maximum(largest, scores.detach().amax(dim=-1, keepdim=True))
        shift = new.masked_fill(new == -torch.inf, 0.0)
        rescale, exponentials = torch.exp(largest - shift), torch.exp(scores - shift)
        total = rescale * total + exponentials.sum(dim=-1, keepdim=True)
        context = rescale * context + exponentials @ values
        largest = new
    if total is None:
        raise ValueError("no block: at least one pair of scores and values is needed")
    empty = total == 0
    total = total.masked_fill(empty, 1.0)
    lse = (shift + torch.log(total)).masked_fill(empty, -torch.inf)
    return context / total, lse[..., 0]
