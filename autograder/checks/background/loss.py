"""Question 7: mend this loss."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from autograder.checks.draw import normal
from autograder.judge import differs, shape, untouched, values
from autograder.question import Aspect, Case, Fault, Question, Reply


def _loss_cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str,
        lengths: tuple[int, ...],
        vocabulary: int,
        width: int,
        pad: int = 0,
        **options: Any,
    ) -> Case:
        tokens = rng.integers(vocabulary - 1, size=(len(lengths), max(lengths)))
        tokens += tokens >= pad  # no token of a text is the padding
        tokens[np.arange(max(lengths)) >= np.array(lengths)[:, None]] = pad
        shapes = {
            "embedding.weight": (vocabulary, width),
            "rnn.weight_ih_l0": (width, width),
            "rnn.weight_hh_l0": (width, width),
            "rnn.bias_ih_l0": (width,),
            "rnn.bias_hh_l0": (width,),
            "output.weight": (vocabulary, width),
            "output.bias": (vocabulary,),
        }
        state = {name: normal(rng, *size, dtype="float32") for name, size in shapes.items()}
        sizes = (vocabulary, width, pad)
        return Case(name, {"tokens": tokens}, construct=sizes, state=state, **options)

    # No case is without padding, and in none is the batch a single text: each fault shows everywhere.
    yield case("two texts", (3, 2), 4, 2)
    yield case("padded with 7", (4, 6, 3), 9, 5, pad=7)
    # Only here can rows and columns of a batch, or positions and classes, be exchanged without an error.
    yield case("as many texts as tokens", (4, 2, 3, 4), 5, 3)
    yield case("as many words as positions", (5, 3), 5, 4)
    yield case("a text of one token", (4, 1, 2), 7, 3)
    improbable = case("improbable tokens", (4, 6, 3), 9, 5)
    improbable.state["output.weight"] *= (
        60  # probabilities that round to 0, and have a logarithm all the same
    )
    yield improbable
    yield case("non-contiguous", (4, 6, 3), 9, 5, strided=("tokens",))
    yield case(
        "gradient",
        (4, 6, 3),
        9,
        5,
        upstream=normal(rng, 3, dtype="float32"),
        gradient_of=("output.weight", "rnn.weight_hh_l0", "embedding.weight"),
    )


_USUAL = ("two texts", "padded with 7", "as many texts as tokens", "as many words as positions")


def _longest(case: Case, expected: Reply, got: Reply) -> Fault | None:
    """The texts without padding."""
    if fault := shape()(case, expected, got):
        return fault
    full = (case.arguments["tokens"] != case.construct[2]).all(axis=1)  # type: ignore[index]
    return differs(expected["value"][full], got["value"][full], "The loss of texts without padding")


NextTokenLoss = Question(
    name="NextTokenLoss",
    title="Mend this loss",
    cases=_loss_cases,
    library="torch",
    aspects=(
        Aspect("one sum for each text", 0.5, shape(), _USUAL),
        Aspect("texts without padding", 1, _longest, _USUAL),
        Aspect("texts with padding", 0.75, values(), _USUAL),
        Aspect("improbable tokens", 0.25, values(), ("improbable tokens",)),
        Aspect("a text of one token", 0.25, values(), ("a text of one token",)),
        Aspect(
            "gradient reaches the output layer",
            0.25,
            values("gradients", "output.weight"),
            ("gradient",),
        ),
        Aspect(
            "gradient reaches the recurrent matrix",
            0.25,
            values("gradients", "rnn.weight_hh_l0"),
            ("gradient",),
        ),
        Aspect(
            "gradient reaches the embedding",
            0.25,
            values("gradients", "embedding.weight"),
            ("gradient",),
        ),
        Aspect(
            "arguments untouched, in any memory layout",
            0.5,
            untouched(),
            ("non-contiguous", "padded with 7"),
        ),
    ),
)


@NextTokenLoss.misconception(
    "One fault is left: the recurrent layer still runs along the batch. Without batch_first=True the first axis "
    "is time to it, and a text's loss depends on its neighbours."
)
class RunsAlongTheBatch(torch.nn.Module):
    def __init__(self, vocab_size, width, pad):
        super().__init__()
        self.pad = pad
        self.embedding = torch.nn.Embedding(vocab_size, width)
        self.rnn = torch.nn.RNN(width, width)
        self.output = torch.nn.Linear(width, vocab_size)

    def forward(self, tokens):
        states, _ = self.rnn(self.embedding(tokens[:, :-1]))
        losses = torch.nn.functional.cross_entropy(
            self.output(states).transpose(1, 2), tokens[:, 1:], reduction="none"
        )
        return (losses * (tokens[:, 1:] != self.pad)).sum(dim=1)


@NextTokenLoss.misconception(
    "One fault is left: a softmax before the cross-entropy, which takes logits and has a softmax of its own. After "
    "two of them no word can get a probability near 1, and the gradient is weak."
)
class SoftmaxLeft(torch.nn.Module):
    def __init__(self, vocab_size, width, pad):
        super().__init__()
        self.pad = pad
        self.embedding = torch.nn.Embedding(vocab_size, width)
        self.rnn = torch.nn.RNN(width, width, batch_first=True)
        self.output = torch.nn.Linear(width, vocab_size)

    def forward(self, tokens):
        states, _ = self.rnn(self.embedding(tokens[:, :-1]))
        losses = torch.nn.functional.cross_entropy(
            self.output(states).softmax(dim=-1).transpose(1, 2), tokens[:, 1:], reduction="none"
        )
        return (losses * (tokens[:, 1:] != self.pad)).sum(dim=1)


@NextTokenLoss.misconception(
    "One fault is left: the target at a position is the token that was just read there. The network learns to copy "
    "it; the target is the token that comes next."
)
class TargetNotShifted(torch.nn.Module):
    def __init__(self, vocab_size, width, pad):
        super().__init__()
        self.pad = pad
        self.embedding = torch.nn.Embedding(vocab_size, width)
        self.rnn = torch.nn.RNN(width, width, batch_first=True)
        self.output = torch.nn.Linear(width, vocab_size)

    def forward(self, tokens):
        states, _ = self.rnn(self.embedding(tokens))
        losses = torch.nn.functional.cross_entropy(
            self.output(states).transpose(1, 2), tokens, reduction="none"
        )
        return (losses * (tokens != self.pad)).sum(dim=1)


@NextTokenLoss.misconception(
    "You shifted the wrong way: after a token you ask for the one before it, which the network has read already. "
    "Logits at t belong to the token at t + 1."
)
class ShiftedBackwards(torch.nn.Module):
    def __init__(self, vocab_size, width, pad):
        super().__init__()
        self.pad = pad
        self.embedding = torch.nn.Embedding(vocab_size, width)
        self.rnn = torch.nn.RNN(width, width, batch_first=True)
        self.output = torch.nn.Linear(width, vocab_size)

    def forward(self, tokens):
        states, _ = self.rnn(self.embedding(tokens))
        losses = torch.nn.functional.cross_entropy(
            self.output(states[:, 1:]).transpose(1, 2), tokens[:, :-1], reduction="none"
        )
        return (losses * (tokens[:, 1:] != self.pad)).sum(dim=1)


@NextTokenLoss.misconception(
    "One fault is left: the padding still counts. A target that is pad belongs to no text; give it the loss 0 "
    "(`ignore_index` does it)."
)
class PaddingCounted(torch.nn.Module):
    def __init__(self, vocab_size, width, pad):
        super().__init__()
        self.embedding = torch.nn.Embedding(vocab_size, width)
        self.rnn = torch.nn.RNN(width, width, batch_first=True)
        self.output = torch.nn.Linear(width, vocab_size)

    def forward(self, tokens):
        states, _ = self.rnn(self.embedding(tokens[:, :-1]))
        losses = torch.nn.functional.cross_entropy(
            self.output(states).transpose(1, 2), tokens[:, 1:], reduction="none"
        )
        return losses.sum(dim=1)


@NextTokenLoss.misconception(
    "You divide each text's sum by its own number of targets. The task asks for the sums: the training loop divides "
    "by the number of targets of the whole batch, so that every token weighs the same."
)
class MeanOfEachText(torch.nn.Module):
    def __init__(self, vocab_size, width, pad):
        super().__init__()
        self.pad = pad
        self.embedding = torch.nn.Embedding(vocab_size, width)
        self.rnn = torch.nn.RNN(width, width, batch_first=True)
        self.output = torch.nn.Linear(width, vocab_size)

    def forward(self, tokens):
        states, _ = self.rnn(self.embedding(tokens[:, :-1]))
        losses = torch.nn.functional.cross_entropy(
            self.output(states).transpose(1, 2), tokens[:, 1:], reduction="none"
        )
        counted = tokens[:, 1:] != self.pad
        return (losses * counted).sum(dim=1) / counted.sum(dim=1).clamp(min=1)
