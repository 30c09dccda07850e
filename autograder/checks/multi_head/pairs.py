"""Pairs of examples that differ only where nobody may look: a mask can be right where other things are not."""

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
            f"the same at positions {_places(positions)}",
            f"example {one}: {_shown(first)}\nexample {other}: {_shown(second)}",
        )

    return judge


def _places(positions: slice) -> str:
    return f"{positions.start or 0} to {positions.stop - 1}"


def _shown(rows: np.ndarray) -> str:
    return np.array2string(rows[..., 0], precision=4, suppress_small=True) + " (first feature)"
