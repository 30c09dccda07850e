"""Question 4: the leave-one-out loss of kernel regression."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from autograder.checks.draw import normal
from autograder.judge import dtype, shape, untouched, values
from autograder.question import Aspect, Case, Question


def _loss_cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str, batch: int, m: int, d_k: int, d_v: int, kind: str = "float64", **options: Any
    ) -> Case:
        arguments = {
            "keys": normal(rng, batch, m, d_k, dtype=kind),
            "values": normal(rng, batch, m, d_v, dtype=kind),
            # Bandwidths between 0.6 and 1.6, none of them 1.
            "log_bandwidths": (rng.choice([-1, 1], size=d_k) * rng.uniform(0.2, 0.5, d_k)).astype(
                kind
            ),
        }
        return Case(name, arguments, **options)

    # Three places and three values, no two alike: with equal ones the weights would not matter.
    keys, observed = (
        (rng.choice(19, size=3, replace=False) - 9).reshape(1, 3, 1) / 5 for _ in range(2)
    )
    small = {"keys": keys, "values": observed, "log_bandwidths": np.array([0.5])}
    yield Case("small", small)
    yield case("batch", 2, 5, 4, 3)
    together = case("two examples at one place", 3, 6, 2, 1)
    together.arguments["keys"][:, 4] = together.arguments["keys"][:, 1]
    yield together
    yield case("as many data sets as examples", 4, 4, 3, 2)
    far = case("an example far from all others", 2, 7, 3, 2)
    apart, one, other = rng.permutation(7)[:3]
    places = far.arguments["keys"]
    places[:, apart, 0] += 300  # its kernels all round to 0
    places[:, one, 0] += 5  # the nearest to it, and not alone: a choice of one is not the formula
    places[:, other] = places[:, one]
    yield far
    yield case("float32", 2, 5, 4, 3, kind="float32")
    yield case("non-contiguous", 2, 5, 4, 3, strided=("keys", "values"))
    by = ("keys", "values", "log_bandwidths")
    yield case("gradient", 2, 5, 4, 3, upstream=normal(rng, 2), gradient_of=by)


_LOSSES = ("small", "batch", "two examples at one place", "as many data sets as examples")

leave_one_out_loss = Question(
    name="leave_one_out_loss",
    title="A bandwidth that can be learned",
    cases=_loss_cases,
    library="torch",
    aspects=(
        Aspect("one loss for each data set", 0.5, shape(), _LOSSES[1:]),
        Aspect("values", 1.25, values(), _LOSSES),
        Aspect(
            "an example far from all others", 0.5, values(), ("an example far from all others",)
        ),
        Aspect(
            "gradient reaches the log-bandwidths",
            0.5,
            values("gradients", "log_bandwidths"),
            ("gradient",),
        ),
        Aspect("gradient reaches the keys", 0.25, values("gradients", "keys"), ("gradient",)),
        Aspect("gradient reaches the values", 0.25, values("gradients", "values"), ("gradient",)),
        Aspect("the dtype of the arguments is kept", 0.25, dtype(), ("float32", "batch")),
        Aspect(
            "arguments untouched, in any memory layout",
            0.5,
            untouched(),
            ("non-contiguous", "batch"),
        ),
    ),
)


@leave_one_out_loss.misconception(
    "Each example takes part in its own prediction, and with the largest weight of all. Training would shrink "
    "the bandwidth to 0 and the loss with it: leave the diagonal out."
)
def own_example_included(keys, values, log_bandwidths):
    scaled = keys / log_bandwidths.exp()
    scores = -(scaled[:, :, None] - scaled[:, None]).square().sum(-1) / 2
    return (scores.softmax(-1) @ values - values).square().mean(dim=(1, 2))


@leave_one_out_loss.misconception(
    "You set the diagonal to 0 after the softmax, so the weights that are left sum to less than 1. Mask the "
    "scores with minus infinity before the softmax, or normalise again."
)
def diagonal_after_softmax(keys, values, log_bandwidths):
    scaled = keys / log_bandwidths.exp()
    scores = -(scaled[:, :, None] - scaled[:, None]).square().sum(-1) / 2
    weights = scores.softmax(-1) * (1 - torch.eye(keys.shape[1], dtype=keys.dtype))
    return (weights @ values - values).square().mean(dim=(1, 2))


@leave_one_out_loss.misconception(
    "You take the logarithms for the bandwidths themselves: h is exp of what is given. Its logarithm is learned "
    "because h must stay positive."
)
def logarithm_as_bandwidth(keys, values, log_bandwidths):
    scaled = keys / log_bandwidths
    scores = -(scaled[:, :, None] - scaled[:, None]).square().sum(-1) / 2
    own = torch.eye(keys.shape[1], dtype=torch.bool)
    weights = scores.masked_fill(own, -torch.inf).softmax(-1)
    return (weights @ values - values).square().mean(dim=(1, 2))


@leave_one_out_loss.misconception(
    "The bandwidth is not squared in your scores: the difference is divided by h first, and the quotient is "
    "squared."
)
def bandwidth_not_squared(keys, values, log_bandwidths):
    scaled = keys / (log_bandwidths / 2).exp()
    scores = -(scaled[:, :, None] - scaled[:, None]).square().sum(-1) / 2
    own = torch.eye(keys.shape[1], dtype=torch.bool)
    weights = scores.masked_fill(own, -torch.inf).softmax(-1)
    return (weights @ values - values).square().mean(dim=(1, 2))


@leave_one_out_loss.misconception(
    "The factor ½ is missing in your scores. It is part of the Gaussian kernel, and without it each bandwidth is "
    "smaller by √2 than it says."
)
def half_forgotten(keys, values, log_bandwidths):
    scaled = keys / log_bandwidths.exp()
    scores = -(scaled[:, :, None] - scaled[:, None]).square().sum(-1)
    own = torch.eye(keys.shape[1], dtype=torch.bool)
    weights = scores.masked_fill(own, -torch.inf).softmax(-1)
    return (weights @ values - values).square().mean(dim=(1, 2))


@leave_one_out_loss.misconception(
    "You average over the batch too. Its members are data sets of their own: return one loss for each, of shape "
    "(batch,)."
)
def averaged_over_the_batch(keys, values, log_bandwidths):
    scaled = keys / log_bandwidths.exp()
    scores = -(scaled[:, :, None] - scaled[:, None]).square().sum(-1) / 2
    own = torch.eye(keys.shape[1], dtype=torch.bool)
    weights = scores.masked_fill(own, -torch.inf).softmax(-1)
    return (weights @ values - values).square().mean()


@leave_one_out_loss.misconception(
    "The sign of your scores is wrong: the farthest examples get the largest weights. A score is the negative "
    "squared distance."
)
def sign_forgotten(keys, values, log_bandwidths):
    scaled = keys / log_bandwidths.exp()
    scores = (scaled[:, :, None] - scaled[:, None]).square().sum(-1) / 2
    own = torch.eye(keys.shape[1], dtype=torch.bool)
    weights = scores.masked_fill(own, -torch.inf).softmax(-1)
    return (weights @ values - values).square().mean(dim=(1, 2))
