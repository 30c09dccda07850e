"""The hidden checks of 02-scores: attention scores.

The functions under `@question.misconception` are wrong programs as students write them; their text is
handed in by the tests, so each uses nothing but `np`, `torch` and its own body.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from autograder.judge import differs, dtype, item, one_at_a_time, shape, untouched, values
from autograder.question import Aspect, Case, Fault, Question, Reply
from autograder.rules import Forbidden


def _normal(
    rng: np.random.Generator, *size: int, dtype: str = "float64", width: int = 1
) -> np.ndarray:
    """Standard normal numbers; `width` divides by its root, so that a sum over it stays of order one."""
    return (rng.normal(size=size) / np.sqrt(width)).astype(dtype)


def _round(rng: np.random.Generator, *size: int) -> np.ndarray:
    """Numbers with one decimal, none of them 0: the first failing example is read by a person."""
    return rng.integers(1, 20, size=size) / 10 * rng.choice([-1, 1], size=size)


# --- scaled_dot_scores ------------------------------------------------------------------------------


def _scaled_dot_cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str, queries: np.ndarray, keys: np.ndarray, strided: tuple[str, ...] = ()
    ) -> Case:
        return Case(name, {"queries": queries, "keys": keys}, strided=strided)

    yield case("small", _round(rng, 2, 4), _round(rng, 3, 4))
    yield case("batch", _normal(rng, 2, 3, 4), _normal(rng, 2, 5, 4))
    yield case("one query", _normal(rng, 2, 1, 5), _normal(rng, 2, 3, 5))
    yield case("one key", _normal(rng, 2, 3, 5), _normal(rng, 2, 1, 5))
    # Only here does a key that was never transposed go through, so only here is it seen to be wrong.
    yield case("as many keys as features", _normal(rng, 2, 3, 6), _normal(rng, 2, 6, 6))
    yield case("batch and heads", _normal(rng, 2, 3, 4, 5), _normal(rng, 2, 3, 6, 5))
    yield case("keys shared by all heads", _normal(rng, 2, 3, 4, 5), _normal(rng, 2, 1, 6, 5))
    yield case("keys shared by batch and heads", _normal(rng, 2, 3, 4, 5), _normal(rng, 6, 5))
    yield case(
        "float32", _normal(rng, 2, 3, 6, dtype="float32"), _normal(rng, 2, 5, 6, dtype="float32")
    )
    yield case("large scores", 1e3 * _normal(rng, 2, 3, 4), 1e3 * _normal(rng, 2, 5, 4))
    yield case("non-contiguous", _normal(rng, 2, 3, 7), _normal(rng, 2, 5, 7), ("queries", "keys"))


_OWN_KEYS = ("small", "batch", "one query", "one key", "as many keys as features", "large scores")
_LEADING = ("batch and heads", "keys shared by all heads", "keys shared by batch and heads")

scaled_dot_scores = Question(
    name="scaled_dot_scores",
    title="Scaled dot-product scores",
    cases=_scaled_dot_cases,
    aspects=(
        Aspect("shape (..., n, m)", 0.5, shape(), (*_OWN_KEYS, *_LEADING)),
        Aspect("values", 1, values(), _OWN_KEYS),
        Aspect("leading axes that broadcast", 0.5, values(), _LEADING),
        Aspect("the dtype of the arguments is kept", 0.5, dtype(), ("float32", "batch")),
        Aspect(
            "arguments untouched, in any memory layout",
            0.5,
            untouched(),
            ("non-contiguous", "batch"),
        ),
    ),
)


@scaled_dot_scores.misconception(
    "You return plain dot products. With more features they grow like √d_k and the softmax saturates: "
    "divide every score by √d_k."
)
def scaling_forgotten(queries, keys):
    return queries @ np.swapaxes(keys, -1, -2)


@scaled_dot_scores.misconception(
    "You divide by d_k. It is the standard deviation of the dot product that grows with d_k, and that is "
    "√d_k: divide by the root."
)
def divided_by_width(queries, keys):
    return queries @ np.swapaxes(keys, -1, -2) / queries.shape[-1]


@scaled_dot_scores.misconception(
    "You multiply by √d_k, which makes large scores larger still. The scaling undoes the growth: divide."
)
def multiplied_by_root(queries, keys):
    return queries @ np.swapaxes(keys, -1, -2) * queries.shape[-1] ** 0.5


@scaled_dot_scores.misconception(
    "Your result is transposed: keys run along the rows. A row belongs to a query, its entries to the "
    "keys: the shape is (..., n, m)."
)
def axes_swapped(queries, keys):
    return keys @ np.swapaxes(queries, -1, -2) / queries.shape[-1] ** 0.5


@scaled_dot_scores.misconception(
    "You have already applied the softmax: your rows sum to 1. This function returns the scores; they "
    "become weights in the next step."
)
def softmax_applied(queries, keys):
    scores = queries @ np.swapaxes(keys, -1, -2) / queries.shape[-1] ** 0.5
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


@scaled_dot_scores.misconception(
    "You multiply queries by keys without transposing the keys. That runs only where m equals d_k, and "
    "sums over keys, not over features: swap the last two axes of the keys first."
)
def keys_not_transposed(queries, keys):
    return queries @ keys / queries.shape[-1] ** 0.5


# --- low_rank_bilinear_scores -----------------------------------------------------------------------


def _low_rank_cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str,
        q: tuple,
        k: tuple,
        rank: int,
        strided: tuple[str, ...] = (),
        kind: str = "float64",
    ) -> Case:
        arguments = {
            "queries": _normal(rng, *q, dtype=kind),
            "keys": _normal(rng, *k, dtype=kind),
            "U": _normal(rng, q[-1], rank, dtype=kind, width=q[-1]),
            "V": _normal(rng, k[-1], rank, dtype=kind, width=k[-1]),
        }
        return Case(name, arguments, strided=strided)

    small = {"queries": (3, 4), "keys": (1, 5), "U": (4, 2), "V": (5, 2)}
    yield Case("small", {name: _round(rng, *size) for name, size in small.items()})
    yield case("batch", (2, 3, 6), (2, 5, 4), 7)
    yield case("one query", (2, 1, 6), (2, 5, 4), 3)
    yield case("one key", (2, 3, 6), (2, 1, 4), 5)
    # Only here can U and V be exchanged without an error.
    yield case("queries as wide as keys", (2, 3, 6), (2, 5, 6), 4)
    yield case("batch and heads", (2, 3, 4, 7), (2, 3, 6, 5), 2)
    yield case("keys shared by all heads", (2, 3, 4, 7), (2, 1, 6, 5), 2)
    yield case("float32", (2, 3, 6), (2, 5, 4), 7, kind="float32")
    yield case("non-contiguous", (2, 3, 6), (2, 5, 4), 7, strided=("queries", "keys", "U", "V"))
    # U Vᵀ would take 12 GB here, and a sum over all four indices at once 10¹⁰ products.
    yield case("wide", (1, 60_000), (3, 50_000), 2, kind="float32")


_LOW_RANK = ("small", "batch", "one query", "one key", "queries as wide as keys", "float32")

low_rank_bilinear_scores = Question(
    name="low_rank_bilinear_scores",
    title="Bilinear scores of low rank",
    cases=_low_rank_cases,
    aspects=(
        Aspect("shape (..., n, m)", 0.5, shape(), _LOW_RANK),
        Aspect("values", 1, values(), _LOW_RANK),
        Aspect("batch and heads", 0.5, values(), ("batch and heads", "keys shared by all heads")),
        Aspect("no d_q by d_k matrix", 0.5, values(), ("wide",)),
        Aspect(
            "arguments untouched, in any memory layout",
            0.5,
            untouched(),
            ("non-contiguous", "batch"),
        ),
    ),
)


@low_rank_bilinear_scores.misconception(
    "You divide by the root of the rank. That belongs to the scaled dot product; a bilinear score learns "
    "its own scale in U and V."
)
def scaled_by_habit(queries, keys, U, V):
    return (queries @ U) @ np.swapaxes(keys @ V, -1, -2) / U.shape[-1] ** 0.5


@low_rank_bilinear_scores.misconception(
    "Your result is transposed: keys run along the rows. A row belongs to a query, its entries to the "
    "keys: the shape is (..., n, m)."
)
def axes_swapped_low_rank(queries, keys, U, V):
    return (keys @ V) @ np.swapaxes(queries @ U, -1, -2)


@low_rank_bilinear_scores.misconception(
    "You exchanged the factors: U projects the queries and V the keys. It goes through only where both "
    "are equally wide."
)
def factors_exchanged(queries, keys, U, V):
    return (queries @ V) @ np.swapaxes(keys @ U, -1, -2)


@low_rank_bilinear_scores.misconception(
    "You add up the projections before you multiply them. A dot product multiplies feature by feature "
    "first, and sums the products."
)
def sums_before_product(queries, keys, U, V):
    return (queries @ U).sum(axis=-1)[..., :, None] * (keys @ V).sum(axis=-1)[..., None, :]


@low_rank_bilinear_scores.misconception(
    "You passed the projections through tanh. A bilinear score has no nonlinearity; tanh belongs to the "
    "additive score."
)
def tanh_by_habit(queries, keys, U, V):
    return np.tanh(queries @ U) @ np.swapaxes(np.tanh(keys @ V), -1, -2)


# --- additive_scores --------------------------------------------------------------------------------


def _additive_cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str, q: tuple, k: tuple, hidden: int, kind: str = "float64", **options: Any
    ) -> Case:
        arguments = {
            "queries": _normal(rng, *q, dtype=kind),
            "keys": _normal(rng, *k, dtype=kind),
            "W_q": _normal(rng, q[-1], hidden, dtype=kind, width=q[-1]),
            "W_k": _normal(rng, k[-1], hidden, dtype=kind, width=k[-1]),
            "b": _normal(rng, hidden, dtype=kind),
            "w": _normal(rng, hidden, dtype=kind),
        }
        return Case(name, arguments, **options)

    small = {"queries": (3, 4), "keys": (1, 5), "W_q": (4, 2), "W_k": (5, 2), "b": (2,), "w": (2,)}
    yield Case("small", {name: _round(rng, *size) / 2 for name, size in small.items()})
    yield case("batch", (2, 3, 6), (2, 5, 4), 8)
    yield case("one query", (2, 1, 6), (2, 5, 4), 8)
    yield case("one key", (2, 3, 6), (2, 1, 4), 8)
    # Equal sizes let a program run that pairs query i with key i, or takes W_q for W_k.
    yield case("as many queries as keys", (2, 4, 6), (2, 4, 6), 8)
    yield case("batch and heads", (2, 3, 4, 6), (2, 3, 5, 7), 8)
    yield case("keys shared by all heads", (2, 3, 4, 6), (2, 1, 5, 7), 8)
    yield case("float32", (2, 3, 6), (2, 5, 4), 8, kind="float32")
    yield case("non-contiguous", (2, 3, 6), (2, 5, 4), 8, strided=("queries", "keys", "W_q", "W_k"))
    large = case("large inputs", (2, 3, 6), (2, 5, 4), 8).arguments
    # All three addends grow alike: a forgotten bias still changes the sign of many sums.
    yield Case(
        "large inputs",
        {n: a * (1e3 if n in ("queries", "keys", "b") else 1) for n, a in large.items()},
    )


_ADDITIVE = ("small", "batch", "one query", "one key", "as many queries as keys")

additive_scores = Question(
    name="additive_scores",
    title="Additive scores with a bias",
    cases=_additive_cases,
    aspects=(
        Aspect("shape (..., n, m)", 0.5, shape(), _ADDITIVE),
        Aspect("values", 1.5, values(), _ADDITIVE),
        Aspect("batch and heads", 0.5, values(), ("batch and heads", "keys shared by all heads")),
        Aspect("large inputs", 0.5, values(), ("large inputs",)),
        Aspect("the dtype of the arguments is kept", 0.5, dtype(), ("float32", "batch")),
        Aspect(
            "arguments untouched, in any memory layout",
            0.5,
            untouched(),
            ("non-contiguous", "batch"),
        ),
    ),
)


@additive_scores.misconception(
    "The tanh is missing. Without it the score is a sum of a query part and a key part, the softmax cancels "
    "the query part, and every query attends alike."
)
def tanh_forgotten(queries, keys, W_q, W_k, b, w):
    return ((queries @ W_q)[..., :, None, :] + (keys @ W_k)[..., None, :, :] + b) @ w


@additive_scores.misconception(
    "You use ReLU where the additive score has tanh. ReLU is 0 for every negative input, so it cannot tell "
    "those keys apart, and it has no upper bound."
)
def relu_for_tanh(queries, keys, W_q, W_k, b, w):
    return np.maximum((queries @ W_q)[..., :, None, :] + (keys @ W_k)[..., None, :, :] + b, 0) @ w


@additive_scores.misconception(
    "You forgot the bias b: it is added to the projected query and key, inside the tanh."
)
def bias_forgotten(queries, keys, W_q, W_k, b, w):
    return np.tanh((queries @ W_q)[..., :, None, :] + (keys @ W_k)[..., None, :, :]) @ w


@additive_scores.misconception(
    "You add the bias after the tanh. There it shifts all scores alike and the softmax cancels it: it belongs "
    "inside the tanh."
)
def bias_outside_tanh(queries, keys, W_q, W_k, b, w):
    return (np.tanh((queries @ W_q)[..., :, None, :] + (keys @ W_k)[..., None, :, :]) + b) @ w


@additive_scores.misconception(
    "You take the tanh of query and key one by one and add afterwards, so they never meet inside it: add the "
    "projections and b first, then take one tanh."
)
def tanh_of_each_part(queries, keys, W_q, W_k, b, w):
    return (np.tanh(queries @ W_q)[..., :, None, :] + np.tanh(keys @ W_k + b)[..., None, :, :]) @ w


@additive_scores.misconception(
    "Your result is transposed: keys run along the rows. Give the queries the axis before last and the keys "
    "the last: the shape is (..., n, m)."
)
def axes_swapped_additive(queries, keys, W_q, W_k, b, w):
    return np.tanh((queries @ W_q)[..., None, :, :] + (keys @ W_k)[..., :, None, :] + b) @ w


@additive_scores.misconception(
    "You pair query i with key i. Every query meets every key: give each of them an axis of its own (one "
    "`None` in each index), so that broadcasting builds all n times m pairs."
)
def paired_by_position(queries, keys, W_q, W_k, b, w):
    return np.tanh(queries @ W_q + keys @ W_k + b) @ w


# --- location_features ------------------------------------------------------------------------------


def _location_cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str,
        batch: int,
        m: int,
        channels: int,
        width: int,
        kind: str = "float64",
        **options: Any,
    ) -> Case:
        scores = rng.normal(size=(batch, m))
        weights = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
        arguments = {
            "previous_weights": weights.astype(kind),
            "filters": _normal(rng, channels, width, dtype=kind),
        }
        return Case(name, arguments, **options)

    weights = rng.permutation([0.1, 0.2, 0.3, 0.4])[None]
    yield Case("small", {"previous_weights": weights, "filters": _round(rng, 2, 3)})
    yield case("batch", 2, 5, 4, 3)
    yield case("batch of one", 1, 5, 4, 3)
    yield case("as many filters as positions", 2, 5, 5, 3)
    yield case("wide filter", 2, 9, 4, 7)
    yield case("filter wider than the sequence", 2, 3, 4, 9)
    yield case("float32", 2, 7, 3, 5, kind="float32")
    yield case("non-contiguous", 3, 7, 4, 5, strided=("previous_weights", "filters"))
    both = ("previous_weights", "filters")
    yield case("gradient", 2, 5, 4, 3, upstream=_normal(rng, 2, 5, 4), gradient_of=both)
    yield case(
        "gradient, wide filter", 2, 3, 5, 7, upstream=_normal(rng, 2, 3, 5), gradient_of=both
    )


_LOCATION = ("small", "batch", "batch of one", "as many filters as positions", "wide filter")
_GRADIENTS = ("gradient", "gradient, wide filter")

location_features = Question(
    name="location_features",
    title="Location features",
    cases=_location_cases,
    library="torch",
    aspects=(
        Aspect("shape (batch, m, channels)", 0.5, shape(), _LOCATION),
        Aspect("values", 1, values(), _LOCATION),
        Aspect(
            "filter wider than the sequence", 0.5, values(), ("filter wider than the sequence",)
        ),
        Aspect("the dtype of the arguments is kept", 0.5, dtype(), ("float32", "batch")),
        Aspect("gradient by the filters", 0.5, values("gradients", "filters"), _GRADIENTS),
        Aspect(
            "gradient by the previous weights",
            0.5,
            values("gradients", "previous_weights"),
            _GRADIENTS,
        ),
        Aspect(
            "arguments untouched, in any memory layout",
            0.5,
            untouched(),
            ("non-contiguous", "batch"),
        ),
    ),
)


@location_features.misconception(
    "You flipped the filters: that is the convolution of mathematics. Layers called convolution compute the "
    "cross-correlation: slide the filter as it is."
)
def filters_flipped(previous_weights, filters):
    taps = filters.flip(-1)[:, None]
    return torch.conv1d(previous_weights[:, None], taps, padding=filters.shape[1] // 2).transpose(
        1, 2
    )


@location_features.misconception(
    "You left the channels in the middle, as conv1d returns them. Features come last here, so that a linear "
    "layer can follow: swap the last two axes."
)
def channels_in_the_middle(previous_weights, filters):
    return torch.conv1d(previous_weights[:, None], filters[:, None], padding=filters.shape[1] // 2)


@location_features.misconception(
    "You reshaped (batch, channels, m) into (batch, m, channels). A reshape keeps the order in memory and so "
    "mixes positions with channels: swap the two axes with `transpose(1, 2)`."
)
def reshaped_for_transposed(previous_weights, filters):
    features = torch.conv1d(
        previous_weights[:, None], filters[:, None], padding=filters.shape[1] // 2
    )
    return features.reshape(features.shape[0], features.shape[2], features.shape[1])


@location_features.misconception(
    "Your sequence is a ring: the last positions see the first ones. Beyond both ends there is nothing: pad "
    "with zeros."
)
def circular_padding(previous_weights, filters):
    m, half = previous_weights.shape[1], filters.shape[1] // 2
    around = torch.arange(-half, m + half) % m
    return torch.conv1d(previous_weights[:, around][:, None], filters[:, None]).transpose(1, 2)


@location_features.misconception(
    "You put all the padding before the first position, so feature j looks only backwards. The filter is "
    "centred on j: pad (width − 1) / 2 zeros on either side."
)
def padded_on_one_side(previous_weights, filters):
    batch, width = previous_weights.shape[0], filters.shape[1]
    nothing = torch.zeros(batch, width - 1, dtype=previous_weights.dtype)
    padded = torch.cat([nothing, previous_weights], dim=1)
    return torch.conv1d(padded[:, None], filters[:, None]).transpose(1, 2)


# --- scaled_dot_backward ----------------------------------------------------------------------------


def _backward_cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str, q: tuple, k: tuple, strided: tuple[str, ...] = (), kind: str = "float64"
    ) -> Case:
        arguments = {
            "queries": _normal(rng, *q, dtype=kind),
            "keys": _normal(rng, *k, dtype=kind),
            "upstream": _normal(rng, *q[:-1], k[-2], dtype=kind),
        }
        return Case(name, arguments, strided=strided)

    small = {"queries": (2, 4), "keys": (3, 4), "upstream": (2, 3)}
    yield Case("small", {name: _round(rng, *size) for name, size in small.items()})
    yield case("batch", (2, 3, 4), (2, 5, 4))
    yield case("one query", (2, 1, 4), (2, 5, 4))
    yield case("one key", (2, 3, 4), (2, 1, 4))
    # Only here does an upstream gradient that was never transposed go through.
    yield case("as many queries as keys", (2, 3, 5), (2, 3, 5))
    yield case("batch and heads", (2, 3, 4, 5), (2, 3, 6, 5))
    yield case("keys shared by the batch", (2, 3, 6), (5, 6))
    yield case("keys shared by batch and heads", (2, 3, 4, 6), (5, 6))
    yield case("float32", (2, 3, 6), (2, 5, 6), kind="float32")
    yield case("non-contiguous", (2, 3, 6), (2, 5, 6), strided=("queries", "keys", "upstream"))


_BACKWARD = ("small", "batch", "one query", "one key", "as many queries as keys", "batch and heads")
_SHARED = ("keys shared by the batch", "keys shared by batch and heads")

# What differentiates, not what merely belongs to it: `no_grad` and `vmap` stay allowed.
_DIFFERENTIATION = (
    "torch.Tensor.backward",
    "torch.Tensor.grad_fn",
    "torch.autograd.backward",
    "torch.autograd.grad",
    "torch.autograd.functional",
    "torch.autograd.forward_ad",
    *(
        f"torch.func.{name}"
        for name in (
            "grad",
            "grad_and_value",
            "hessian",
            "jacfwd",
            "jacrev",
            "jvp",
            "linearize",
            "vjp",
        )
    ),
)

scaled_dot_backward = Question(
    name="scaled_dot_backward",
    title="The backward pass by hand",
    cases=_backward_cases,
    rules=(
        Forbidden(
            names=_DIFFERENTIATION,
            what="automatic differentiation",
            why="write the derivative as matrix products",
        ),
    ),
    aspects=(
        Aspect("shapes", 0.5, shape(), _BACKWARD),
        Aspect("d_queries", 1, item(0, "d_queries"), _BACKWARD),
        Aspect("d_keys", 1, item(1, "d_keys"), _BACKWARD),
        Aspect("d_keys where keys are shared", 0.5, item(1, "d_keys"), _SHARED),
        Aspect("the dtype of the arguments is kept", 0.5, dtype(), ("float32", "batch")),
        Aspect(
            "arguments untouched, in any memory layout",
            0.5,
            untouched(),
            ("non-contiguous", "batch"),
        ),
    ),
)


@scaled_dot_backward.misconception(
    "The scaling is missing in your gradients. The scores were divided by √d_k, and a constant factor of the "
    "forward pass is a factor of the backward pass too."
)
def scaling_forgotten_backward(queries, keys, upstream):
    d_queries = upstream @ keys
    d_keys = np.swapaxes(upstream, -1, -2) @ queries
    return d_queries, d_keys.sum(axis=tuple(range(d_keys.ndim - keys.ndim)))


@scaled_dot_backward.misconception(
    "You scale d_queries but not d_keys. Both reach the loss through the same scaled scores: both carry the "
    "factor 1 / √d_k."
)
def scaled_only_once(queries, keys, upstream):
    d_queries = upstream @ keys / keys.shape[-1] ** 0.5
    d_keys = np.swapaxes(upstream, -1, -2) @ queries
    return d_queries, d_keys.sum(axis=tuple(range(d_keys.ndim - keys.ndim)))


@scaled_dot_backward.misconception(
    "You forgot to transpose the upstream gradient for d_keys: key j collects from all queries i, which is a "
    "sum over the rows of upstream. It runs only where n equals m."
)
def transpose_forgotten(queries, keys, upstream):
    d_queries = upstream @ keys / keys.shape[-1] ** 0.5
    d_keys = upstream @ queries / keys.shape[-1] ** 0.5
    return d_queries, d_keys.sum(axis=tuple(range(d_keys.ndim - keys.ndim)))


@scaled_dot_backward.misconception(
    "You ignore the upstream gradient and differentiate the sum of all scores. By the chain rule each score's "
    "derivative is multiplied by its entry of upstream."
)
def upstream_ignored(queries, keys, upstream):
    ones = np.ones_like(upstream)
    d_queries = ones @ keys / keys.shape[-1] ** 0.5
    d_keys = np.swapaxes(ones, -1, -2) @ queries / keys.shape[-1] ** 0.5
    return d_queries, d_keys.sum(axis=tuple(range(d_keys.ndim - keys.ndim)))


@scaled_dot_backward.misconception(
    "You return the two gradients in the wrong order: d_queries comes first and has the shape of the queries."
)
def results_exchanged(queries, keys, upstream):
    d_queries = upstream @ keys / keys.shape[-1] ** 0.5
    d_keys = np.swapaxes(upstream, -1, -2) @ queries / keys.shape[-1] ** 0.5
    return d_keys.sum(axis=tuple(range(d_keys.ndim - keys.ndim))), d_queries


# --- running_best_key -------------------------------------------------------------------------------


def _running_best_cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str,
        n: int,
        d_k: int,
        blocks: tuple[int, ...],
        kind: str = "float64",
        strided: bool = False,
        held_bytes: int | None = None,
    ) -> Case:
        # Eighths, and d_k 4 or 16: every score is exact in any order of summation, so ties are real ties.
        queries, keys = (
            np.round(8 * rng.normal(size=(n, d_k))) / 8,
            np.round(8 * rng.normal(size=(sum(blocks), d_k))) / 8,
        )
        # Query 0 scores every key below 0. Its best key opens the second block, its copy ends the stream.
        queries[0] = 0
        queries[0, 0] = 4
        keys[:, 0] = -1 - np.abs(keys[:, 0])
        keys[blocks[0], 0] = -0.5
        keys[-1] = keys[blocks[0]]
        parts = np.split(keys.astype(kind), np.cumsum(blocks)[:-1])
        names = ("queries", "key_blocks") if strided else ()
        arguments = {"queries": queries.astype(kind), "key_blocks": parts}
        streams = ("key_blocks",)
        return Case(name, arguments, strided=names, iterators=streams, held_bytes=held_bytes)

    yield case("small", 2, 4, (2, 1, 2))
    yield case("blocks of unequal size", 3, 4, (4, 2, 5, 1))
    yield case("one key per block", 3, 4, (1,) * 5)
    yield case("one query", 1, 4, (2, 3, 1))
    yield case("sixteen features", 6, 16, (3, 5, 2, 4))
    yield case("float32", 3, 16, (2, 4, 1), kind="float32")
    yield case("non-contiguous", 3, 4, (2, 3, 2), strided=True)
    # All scores are 64 kB, those of one block 8 kB; one best per query and block would be 2 kB.
    yield case("long stream", 16, 4, (64,) * 8, held_bytes=32_000)


def _right_key(case: Case, expected: Reply, got: Reply) -> Fault | None:
    """The index names the best key or a copy of it: which of equal ones comes first is another aspect."""
    keys = np.concatenate(case.arguments["key_blocks"])
    want, have = expected["value"][1], got["value"][1]
    whole = np.shape(have) == np.shape(want) and np.isin(have, np.arange(len(keys))).all()
    if whole and not differs(keys[want], keys[np.asarray(have).astype(int)], ""):
        return None
    return differs(want, have, "The index of the best key")


running_best_key = Question(
    name="running_best_key",
    title="The best key of a stream",
    cases=_running_best_cases,
    aspects=(
        Aspect("best score of every query", 1.5, item(0, "The best score")),
        Aspect("index of the best key in the whole stream", 1, _right_key),
        Aspect("the first of equal keys wins", 0.5, item(1, "The index of the best key")),
        Aspect("one block at a time", 0.5, one_at_a_time("the scores"), ("long stream",)),
        Aspect(
            "arguments untouched, in any memory layout",
            0.5,
            untouched(),
            ("non-contiguous", "float32"),
        ),
    ),
)


@running_best_key.misconception(
    "Your index counts from the start of its block. Keep the number of keys seen so far and add it to the "
    "index within the block."
)
def index_within_block(queries, key_blocks):
    best, index = np.full(len(queries), -np.inf), np.zeros(len(queries), dtype=int)
    for block in key_blocks:
        scores = queries @ block.T / queries.shape[1] ** 0.5
        better = scores.max(axis=1) > best
        index[better] = scores.argmax(axis=1)[better]
        best[better] = scores.max(axis=1)[better]
    return best, index


@running_best_key.misconception(
    "You start anew with every block, so only the last block counts. Carry the best score and its index over "
    "from block to block, and replace them only where a new score is larger."
)
def best_of_last_block(queries, key_blocks):
    seen = 0
    for block in key_blocks:
        scores = queries @ block.T / queries.shape[1] ** 0.5
        best, index = scores.max(axis=1), seen + scores.argmax(axis=1)
        seen += len(block)
    return best, index


@running_best_key.misconception(
    "Of two equally good keys you return the last: `>=` lets an equal score replace an earlier one. Replace "
    "only where the new score is strictly larger."
)
def last_one_wins(queries, key_blocks):
    best, index, seen = np.full(len(queries), -np.inf), np.zeros(len(queries), dtype=int), 0
    for block in key_blocks:
        scores = queries @ block.T / queries.shape[1] ** 0.5
        better = scores.max(axis=1) >= best
        index[better] = seen + scores.argmax(axis=1)[better]
        best[better] = scores.max(axis=1)[better]
        seen += len(block)
    return best, index


@running_best_key.misconception(
    "Your best score starts at 0, so a query whose scores are all negative never finds a key. Start at minus "
    "infinity, which any score exceeds."
)
def started_at_zero(queries, key_blocks):
    best, index, seen = np.zeros(len(queries)), np.zeros(len(queries), dtype=int), 0
    for block in key_blocks:
        scores = queries @ block.T / queries.shape[1] ** 0.5
        better = scores.max(axis=1) > best
        index[better] = seen + scores.argmax(axis=1)[better]
        best[better] = scores.max(axis=1)[better]
        seen += len(block)
    return best, index


@running_best_key.misconception(
    "Your scores are plain dot products. The best key is the same, but its score is not: divide by √d_k."
)
def scaling_forgotten_stream(queries, key_blocks):
    best, index, seen = np.full(len(queries), -np.inf), np.zeros(len(queries), dtype=int), 0
    for block in key_blocks:
        scores = queries @ block.T
        better = scores.max(axis=1) > best
        index[better] = seen + scores.argmax(axis=1)[better]
        best[better] = scores.max(axis=1)[better]
        seen += len(block)
    return best, index


# --- AdditiveEnergy ---------------------------------------------------------------------------------


def _energy_cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str, batch: int, n: int, m: int, sizes: tuple[int, int, int], **options: Any
    ) -> Case:
        d_q, d_k, d_h = sizes
        state = {
            "w": _normal(rng, d_h, dtype="float32"),
            "query_layer.weight": _normal(rng, d_h, d_q, dtype="float32", width=d_q),
            "key_layer.weight": _normal(rng, d_h, d_k, dtype="float32", width=d_k),
            "key_layer.bias": _normal(rng, d_h, dtype="float32"),
        }
        arguments = {
            "queries": _normal(rng, batch, n, d_q, dtype="float32"),
            "keys": _normal(rng, batch, m, d_k, dtype="float32"),
        }
        return Case(name, arguments, construct=sizes, state=state, **options)

    both = ("queries", "keys")
    yield case("batch of one", 1, 2, 3, (4, 1, 5))
    yield case("batch", 2, 3, 5, (6, 4, 8))
    # Equal lengths let a program run that pairs query i with key i.
    yield case("as many queries as keys", 2, 4, 4, (6, 5, 8))
    yield case("wide queries", 3, 2, 4, (9, 5, 7))
    yield case("non-contiguous", 2, 3, 5, (6, 4, 8), strided=both)
    yield case(
        "gradient",
        2,
        3,
        5,
        (6, 4, 8),
        upstream=_normal(rng, 2, 3, 5, dtype="float32"),
        gradient_of=(*both, "w"),
    )


def _rows_sum_to_one(case: Case, expected: Reply, got: Reply) -> Fault | None:
    """Positive weights that sum to 1 over the keys, and do not treat all keys alike."""
    if fault := shape()(case, expected, got):
        return fault
    weights = np.asarray(got["value"])
    if (weights < 0).any():
        return Fault("Some weights are negative.", "at least 0", f"{weights.min():.3g}")
    return differs(
        np.ones_like(weights[..., 0]), weights.sum(axis=-1), "The sum of each query's weights"
    )


_ENERGY = ("batch of one", "batch", "as many queries as keys", "wide queries")

AdditiveEnergy = Question(
    name="AdditiveEnergy",
    title="Mend this module",
    cases=_energy_cases,
    library="torch",
    aspects=(
        Aspect("one row of weights per query", 0.5, shape(), _ENERGY),
        Aspect("each row sums to 1 over the keys", 1, _rows_sum_to_one, _ENERGY),
        Aspect("values", 1.5, values(), _ENERGY),
        Aspect("gradient reaches the queries", 0.25, values("gradients", "queries"), ("gradient",)),
        Aspect("gradient reaches the keys", 0.25, values("gradients", "keys"), ("gradient",)),
        Aspect("gradient reaches w", 0.25, values("gradients", "w"), ("gradient",)),
        Aspect(
            "arguments untouched, in any memory layout",
            0.25,
            untouched(),
            ("non-contiguous", "batch"),
        ),
    ),
)


@AdditiveEnergy.misconception(
    "One fault is left: ReLU in the energy. All negative sums become 0, so keys that differ there get the same "
    "score: the additive energy uses tanh."
)
class ReluLeft(torch.nn.Module):
    def __init__(self, d_q, d_k, d_h):
        super().__init__()
        self.query_layer = torch.nn.Linear(d_q, d_h, bias=False)
        self.key_layer = torch.nn.Linear(d_k, d_h)
        self.w = torch.nn.Parameter(torch.ones(d_h))

    def forward(self, queries, keys):
        sums = self.query_layer(queries)[:, :, None] + self.key_layer(keys)[:, None]
        return torch.softmax(torch.relu(sums) @ self.w, dim=-1)


@AdditiveEnergy.misconception(
    "Your softmax still runs over the batch (dim=0): examples compete with one another. The weights of one "
    "query sum to 1 over the keys, the last axis."
)
class SoftmaxOverBatch(torch.nn.Module):
    def __init__(self, d_q, d_k, d_h):
        super().__init__()
        self.query_layer = torch.nn.Linear(d_q, d_h, bias=False)
        self.key_layer = torch.nn.Linear(d_k, d_h)
        self.w = torch.nn.Parameter(torch.ones(d_h))

    def forward(self, queries, keys):
        sums = self.query_layer(queries)[:, :, None] + self.key_layer(keys)[:, None]
        return torch.softmax(torch.tanh(sums) @ self.w, dim=0)


@AdditiveEnergy.misconception(
    "Your softmax runs over the queries (dim=1): for each key the queries compete. It is the keys that compete "
    "for a query: use the last axis."
)
class SoftmaxOverQueries(torch.nn.Module):
    def __init__(self, d_q, d_k, d_h):
        super().__init__()
        self.query_layer = torch.nn.Linear(d_q, d_h, bias=False)
        self.key_layer = torch.nn.Linear(d_k, d_h)
        self.w = torch.nn.Parameter(torch.ones(d_h))

    def forward(self, queries, keys):
        sums = self.query_layer(queries)[:, :, None] + self.key_layer(keys)[:, None]
        return torch.softmax(torch.tanh(sums) @ self.w, dim=1)


@AdditiveEnergy.misconception(
    "You return the scores: the softmax is missing. The module returns weights, one distribution over the keys "
    "per query."
)
class SoftmaxForgotten(torch.nn.Module):
    def __init__(self, d_q, d_k, d_h):
        super().__init__()
        self.query_layer = torch.nn.Linear(d_q, d_h, bias=False)
        self.key_layer = torch.nn.Linear(d_k, d_h)
        self.w = torch.nn.Parameter(torch.ones(d_h))

    def forward(self, queries, keys):
        sums = self.query_layer(queries)[:, :, None] + self.key_layer(keys)[:, None]
        return torch.tanh(sums) @ self.w


@AdditiveEnergy.misconception(
    "Every query gets the weights of query 0: you repeat that row instead of computing one for each. Let "
    "broadcasting pair all queries with all keys."
)
class FirstQueryForAll(torch.nn.Module):
    def __init__(self, d_q, d_k, d_h):
        super().__init__()
        self.query_layer = torch.nn.Linear(d_q, d_h, bias=False)
        self.key_layer = torch.nn.Linear(d_k, d_h)
        self.w = torch.nn.Parameter(torch.ones(d_h))

    def forward(self, queries, keys):
        sums = self.query_layer(queries[:, :1])[:, :, None] + self.key_layer(keys)[:, None]
        weights = torch.softmax(torch.tanh(sums) @ self.w, dim=-1)
        return weights.expand(-1, queries.shape[1], -1)


QUESTIONS: list[Question] = [
    scaled_dot_scores,
    low_rank_bilinear_scores,
    additive_scores,
    location_features,
    scaled_dot_backward,
    running_best_key,
    AdditiveEnergy,
]
