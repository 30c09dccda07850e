"""The checks of `MendedDecoder`: Luong's decoder with input feeding, under teacher forcing."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from autograder.checks.context import relatives
from autograder.checks.draw import normal
from autograder.judge import gradients, untouched, values
from autograder.question import Aspect, Case, Question

RELATIVES = "five that differ in one thing"


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str,
        sizes: tuple[int, int, int],
        lengths: list[int],
        model: tuple[int, int, int],
        start: int = 0,
        **options: Any,
    ) -> Case:
        batch, n, m = sizes
        vocabulary, width, d_memory = model

        def weights(*size: int) -> np.ndarray:
            return normal(rng, *size, dtype="float32", width=size[-1])

        state = {
            "embedding.weight": normal(rng, vocabulary, width, dtype="float32"),
            "W": weights(width, d_memory) * 2,
            "cell.weight_ih": weights(3 * width, 2 * width),
            "cell.weight_hh": weights(3 * width, width),
            "cell.bias_ih": normal(rng, 3 * width, dtype="float32") / 4,
            "cell.bias_hh": normal(rng, 3 * width, dtype="float32") / 4,
            "mix.weight": weights(width, d_memory + width),
            "mix.bias": normal(rng, width, dtype="float32") / 4,
            "output.weight": 2 * weights(vocabulary, width),
            "output.bias": normal(rng, vocabulary, dtype="float32"),
        }
        # Neighbouring tokens differ, and none is the start token: every shift shows.
        tokens = np.delete(np.arange(vocabulary), start)
        steps = rng.integers(1, len(tokens), size=(batch, n))
        targets = tokens[np.cumsum(steps, axis=1) % len(tokens)]
        arguments = {
            "targets": targets,
            "hidden": normal(rng, batch, width, dtype="float32"),
            "memory": normal(rng, batch, m, d_memory, dtype="float32"),
            "mask": np.arange(m) < np.array(lengths)[:, None],
        }
        return Case(name, arguments, construct=(*model, start), state=state, **options)

    # Every case has padding and two steps at least: with one, nothing is fed and nothing is shifted.
    yield case("two steps", (1, 2, 3), [2], (4, 2, 3))
    yield case("batch", (3, 4, 5), [5, 2, 4], (9, 6, 7))
    yield case("as wide as the memory", (2, 5, 4), [3, 4], (7, 6, 6))
    yield case("as many steps as positions", (2, 4, 4), [4, 3], (6, 5, 8))
    yield case("start token of another number", (2, 3, 5), [5, 3], (8, 6, 4), start=7)
    yield relatives.made_of(case(RELATIVES, (5, 3, 4), [2] * 5, (7, 4, 6)))
    yield case(
        "non-contiguous", (2, 4, 5), [3, 4], (9, 6, 7), strided=("hidden", "memory", "targets")
    )
    yield case(
        "gradient",
        (2, 3, 5),
        [5, 2],
        (8, 6, 7),
        upstream=normal(rng, 2, 3, 8, dtype="float32"),
        gradient_of=("memory", "hidden", "W", "embedding.weight"),
    )


_PLAIN = (
    "two steps",
    "batch",
    "as wide as the memory",
    "as many steps as positions",
    "start token of another number",
)

MendedDecoder = Question(
    name="MendedDecoder",
    title="Mend this decoder",
    cases=_cases,
    library="torch",
    aspects=(
        Aspect("no step reads its own target", 0.5, relatives.shifted, (RELATIVES,)),
        Aspect("padding changes nothing", 0.5, relatives.masked, (RELATIVES,)),
        Aspect("logits, not probabilities", 0.5, relatives.logits, _PLAIN),
        Aspect("values", 2.25, values(), _PLAIN),
        Aspect("gradient reaches the memory", 0.25, values("gradients", "memory"), ("gradient",)),
        Aspect("gradient reaches W", 0.25, values("gradients", "W"), ("gradient",)),
        Aspect(
            "gradient reaches state and embedding",
            0.25,
            gradients("hidden", "embedding.weight"),
            ("gradient",),
        ),
        Aspect(
            "arguments untouched, in any memory layout",
            0.5,
            untouched(),
            ("non-contiguous", "batch"),
        ),
    ),
)


@MendedDecoder.misconception(
    "One fault is left: step t reads target t, the very token that it should predict. Put the start token in "
    "front and leave the last target out."
)
class ShiftForgotten(torch.nn.Module):
    def __init__(self, vocabulary, width, d_memory, start):
        super().__init__()
        self.start = start
        self.embedding = torch.nn.Embedding(vocabulary, width)
        self.cell = torch.nn.GRUCell(2 * width, width)
        self.W = torch.nn.Parameter(torch.zeros(width, d_memory))
        self.mix = torch.nn.Linear(d_memory + width, width)
        self.output = torch.nn.Linear(width, vocabulary)

    def forward(self, targets, hidden, memory, mask):
        fed, logits = torch.zeros_like(hidden), []
        for embedded in self.embedding(targets).unbind(dim=1):
            hidden = self.cell(torch.cat([embedded, fed], dim=-1), hidden)
            scores = (memory @ (hidden @ self.W)[..., None])[..., 0]
            weights = scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)
            context = (weights[:, None] @ memory)[:, 0]
            fed = torch.tanh(self.mix(torch.cat([context, hidden], dim=-1)))
            logits.append(self.output(fed))
        return torch.stack(logits, dim=1)


@MendedDecoder.misconception(
    "You roll the targets, so the first step reads the last token of the answer. In its place belongs the start "
    "token."
)
class RolledRound(torch.nn.Module):
    def __init__(self, vocabulary, width, d_memory, start):
        super().__init__()
        self.start = start
        self.embedding = torch.nn.Embedding(vocabulary, width)
        self.cell = torch.nn.GRUCell(2 * width, width)
        self.W = torch.nn.Parameter(torch.zeros(width, d_memory))
        self.mix = torch.nn.Linear(d_memory + width, width)
        self.output = torch.nn.Linear(width, vocabulary)

    def forward(self, targets, hidden, memory, mask):
        fed, logits = torch.zeros_like(hidden), []
        inputs = targets.roll(1, dims=1)
        for embedded in self.embedding(inputs).unbind(dim=1):
            hidden = self.cell(torch.cat([embedded, fed], dim=-1), hidden)
            scores = (memory @ (hidden @ self.W)[..., None])[..., 0]
            weights = scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)
            context = (weights[:, None] @ memory)[:, 0]
            fed = torch.tanh(self.mix(torch.cat([context, hidden], dim=-1)))
            logits.append(self.output(fed))
        return torch.stack(logits, dim=1)


@MendedDecoder.misconception(
    "One fault is left: the embedding of the last token is your query. It knows one token; the state after the "
    "step knows all that was written."
)
class EmbeddingAsks(torch.nn.Module):
    def __init__(self, vocabulary, width, d_memory, start):
        super().__init__()
        self.start = start
        self.embedding = torch.nn.Embedding(vocabulary, width)
        self.cell = torch.nn.GRUCell(2 * width, width)
        self.W = torch.nn.Parameter(torch.zeros(width, d_memory))
        self.mix = torch.nn.Linear(d_memory + width, width)
        self.output = torch.nn.Linear(width, vocabulary)

    def forward(self, targets, hidden, memory, mask):
        fed, logits = torch.zeros_like(hidden), []
        inputs = torch.nn.functional.pad(targets[:, :-1], (1, 0), value=self.start)
        for embedded in self.embedding(inputs).unbind(dim=1):
            hidden = self.cell(torch.cat([embedded, fed], dim=-1), hidden)
            scores = (memory @ (embedded @ self.W)[..., None])[..., 0]
            weights = scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)
            context = (weights[:, None] @ memory)[:, 0]
            fed = torch.tanh(self.mix(torch.cat([context, hidden], dim=-1)))
            logits.append(self.output(fed))
        return torch.stack(logits, dim=1)


@MendedDecoder.misconception(
    "You ask with the state before the step, as Bahdanau's decoder does. In Luong's the step comes first, and the "
    "new state asks."
)
class StateBeforeAsks(torch.nn.Module):
    def __init__(self, vocabulary, width, d_memory, start):
        super().__init__()
        self.start = start
        self.embedding = torch.nn.Embedding(vocabulary, width)
        self.cell = torch.nn.GRUCell(2 * width, width)
        self.W = torch.nn.Parameter(torch.zeros(width, d_memory))
        self.mix = torch.nn.Linear(d_memory + width, width)
        self.output = torch.nn.Linear(width, vocabulary)

    def forward(self, targets, hidden, memory, mask):
        fed, logits = torch.zeros_like(hidden), []
        inputs = torch.nn.functional.pad(targets[:, :-1], (1, 0), value=self.start)
        for embedded in self.embedding(inputs).unbind(dim=1):
            before, hidden = hidden, self.cell(torch.cat([embedded, fed], dim=-1), hidden)
            scores = (memory @ (before @ self.W)[..., None])[..., 0]
            weights = scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)
            context = (weights[:, None] @ memory)[:, 0]
            fed = torch.tanh(self.mix(torch.cat([context, hidden], dim=-1)))
            logits.append(self.output(fed))
        return torch.stack(logits, dim=1)


@MendedDecoder.misconception(
    "One fault is left: padding gets the score 0, which is a score like any other. The score that gives weight 0 "
    "is minus infinity."
)
class PaddingScoresZero(torch.nn.Module):
    def __init__(self, vocabulary, width, d_memory, start):
        super().__init__()
        self.start = start
        self.embedding = torch.nn.Embedding(vocabulary, width)
        self.cell = torch.nn.GRUCell(2 * width, width)
        self.W = torch.nn.Parameter(torch.zeros(width, d_memory))
        self.mix = torch.nn.Linear(d_memory + width, width)
        self.output = torch.nn.Linear(width, vocabulary)

    def forward(self, targets, hidden, memory, mask):
        fed, logits = torch.zeros_like(hidden), []
        inputs = torch.nn.functional.pad(targets[:, :-1], (1, 0), value=self.start)
        for embedded in self.embedding(inputs).unbind(dim=1):
            hidden = self.cell(torch.cat([embedded, fed], dim=-1), hidden)
            scores = (memory @ (hidden @ self.W)[..., None])[..., 0]
            weights = (scores * mask).softmax(dim=-1)
            context = (weights[:, None] @ memory)[:, 0]
            fed = torch.tanh(self.mix(torch.cat([context, hidden], dim=-1)))
            logits.append(self.output(fed))
        return torch.stack(logits, dim=1)


@MendedDecoder.misconception(
    "One fault is left: you return probabilities. F.cross_entropy applies the softmax itself, so it wants the "
    "logits as they come from `output`."
)
class ProbabilitiesReturned(torch.nn.Module):
    def __init__(self, vocabulary, width, d_memory, start):
        super().__init__()
        self.start = start
        self.embedding = torch.nn.Embedding(vocabulary, width)
        self.cell = torch.nn.GRUCell(2 * width, width)
        self.W = torch.nn.Parameter(torch.zeros(width, d_memory))
        self.mix = torch.nn.Linear(d_memory + width, width)
        self.output = torch.nn.Linear(width, vocabulary)

    def forward(self, targets, hidden, memory, mask):
        fed, logits = torch.zeros_like(hidden), []
        inputs = torch.nn.functional.pad(targets[:, :-1], (1, 0), value=self.start)
        for embedded in self.embedding(inputs).unbind(dim=1):
            hidden = self.cell(torch.cat([embedded, fed], dim=-1), hidden)
            scores = (memory @ (hidden @ self.W)[..., None])[..., 0]
            weights = scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)
            context = (weights[:, None] @ memory)[:, 0]
            fed = torch.tanh(self.mix(torch.cat([context, hidden], dim=-1)))
            logits.append(self.output(fed).softmax(dim=-1))
        return torch.stack(logits, dim=1)


@MendedDecoder.misconception(
    "You lost the input feeding: each step's attentional state has to enter the cell of the next one, beside the "
    "embedding."
)
class NothingFed(torch.nn.Module):
    def __init__(self, vocabulary, width, d_memory, start):
        super().__init__()
        self.start = start
        self.embedding = torch.nn.Embedding(vocabulary, width)
        self.cell = torch.nn.GRUCell(2 * width, width)
        self.W = torch.nn.Parameter(torch.zeros(width, d_memory))
        self.mix = torch.nn.Linear(d_memory + width, width)
        self.output = torch.nn.Linear(width, vocabulary)

    def forward(self, targets, hidden, memory, mask):
        fed, logits = torch.zeros_like(hidden), []
        inputs = torch.nn.functional.pad(targets[:, :-1], (1, 0), value=self.start)
        for embedded in self.embedding(inputs).unbind(dim=1):
            hidden = self.cell(torch.cat([embedded, fed], dim=-1), hidden)
            scores = (memory @ (hidden @ self.W)[..., None])[..., 0]
            weights = scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)
            context = (weights[:, None] @ memory)[:, 0]
            mixed = torch.tanh(self.mix(torch.cat([context, hidden], dim=-1)))
            logits.append(self.output(mixed))
        return torch.stack(logits, dim=1)
