"""What is asked of a model: its logits, and by statistics the weights that it draws itself.

Weights are judged by their root mean squares. A matrix of N normal numbers has one outside of the tolerance, a
factor of 0.8 to 1.25, with a probability of at most 2 exp(-N / 32) (Laurent and Massart 2000, lemma 1): for the
1000 numbers and more of the matrices here below 1e-13. That they are normal is read off the share within one deviation
of 0, over all N > 15,000 numbers of a kind: off by more than 0.03 with a probability of at most 2 exp(-2 N 0.03²)
(Hoeffding 1963), below 1e-11. Uniform numbers of that deviation have 0.58 there in place of 0.68.
"""

import math
from typing import Any

import numpy as np

from autograder.checks.lab_train.chance import close_in_size
from autograder.judge import alike, shape
from autograder.question import Case, Fault, Judge, Reply

INITIAL = "initial weights"
WITHIN = math.erf(math.sqrt(0.5))  # the share of normal numbers within one deviation of their mean
Sizes = tuple[int, int, int, int, int]


def shapes_of(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all parameters, as the statement lists them."""
    vocabulary, layers, _, d, context = sizes
    found: dict[str, tuple[int, ...]] = {
        "embedding.weight": (vocabulary, d),
        "positions.weight": (context, d),
    }
    for number in range(layers):
        place = f"blocks.{number}"
        for name in ("attention_norm", "feed_forward_norm"):
            found |= {f"{place}.{name}.{part}": (d,) for part in ("weight", "bias")}
        linear = {f"attention.{name}": (d, d) for name in ("query", "key", "value", "output")}
        linear |= {"expand": (4 * d, d), "contract": (d, 4 * d)}
        for name, size in linear.items():
            found |= {f"{place}.{name}.weight": size, f"{place}.{name}.bias": size[:1]}
    return found | {"norm.weight": (d,), "norm.bias": (d,)}


def future_hidden(case: Case, expected: Reply, got: Reply) -> Fault | None:
    """The outputs before the token that changed are the same."""
    if fault := shape()(case, expected, got):
        return fault
    one, other = np.asarray(got["value"])[:, :3]
    if np.ptp(one) > 0 and np.allclose(one, other, atol=1e-5):
        return None
    return Fault("A change of token 3 changes the logits at positions 0 to 2: the future is seen.")


def names_and_shapes(case: Case, _: Reply, got: Reply) -> Fault | None:
    """The model has the statement's parameters, each once, and no others."""
    assert case.construct
    want, have = shapes_of(case.construct), got["value"]
    if not isinstance(have, dict):
        return Fault("The model has no parameters.")
    if odd := sorted(want.keys() ^ have.keys()):
        return Fault(
            f"Parameters or buffers that are missing or new: {', '.join(odd[:4])}.",
            f"{len(want)} of them",
            f"{len(have)}",
        )
    for name, size in want.items():
        if np.shape(have[name]) != size:
            return Fault(f"{name} has another shape.", str(size), str(np.shape(have[name])))
    return None


def drawn_with(residual: bool) -> Judge:
    """Matrices (those whose output is added to the residual stream, or all others) have the right deviation."""

    def judge(case: Case, expected: Reply, got: Reply) -> Fault | None:
        if fault := names_and_shapes(case, expected, got):
            return fault
        assert case.construct
        within = []
        for name, size in shapes_of(case.construct).items():
            added = name.endswith(("attention.output.weight", "contract.weight"))
            if (added != residual and len(size) == 2) or (residual and len(size) == 1):
                continue
            want = np.ones(size) if "norm.weight" in name else np.zeros(size)
            if len(size) == 2:
                deviation = 0.02 / np.sqrt(2 * case.construct[1]) if added else 0.02
                within.append(np.ravel(np.abs(got["value"][name]) < deviation))
                size_of = float(np.sqrt(np.mean(np.square(got["value"][name], dtype=float))))
                if not 0.8 < size_of / deviation < 1.25:
                    return Fault(
                        f"{name} is drawn with another deviation.",
                        f"{deviation:.4f}",
                        f"{size_of:.4f}",
                    )
            elif not np.array_equal(got["value"][name], want):
                return Fault(f"{name} should begin with {want[0]:.0f} everywhere.")
        share = float(np.concatenate(within).mean())
        if abs(share - WITHIN) > 0.03:
            return Fault(
                "The weights are not drawn from this normal distribution: too many or too few are small.",
                f"{WITHIN:.0%} of them within one deviation of 0",
                f"{share:.0%}",
            )
        return None

    return judge


def alike_or_drawn_alike(one: Any, other: Any) -> bool:
    """Weights that were drawn agree in size, everything else in its values."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(close_in_size(one[k], other[k]) for k in one)
    return alike(one, other)
