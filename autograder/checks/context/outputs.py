"""What can be asked of a list of outputs and their scores, which `beam_search` returns."""

from typing import Any

import numpy as np

from autograder.judge import TOLERANCE
from autograder.question import Case, Fault, Judge, Reply


def _outputs(value: Any) -> list[list[int]] | None:
    """The token sequences of a list of pairs (tokens, score), or None where it is none."""
    if not isinstance(value, list | tuple):
        return None
    found = []
    for pair in value:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            return None
        try:
            tokens = np.asarray(pair[0], dtype=float)
        except (TypeError, ValueError):
            return None
        if tokens.ndim != 1 or not np.isfinite(tokens).all() or (tokens % 1).any():
            return None
        found.append([int(token) for token in tokens])
    return found


def first(_: Case, expected: Reply, got: Reply) -> Fault | None:
    want, have = _outputs(expected["value"]), _outputs(got["value"])
    if have is None:
        return _no_list(got)
    if not have:
        return Fault("You find no output at all.", str(want[0]))
    if want[0] == have[0]:
        return None
    return Fault("The best output is another one.", str(want[0]), str(have[0]))


def every(_: Case, expected: Reply, got: Reply) -> Fault | None:
    want, have = _outputs(expected["value"]), _outputs(got["value"])
    if have is None:
        return _no_list(got)
    if want == have:
        return None
    if sorted(want) == sorted(have):
        return Fault("The outputs are right, their order is not.", _lines(want), _lines(have))
    return Fault("The list of outputs is another one.", _lines(want), _lines(have))


def scores(_: Case, expected: Reply, got: Reply) -> Fault | None:
    """The scores of those outputs that are right: which ones were found is another aspect."""
    want, have = _outputs(expected["value"]), _outputs(got["value"])
    if have is None:
        return _no_list(got)
    known = {tuple(t): pair[1] for t, pair in zip(want, expected["value"], strict=True)}
    given = {tuple(t): pair[1] for t, pair in zip(have, got["value"], strict=True)}
    both = [tokens for tokens in known if tokens in given]
    if not both:
        return Fault("None of the outputs is right, so no score is.")
    for tokens in both:
        # No finer than single precision, in which the table may come.
        if fault := _another(f"The score of {list(tokens)}", known[tokens], given[tokens]):
            return fault
    return None


def _another(what: str, want: Any, have: Any) -> Fault | None:
    if not isinstance(have, np.ndarray | int | float) or np.shape(have):
        return Fault(f"{what} is not a number.", f"{want:.4f}")
    if abs(have - want) <= TOLERANCE["float32"]:
        return None
    return Fault(f"{what} is another one.", f"{want:.4f}", f"{float(have):.4f}")


def _no_list(got: Reply) -> Fault:
    kind = type(got["value"]).__name__
    return Fault("The result is not a list of pairs (tokens, score).", got=f"a {kind}")


def _lines(outputs: list[list[int]]) -> str:
    return "\n".join(map(str, outputs[:12])) or "an empty list"


def untouched(judge: Judge) -> Judge:
    """The outputs are right and the table is as it was."""

    def judged(case: Case, expected: Reply, got: Reply) -> Fault | None:
        if fault := judge(case, expected, got):
            return fault
        changed = "log_probs" in got["changed"]
        return Fault("The call changed its argument log_probs in place.") if changed else None

    return judged
