"""A faulty pre-norm block, mended."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from autograder.checks.draw import normal
from autograder.checks.multi_head.judges import (
    places_kept,
    same_outputs,
    value_used,
    x_arrives,
)
from autograder.judge import gradients, untouched, values
from autograder.question import Aspect, Case, Question

LAYERS = ("norm_1", "norm_2", "query", "key", "value", "output", "expand", "contract")
LEARNED = ("x", *(f"{layer}.{part}" for layer in LAYERS for part in ("weight", "bias")))


def _state(rng: np.random.Generator, d: int, d_ff: int) -> dict[str, np.ndarray]:
    """Weights of all layers, and norms that are not the identity."""
    sizes = {name: (d, d) for name in ("query", "key", "value", "output")}
    sizes |= {"expand": (d_ff, d), "contract": (d, d_ff)}
    state = {}
    for name, (d_out, d_in) in sizes.items():
        state[f"{name}.weight"] = normal(rng, d_out, d_in, dtype="float32", width=d_in)
        state[f"{name}.bias"] = normal(rng, d_out, dtype="float32", width=4)
    for name in ("norm_1", "norm_2"):
        state[f"{name}.weight"] = rng.uniform(0.5, 1.5, size=d).astype("float32")
        state[f"{name}.bias"] = normal(rng, d, dtype="float32", width=4)
    return state


def _mask(n: int, lengths: tuple[int, ...]) -> np.ndarray:
    """Causal, with padding: some position is hidden, and position 0 never is."""
    return np.tril(np.ones((n, n), bool)) & (np.arange(n) < np.array(lengths)[:, None, None])


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str, n: int, lengths: tuple[int, ...], sizes: tuple[int, int, int], **options: Any
    ) -> Case:
        d, _, d_ff = sizes
        arguments = {
            "x": normal(rng, len(lengths), n, d, dtype="float32"),
            "mask": _mask(n, lengths),
        }
        state = _state(rng, d, d_ff)
        return Case(name, arguments, construct=sizes, state=state, **options)

    yield case("batch of one", 2, (2,), (4, 2, 3))
    yield case("batch", 5, (5, 3), (12, 3, 7))
    # Only here do a mask without an axis for the heads, and positions in place of features, go through.
    yield case("as many heads as examples", 4, (4, 2), (8, 2, 5))
    yield case("as many positions as features of a head", 3, (3, 2, 3), (6, 2, 9))
    hidden = case("hidden", 4, (3, 3), (8, 2, 5))
    # Both examples are alike but for the last position, which nobody may see but itself.
    hidden.arguments["mask"] = np.repeat(np.tril(np.ones((1, 4, 4), bool)), 2, axis=0)
    hidden.arguments["x"][1, :3] = hidden.arguments["x"][0, :3]
    yield hidden
    exchanged = case("exchanged", 4, (4, 4), (8, 2, 5))
    # Both examples are alike but for the order of positions 0 and 1. All see 0 to 2, and 3 itself besides.
    exchanged.arguments["mask"][:] = np.arange(4) < 3
    exchanged.arguments["mask"][:, 3, 3] = True
    exchanged.arguments["x"][1] = exchanged.arguments["x"][0, [1, 0, 2, 3]]
    yield exchanged
    silent = case("silent", 4, (4, 3), (8, 2, 5))
    # The feed-forward network adds nothing, and x is large beside what attention adds.
    silent.arguments["x"][:] *= 20
    for name in ("contract.weight", "contract.bias"):
        silent.state[name][:] = 0
    yield silent
    yield case("non-contiguous", 5, (5, 3), (12, 3, 7), strided=("x", "mask"))
    upstream = normal(rng, 2, 5, 12, dtype="float32")
    yield case("gradient", 5, (5, 3), (12, 3, 7), upstream=upstream, gradient_of=LEARNED)


_PLAIN = (
    "batch of one",
    "batch",
    "as many heads as examples",
    "as many positions as features of a head",
)

PreNormBlock = Question(
    name="PreNormBlock",
    title="Mend this block",
    cases=_cases,
    library="torch",
    aspects=(
        # First, so that its small example is the one shown.
        Aspect("values", 1, values(), _PLAIN),
        Aspect(
            "what is hidden does not matter",
            0.5,
            same_outputs(
                0,
                1,
                slice(0, 3),
                "Two examples that differ in position 3, which only 3 may see, have other outputs before it.",
            ),
            ("hidden",),
        ),
        Aspect("every row belongs to its position", 0.5, places_kept, ("exchanged",)),
        Aspect("the value projection is used", 0.5, value_used, ("gradient",)),
        Aspect("x arrives past both sublayers", 0.5, x_arrives, ("silent",)),
        Aspect("gradients", 0.5, gradients(), ("gradient",)),
        Aspect(
            "arguments untouched, in any memory layout",
            0.5,
            untouched(),
            ("non-contiguous", "batch"),
        ),
    ),
)


@PreNormBlock.misconception(
    "One fault is left: the mask multiplies. A hidden score becomes 0, and e⁰ = 1 is a weight like any other: a hidden "
    "score must be minus infinity."
)
class MaskMultiplies(torch.nn.Module):
    def __init__(self, d_model, heads, d_ff):
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = torch.nn.LayerNorm(d_model), torch.nn.LayerNorm(d_model)
        self.query, self.key, self.value, self.output = (
            torch.nn.Linear(d_model, d_model) for _ in range(4)
        )
        self.expand, self.contract = torch.nn.Linear(d_model, d_ff), torch.nn.Linear(d_ff, d_model)

    def forward(self, x, mask):
        y = self.norm_1(x)
        q, k, v = (
            layer(y).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        scores = q @ k.mT / q.shape[-1] ** 0.5 * mask[:, None]
        x = x + self.output((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
        return x + self.contract(torch.relu(self.expand(self.norm_2(x))))


@PreNormBlock.misconception(
    "One fault is left: you merge the heads by a reshape alone. The axes of heads and positions must change places "
    "first, or the rows of the result mix positions."
)
class HeadsNotMovedBack(torch.nn.Module):
    def __init__(self, d_model, heads, d_ff):
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = torch.nn.LayerNorm(d_model), torch.nn.LayerNorm(d_model)
        self.query, self.key, self.value, self.output = (
            torch.nn.Linear(d_model, d_model) for _ in range(4)
        )
        self.expand, self.contract = torch.nn.Linear(d_model, d_ff), torch.nn.Linear(d_ff, d_model)

    def forward(self, x, mask):
        y = self.norm_1(x)
        q, k, v = (
            layer(y).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        scores = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~mask[:, None], -torch.inf)
        x = x + self.output((scores.softmax(-1) @ v).reshape(x.shape))
        return x + self.contract(torch.relu(self.expand(self.norm_2(x))))


@PreNormBlock.misconception(
    "One fault is left: the values are not projected. The heads hand on slices of the input, `value` is never used and "
    "never trained."
)
class ValueNotProjected(torch.nn.Module):
    def __init__(self, d_model, heads, d_ff):
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = torch.nn.LayerNorm(d_model), torch.nn.LayerNorm(d_model)
        self.query, self.key, self.value, self.output = (
            torch.nn.Linear(d_model, d_model) for _ in range(4)
        )
        self.expand, self.contract = torch.nn.Linear(d_model, d_ff), torch.nn.Linear(d_ff, d_model)

    def forward(self, x, mask):
        y = self.norm_1(x)
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.query(y), self.key(y), y)
        )
        scores = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~mask[:, None], -torch.inf)
        x = x + self.output((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
        return x + self.contract(torch.relu(self.expand(self.norm_2(x))))


@PreNormBlock.misconception(
    "One fault is left: the second residual connection is missing. The feed-forward network adds to x; it does not "
    "replace it."
)
class SecondResidualMissing(torch.nn.Module):
    def __init__(self, d_model, heads, d_ff):
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = torch.nn.LayerNorm(d_model), torch.nn.LayerNorm(d_model)
        self.query, self.key, self.value, self.output = (
            torch.nn.Linear(d_model, d_model) for _ in range(4)
        )
        self.expand, self.contract = torch.nn.Linear(d_model, d_ff), torch.nn.Linear(d_ff, d_model)

    def forward(self, x, mask):
        y = self.norm_1(x)
        q, k, v = (
            layer(y).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        scores = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~mask[:, None], -torch.inf)
        x = x + self.output((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
        return self.contract(torch.relu(self.expand(self.norm_2(x))))


@PreNormBlock.misconception(
    "You add the output of the feed-forward network to its normalised input. The residual path of a pre-norm "
    "block goes past the norm: add to x itself."
)
class AddedToTheNorm(torch.nn.Module):
    def __init__(self, d_model, heads, d_ff):
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = torch.nn.LayerNorm(d_model), torch.nn.LayerNorm(d_model)
        self.query, self.key, self.value, self.output = (
            torch.nn.Linear(d_model, d_model) for _ in range(4)
        )
        self.expand, self.contract = torch.nn.Linear(d_model, d_ff), torch.nn.Linear(d_ff, d_model)

    def forward(self, x, mask):
        y = self.norm_1(x)
        q, k, v = (
            layer(y).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        scores = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~mask[:, None], -torch.inf)
        x = x + self.output((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
        y = self.norm_2(x)
        return y + self.contract(torch.relu(self.expand(y)))


@PreNormBlock.misconception(
    "You turned the mask round while you mended it: now each position looks at what it may not see. True means that it "
    "may attend, and `masked_fill` fills where its mask is True: give it `~mask`."
)
class MaskTurnedRound(torch.nn.Module):
    def __init__(self, d_model, heads, d_ff):
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = torch.nn.LayerNorm(d_model), torch.nn.LayerNorm(d_model)
        self.query, self.key, self.value, self.output = (
            torch.nn.Linear(d_model, d_model) for _ in range(4)
        )
        self.expand, self.contract = torch.nn.Linear(d_model, d_ff), torch.nn.Linear(d_ff, d_model)

    def forward(self, x, mask):
        y = self.norm_1(x)
        q, k, v = (
            layer(y).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        scores = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(mask[:, None], -torch.inf)
        x = x + self.output((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
        return x + self.contract(torch.relu(self.expand(self.norm_2(x))))
