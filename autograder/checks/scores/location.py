"""Question 4: location features, in PyTorch."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from autograder.checks.draw import normal, rounded
from autograder.judge import dtype, shape, untouched, values
from autograder.question import Aspect, Case, Question


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
            "filters": normal(rng, channels, width, dtype=kind),
        }
        return Case(name, arguments, **options)

    weights = rng.permutation([0.1, 0.2, 0.3, 0.4])[None]
    yield Case("small", {"previous_weights": weights, "filters": rounded(rng, 2, 3)})
    yield case("batch", 2, 5, 4, 3)
    yield case("batch of one", 1, 5, 4, 3)
    yield case("as many filters as positions", 2, 5, 5, 3)
    yield case("wide filter", 2, 9, 4, 7)
    yield case("filter wider than the sequence", 2, 3, 4, 9)
    yield case("one position", 2, 1, 4, 3)
    yield case("filters of width one", 2, 5, 4, 1)
    yield case("one filter", 2, 5, 1, 3)
    yield case("float32", 2, 7, 3, 5, kind="float32")
    yield case("non-contiguous", 3, 7, 4, 5, strided=("previous_weights", "filters"))
    both = ("previous_weights", "filters")
    yield case("gradient", 2, 5, 4, 3, upstream=normal(rng, 2, 5, 4), gradient_of=both)
    yield case("gradient, wide filter", 2, 3, 5, 7, upstream=normal(rng, 2, 3, 5), gradient_of=both)


_LOCATION = ("small", "batch", "batch of one", "as many filters as positions", "wide filter")
_EDGES = ("one position", "filters of width one", "one filter", "filter wider than the sequence")
_GRADIENTS = ("gradient", "gradient, wide filter")

location_features = Question(
    name="location_features",
    title="Location features",
    cases=_location_cases,
    library="torch",
    aspects=(
        Aspect("shape (batch, m, channels)", 0.5, shape(), _LOCATION),
        Aspect("values", 1, values(), _LOCATION),
        Aspect("one position, width one, one filter, wide filter", 0.5, values(), _EDGES),
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


@location_features.misconception(
    "You slide the filters over the weights without padding, so the ends are lost and the result is shorter than "
    "the sequence. Put (width − 1) / 2 zeros on either side: one feature for every position."
)
def padding_forgotten(previous_weights, filters):
    return torch.conv1d(previous_weights[:, None], filters[:, None]).transpose(1, 2)
