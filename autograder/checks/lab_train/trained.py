"""A trained model, measured on a text that nobody has seen.

The student's code gets prefixes and never what follows them; loss and points are worked out here. The prefixes
together are a sample of the text, from which a program could learn at this very moment: an untrained
five-gram model of nothing but all prefixes has a loss of 1.76 nats, as a model that was trained well. So
some of them, drawn for the student, are asked again alone, of a process that has never seen the others. Nor does
it count what a program knows without the file, such as pairs counted in the documentation that Python brings
along: the same prefixes are asked once more with the file's numbers shuffled, and a model then knows nothing.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from autograder.judge import Shown, failure
from autograder.question import Artefact, Aspect, Case, Fault, Judge, Question, Remark, Reply
from autograder.weights import MAX_BYTES, MAX_NUMBERS, read_weights

SYMBOLS = ["\n"] + [chr(code) for code in range(32, 127)]
HELD_OUT = Path(__file__).with_name("held_out.txt")
SHUFFLED = "some of it, with shuffled weights"
PREFIX, GAP = 64, 31  # characters: no prefix holds another's target, nor what stands around it
ASKED_AGAIN = 32  # prefixes
SAME = 0.02  # nats that their losses may differ by on average: what half precision rounds off
WORSE = (
    0.1  # nats that the loss with shuffled weights must be higher by: a model loses more than one
)
SIZES = 5  # vocabulary, layers, heads, width, context
CPU_NUMBERS = 1_500_000  # up to so many parameters the thresholds of a CPU's budget hold

# Losses in nats per character on the 576 targets of held_out.txt (standard error over the targets 0.08), measured on
# 22 November 2026. Counted on the standard library's documentation: single characters 3.37, pairs 2.76, three in a row
# 2.22, four 1.93. Trained on it with `attend` on one CPU core, this alphabet, context 64, batch 16:
#   steps                                    100    300    600         1200        2000   3000
#   recipe gpt2, 0.81 million parameters     2.87   2.67   2.39 2.39   2.10 2.09   1.88   1.74   (two: two seeds)
#   recipe modern, 0.80 million              2.12   1.75   1.65 1.65   1.57 1.64
#   recipe modern, 2.43 million (width 224): 1.67 after 1500 steps
# They took 257 s of the core (gpt2, 3000 steps), 33 s (modern, 300) and 378 s (2.43 million). The GPU's thresholds were
# tried with that last model only: on no GPU, and with no larger model.
SHOWN = 400  # characters of an error
IMPLAUSIBLE = 0.8  # nats: below what any model of this size was seen to reach, by far


@dataclass(frozen=True)
class Rung:
    """A threshold: the loss in nats per character that earns the point, by budget."""

    title: str
    cpu: float
    gpu: float

    def limit(self, numbers: int) -> float:
        """The threshold for a model with so many parameters."""
        return self.cpu if numbers <= CPU_NUMBERS else self.gpu


RUNGS = (
    Rung("it knows which characters are frequent", 3.30, 3.30),
    Rung("it knows which pairs are frequent", 2.75, 2.45),
    Rung("it has begun to spell", 2.45, 2.10),
    Rung("it spells", 2.15, 1.90),
    Rung("it writes words", 1.95, 1.80),
    Rung("it follows the text", 1.80, 1.70),
)


@dataclass(frozen=True)
class Target:
    """What follows the prefixes (n,), which `rows` of all they are, and how many parameters the model has."""

    tokens: np.ndarray
    rows: np.ndarray
    numbers: int


@cache
def held_out() -> tuple[np.ndarray, np.ndarray]:
    """Prefixes (n, 64) and the tokens (n,) that follow them."""
    text = HELD_OUT.read_text(encoding="ascii")
    tokens = np.array([SYMBOLS.index(character) for character in text])
    starts = np.arange(0, len(tokens) - PREFIX, PREFIX + 1 + GAP)
    return tokens[starts[:, None] + np.arange(PREFIX)], tokens[starts + PREFIX]


def cases(rng: np.random.Generator, raw: bytes) -> Iterator[Case]:
    """All prefixes in one call, some of them alone, and these with shuffled weights."""
    weights = read_weights(raw, SIZES)
    prefixes, tokens = held_out()
    everything = np.arange(len(tokens))
    again = np.sort(rng.choice(everything, ASKED_AGAIN, replace=False))
    for name, rows in (
        ("the held-out text", everything),
        ("some of it alone", again),
        (SHUFFLED, again),
    ):
        arrays = weights.arrays
        if name == SHUFFLED:
            arrays = {key: rng.permuted(a.ravel()).reshape(a.shape) for key, a in arrays.items()}
        arguments = {"weights": arrays, "sizes": weights.sizes, "prefixes": prefixes[rows]}
        yield Case(name, arguments, target=Target(tokens[rows], rows, weights.numbers))


def losses(case: Case, reply: Reply) -> np.ndarray | Fault:
    """The cross-entropy (n,) of each prefix's target in nats, or what is wrong with the logits.

    Whatever was returned is made a distribution here: no logits can promise more than 1 in all.
    """
    if fault := failure(reply):
        return fault
    logits, tokens = reply["value"], case.target.tokens
    wanted = (len(tokens), len(SYMBOLS))
    if not isinstance(logits, np.ndarray) or logits.dtype.kind != "f" or logits.shape != wanted:
        return Fault(
            "The logits have another shape or type: one row for each prefix, for the token after it.",
            f"floats of shape {wanted}",
            Shown(logits),
        )
    if not np.isfinite(logits).all():
        return Fault("Some logits are no finite numbers (NaN or infinite).")
    logits = logits.astype(np.float64)
    logits -= logits.max(axis=-1, keepdims=True)
    normaliser = np.log(np.exp(logits).sum(axis=-1))
    return normaliser - np.take_along_axis(logits, tokens[:, None], axis=-1)[:, 0]


def alone(case: Case, first: Reply, found: np.ndarray) -> Fault | None:
    """The prefixes that were asked again alone were answered as among all the others."""
    among = losses(case, {**first, "value": first["value"][case.target.rows]})
    if isinstance(among, Fault) or np.abs(found - among).mean() <= SAME:
        return None  # the former is told of the first case
    return Fault(
        "A prefix asked again, beside fewer others, gets other logits: they must depend on the prefix and the "
        "weights alone. Does `next_logits` put the model into evaluation mode (dropout off)?",
        f"losses that differ by at most {SAME:g} nats on average",
        f"{np.abs(found - among).mean():.2f} nats on average",
    )


def without(case: Case, first: Reply, found: np.ndarray) -> Fault | None:
    """With shuffled weights the model knows less than with its own."""
    among = losses(case, {**first, "value": first["value"][case.target.rows]})
    if isinstance(among, Fault) or found.mean() > among.mean() + WORSE:
        return None
    return Fault(
        "With the numbers of your file shuffled the loss is as low as with your file, so the answers do not come "
        "from the weights that you trained. Does `next_logits` load them?",
        f"a loss above {in_words(float(among.mean()) + WORSE)}",
        in_words(float(found.mean())),
    )


def below(rung: Rung) -> Judge:
    """The loss is at most the rung's, and a prefix's logits do not depend on the prefixes beside it."""

    def judge(case: Case, first: Reply, got: Reply) -> Fault | None:
        found = losses(case, got)
        if case.name == SHUFFLED:  # numbers too large to be finite are fine there
            return None if isinstance(found, Fault) else without(case, first, found)
        if isinstance(found, Fault):
            return found
        if first:
            return alone(case, first, found)
        loss, limit = float(found.mean()), rung.limit(case.target.numbers)
        if loss <= limit:
            return None
        sentence = (
            f"Your loss is {loss:.2f}; this point is earned at {limit:.2f} nats per character."
        )
        return Fault(sentence, f"at most {in_words(limit)}", in_words(loss))

    return judge


def in_words(loss: float) -> str:
    """A loss per character, which is one byte of an ASCII text, in both units."""
    return f"{loss:.2f} nats per character ({loss / math.log(2):.2f} bits per byte)"


# From which loss on a hint holds; the first that does is shown.
HINTS = (
    (
        math.log(len(SYMBOLS)),
        "Equal probabilities for all 96 characters would have 4.56: either the weights are those of an untrained "
        "model, or it was trained with another alphabet (a token is the index in `SYMBOLS`).",
    ),
    (
        3.37,
        "The frequencies of single characters alone give 3.37: see that `next_logits` returns the logits at the "
        "last position, and that in training the targets are the inputs shifted by one.",
    ),
    (
        2.76,
        "The frequencies of pairs of characters give 2.76: does the model see what came before? Look at the mask, "
        "at the positions, and at whether the training loss still falls: then it needs more steps.",
    ),
    (
        2.22,
        "The frequencies of three characters in a row give 2.22: train for more steps, and look at the highest "
        "learning rate and its warm-up.",
    ),
    (
        0.0,
        "More steps help as long as the validation loss falls; then a better recipe (rotary positions, query-key "
        "norm, Muon), or a larger model.",
    ),
)


def remark(cases: list[Case], got: list[Reply]) -> Remark:
    """The measured loss, what the next point takes, and a hint."""
    found = losses(cases[0], got[0])
    if isinstance(found, Fault):
        return Remark(why_no_loss(got[0]))
    loss, numbers = float(found.mean()), cases[0].target.numbers
    budget = "CPU" if numbers <= CPU_NUMBERS else "GPU"
    text = (
        f"Your model's loss on {len(found)} characters of a text that nobody has seen is {in_words(loss)}. "
        f"Its file holds {numbers:,} numbers: the thresholds for a {budget}'s budget hold. "
    )
    left = [rung.limit(numbers) for rung in RUNGS if loss > rung.limit(numbers)]
    if not left:
        text += "That is below the last one."
    else:
        text += (
            f"The next one is {left[0]:.2f}. {next(hint for limit, hint in HINTS if loss >= limit)}"
        )
    if loss >= IMPLAUSIBLE:
        return Remark(text)
    return Remark(
        text,
        f"a held-out loss of {in_words(loss)} with {numbers:,} numbers is lower than any model of that size is "
        "known to reach: read `Trained` and `next_logits`, and ask whether the hidden text has become known.",
    )


def why_no_loss(reply: Reply) -> str:
    """What to do where the call gave no logits; the error itself is shown below."""
    message = reply.get("error", {}).get("message", "")
    if "state_dict" in message:
        return (
            "The file's weights do not fit the class `Trained` of your notebook, constructed with the file's "
            f"`sizes`: hand in the notebook that trained this model. PyTorch says: {message[:SHOWN]}"
        )
    if "error" in reply:
        return "`next_logits` raised an error with your file, so no loss was measured."
    return "No loss was measured."


next_logits = Question(
    name="next_logits",
    title="A trained model",
    cases=cases,
    library="torch",
    aspects=tuple(Aspect(rung.title, 1, below(rung)) for rung in RUNGS),
    artefact=Artefact(
        "model.safetensors",
        MAX_BYTES,
        "The training cell writes it; hand it in beside the notebook under exactly this name, with at most "
        f"{MAX_NUMBERS // 1_000_000} million parameters.",
    ),
    reads=(HELD_OUT,),
    remark=remark,
)
