"""Question 1: a batch for teacher forcing."""

from collections.abc import Iterator

import numpy as np

from autograder.judge import item, untouched
from autograder.question import Aspect, Case, Fault, Question, Reply


def _teacher_cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str,
        lengths: tuple[int, ...],
        bos: int = 1,
        eos: int = 2,
        largest: int = 60,
        strided: tuple[str, ...] = (),
    ) -> Case:
        tokens = rng.integers(8, largest, size=sum(lengths))
        # Everywhere the padding's number is a token too: a mask made by comparing with it shows.
        pad = int(rng.choice(tokens))
        arguments = {"tokens": tokens, "lengths": np.array(lengths)}
        return Case(name, {**arguments, "bos": bos, "eos": eos, "pad": pad}, strided=strided)

    yield case("two texts", (3, 2))
    yield case("the longest last", (2, 1, 5))
    yield case("four texts", (4, 6, 1, 6))
    yield case("empty texts", (0, 2, 0, 0, 4))
    yield case("one token", (1, 0))
    yield case("a large vocabulary", (5, 2, 3), bos=50_257, eos=50_258, largest=50_257)
    yield case("non-contiguous", (3, 1, 2), strided=("tokens", "lengths"))


def _kinds(case: Case, expected: Reply, got: Reply) -> Fault | None:
    """Inputs and targets can index, the mask can select; it counts only where the values are right."""
    for part, name in enumerate(("The array of inputs", "The array of targets", "The mask")):
        if fault := item(part, name)(case, expected, got):
            return fault
        kinds, wanted = ("b", "bool") if part == 2 else ("iu", "whole numbers, such as int64")
        have = got["value"][part]
        if have.dtype.kind not in kinds:
            return Fault(f"{name} has the right values and a wrong dtype.", wanted, str(have.dtype))
    return None


def _mask(case: Case, expected: Reply, got: Reply) -> Fault | None:
    if fault := item(2, "The mask")(case, expected, got):
        return Fault(
            f"{fault.sentence} It follows from the lengths of the texts alone.",
            fault.expected,
            fault.got,
        )
    return None


teacher_forcing_batch = Question(
    name="teacher_forcing_batch",
    title="A batch for teacher forcing",
    cases=_teacher_cases,
    aspects=(
        Aspect("inputs", 0.75, item(0, "The array of inputs")),
        Aspect("targets, one step ahead", 0.75, item(1, "The array of targets")),
        Aspect("a mask that follows the lengths", 0.75, _mask),
        Aspect("whole numbers, and a mask of booleans", 0.25, _kinds),
        Aspect(
            "arguments untouched, in any memory layout",
            0.5,
            untouched(),
            ("non-contiguous", "four texts"),
        ),
    ),
)


@teacher_forcing_batch.misconception(
    "Your targets are not shifted: at every position the target is the token that the decoder has just read, "
    "and it would learn to copy. The target is the token that comes next."
)
def not_shifted(tokens, lengths, bos, eos, pad):
    sequences = [list(s) for s in np.split(tokens, np.cumsum(lengths)[:-1])]
    width = max(len(s) for s in sequences) + 1
    inputs = np.array([[bos, *s] + [pad] * (width - 1 - len(s)) for s in sequences])
    mask = np.array([[t <= len(s) for t in range(width)] for s in sequences])
    return inputs, inputs.copy(), mask


@teacher_forcing_batch.misconception(
    "Your targets end with the text's last token. After it comes eos: a decoder that is never taught to end a "
    "text writes on for ever."
)
def eos_forgotten(tokens, lengths, bos, eos, pad):
    sequences = [list(s) for s in np.split(tokens, np.cumsum(lengths)[:-1])]
    width = max(len(s) for s in sequences) + 1
    inputs = np.array([[bos, *s] + [pad] * (width - 1 - len(s)) for s in sequences])
    targets = np.array([[*s] + [pad] * (width - len(s)) for s in sequences])
    mask = np.array([[t < len(s) for t in range(width)] for s in sequences])
    return inputs, targets, mask


@teacher_forcing_batch.misconception(
    "You find the padding by comparing the targets with pad. Here pad is also the number of a token, so real "
    "tokens are lost: make the mask from the lengths."
)
def mask_by_comparison(tokens, lengths, bos, eos, pad):
    sequences = [list(s) for s in np.split(tokens, np.cumsum(lengths)[:-1])]
    width = max(len(s) for s in sequences) + 1
    inputs = np.array([[bos, *s] + [pad] * (width - 1 - len(s)) for s in sequences])
    targets = np.array([[*s, eos] + [pad] * (width - 1 - len(s)) for s in sequences])
    return inputs, targets, targets != pad


@teacher_forcing_batch.misconception(
    "Your mask is upside down: True marks the targets that count, False the padding."
)
def mask_upside_down(tokens, lengths, bos, eos, pad):
    sequences = [list(s) for s in np.split(tokens, np.cumsum(lengths)[:-1])]
    width = max(len(s) for s in sequences) + 1
    inputs = np.array([[bos, *s] + [pad] * (width - 1 - len(s)) for s in sequences])
    targets = np.array([[*s, eos] + [pad] * (width - 1 - len(s)) for s in sequences])
    mask = np.array([[t > len(s) for t in range(width)] for s in sequences])
    return inputs, targets, mask


@teacher_forcing_batch.misconception(
    "You pad on the left. The texts begin in the first column, where every decoder state starts; the padding "
    "follows them."
)
def padded_on_the_left(tokens, lengths, bos, eos, pad):
    sequences = [list(s) for s in np.split(tokens, np.cumsum(lengths)[:-1])]
    width = max(len(s) for s in sequences) + 1
    inputs = np.array([[pad] * (width - 1 - len(s)) + [bos, *s] for s in sequences])
    targets = np.array([[pad] * (width - 1 - len(s)) + [*s, eos] for s in sequences])
    mask = np.array([[t >= width - 1 - len(s) for t in range(width)] for s in sequences])
    return inputs, targets, mask


@teacher_forcing_batch.misconception(
    "In the shorter texts eos stands among your inputs, as it does where one cuts the last column off a padded "
    "batch. An input row is bos and the text; eos is only ever a target."
)
def eos_as_an_input(tokens, lengths, bos, eos, pad):
    sequences = [list(s) for s in np.split(tokens, np.cumsum(lengths)[:-1])]
    width = max(len(s) for s in sequences) + 1
    whole = np.array([[bos, *s, eos] + [pad] * (width - 1 - len(s)) for s in sequences])
    mask = np.array([[t <= len(s) for t in range(width)] for s in sequences])
    return whole[:, :-1], whole[:, 1:], mask
