"""Judges that give part of the points: a mask, an axis or a path of the gradient can be right where the rest is not."""

import numpy as np

from autograder.judge import differs, shape
from autograder.question import Case, Fault, Judge, Reply


def same_outputs(one: int, other: int, positions: slice, sentence: str) -> Judge:
    """Two examples of the batch have the same outputs at these positions; `sentence` says why they must."""

    def judge(case: Case, expected: Reply, got: Reply) -> Fault | None:
        if fault := shape()(case, expected, got):
            return fault
        first, second = (np.asarray(got["value"])[example, positions] for example in (one, other))
        if np.ptp(first) > 0 and not differs(first, second, ""):
            return None
        return Fault(
            sentence,
            f"the same at positions {positions.start or 0} to {positions.stop - 1}",
            f"first feature, example {one}: {_first(first)}\nexample {other}: {_first(second)}",
        )

    return judge


def places_kept(case: Case, expected: Reply, got: Reply) -> Fault | None:
    """Two examples that differ in the order of positions 0 and 1 have outputs that differ in nothing else."""
    if fault := shape()(case, expected, got):
        return fault
    one, other = np.asarray(got["value"])
    if np.ptp(one) > 0 and not differs(one, other[[1, 0, 2, 3]], ""):
        return None
    return Fault(
        "Inputs 0 and 1 are exchanged, and both see the same positions; yet the outputs are not just exchanged.",
        f"first feature, exchanged back: {_first(one)}",
        _first(other[[1, 0, 2, 3]]),
    )


def x_arrives(case: Case, expected: Reply, got: Reply) -> Fault | None:
    """With a silent feed-forward network the output is x and what attention adds to it, which is less."""
    if fault := shape()(case, expected, got):
        return fault
    x, value = case.arguments["x"], np.asarray(got["value"])
    if np.abs(value - x).max() < np.abs(x).max() / 2:
        return None
    return Fault(
        "The feed-forward network adds nothing here (contract is 0) and attention little, but x does not arrive.",
        f"about x, whose first feature is {_first(x[0])}",
        _first(value[0]),
    )


def value_used(case: Case, expected: Reply, got: Reply) -> Fault | None:
    """The value projection takes part in the result, right or not."""
    gradient = got["gradients"].get("value.weight")
    if gradient is None or np.shape(gradient) != np.shape(expected["gradients"]["value.weight"]):
        return Fault("No gradient reaches value.weight: the result does not depend on it.")
    if not np.ptp(gradient) > 0:
        return Fault("The gradient by value.weight is the same everywhere, or no number.")
    return None


def _first(rows: np.ndarray) -> str:
    return np.array2string(rows[..., 0], precision=4, suppress_small=True)
