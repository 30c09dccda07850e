"""Five examples that differ in one thing each, and what their logits must have in common."""

import numpy as np

from autograder.judge import alike, shape
from autograder.question import Case, Fault, Reply


def made_of(case: Case) -> Case:
    """Examples 1 to 4 are copies of example 0 with another padding, last target, first target, memory."""
    arguments = case.arguments
    own_memory = arguments["memory"][1:3].copy()
    for name in ("targets", "hidden", "memory"):
        arguments[name][1:] = arguments[name][0]
    length = arguments["mask"][0].sum()
    arguments["memory"][1, length:] = 30 * own_memory[0, length:]
    arguments["memory"][4, :length] = own_memory[1, :length]
    first, _, last = arguments["targets"][0]
    [other, *_] = set(range(1, 7)) - {first, last, arguments["targets"][0, 1]}
    arguments["targets"][2, -1] = arguments["targets"][3, 0] = other
    return case


def shifted(case: Case, expected: Reply, got: Reply) -> Fault | None:
    """Another last target changes nothing, another first one all steps but the first."""
    if fault := shape()(case, expected, got):
        return fault
    base, _, last, first, _ = np.asarray(got["value"])
    if not alike(base, last):
        return Fault(
            "Another last target changes the logits: a step reads the token it should predict."
        )
    if not alike(base[0], first[0]):
        return Fault(
            "Another first target changes the first step: it should read the start token only."
        )
    if any(alike(base[t], first[t]) for t in (1, 2)):
        return Fault(
            "Another first target does not change the steps after it: they should have read it."
        )
    return None


def masked(case: Case, expected: Reply, got: Reply) -> Fault | None:
    """Another padding changes nothing, another memory everything."""
    if fault := shape()(case, expected, got):
        return fault
    base, padding, *_, memory = np.asarray(got["value"])
    if not alike(base, padding):
        return Fault(
            "Another padding of the memory changes the logits: padding should get no weight."
        )
    if alike(base, memory):
        return Fault("Another memory changes no logits: the context should.")
    return None


def logits(case: Case, expected: Reply, got: Reply) -> Fault | None:
    """The cross-entropy of PyTorch wants neither probabilities nor their logarithms."""
    if fault := shape()(case, expected, got):
        return fault
    value = np.asarray(got["value"], dtype=float)
    if np.abs(value.sum(axis=-1) - 1).max() < 1e-3:
        return Fault(
            "Each step's numbers add up to 1: these are probabilities, and logits are asked."
        )
    with np.errstate(over="ignore"):
        total = np.exp(value).sum(axis=-1)
    if np.abs(total - 1).max() < 1e-3:
        return Fault("These are the logarithms of probabilities: logits are what `output` returns.")
    return None
