"""Judges: what a checks module can ask of a reply. Each returns the fault it found, or None."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from autograder.question import Case, Fault, Judge, Reply
from autograder.shell.inside.wire import Foreign

# The largest |got - expected| / (1 + |expected|) that is still rounding. A sum of n terms, in whatever order,
# is off by at most about n u Σ|terms|, where u is the unit roundoff. Cases sum up to 1000 terms whose absolute
# values add up to the order of one: 1000 u is 6e-5 in float32 (u = 6e-8) and 1e-13 in float64 (u = 1e-16).
# float64 gets 1e-8: ample room for rounding, and too little for a detour through float32, which costs 6e-8.
TOLERANCE = {"float32": 1e-4, "float64": 1e-8}


def failure(reply: Reply) -> Fault | None:
    """The fault of a call that gave no value at all."""
    if "stopped" in reply:
        return Fault(f"The call did not finish: {reply['stopped']}.")
    if "error" in reply:
        error = reply["error"]
        if error["type"] == "NotImplementedError":
            return Fault("Not written yet.")
        got = f"{error['type']}: {error['message']}" + (
            f"\nin: {error['line']}" if error["line"] else ""
        )
        return Fault("The call raised an error.", got=got)
    return None


def values(part: str = "value", name: str | None = None) -> Judge:
    """The value (or, with part="gradients", the gradient by argument `name`) equals the solution's."""

    def judge(_: Case, expected: Reply, got: Reply) -> Fault | None:
        if part == "gradients":
            gradient = got["gradients"].get(name)
            if gradient is None:
                return Fault(f"No gradient reaches {name}: the result does not depend on it.")
            return differs(expected["gradients"][name], gradient, f"The gradient by {name}")
        return differs(expected["value"], got["value"], "The result")

    return judge


def gradients(*names: str) -> Judge:
    """The gradients by these arguments or parameters, or by all that the case asks for, equal the solution's."""

    def judge(case: Case, expected: Reply, got: Reply) -> Fault | None:
        judges = (values("gradients", name) for name in names or case.gradient_of)
        return every(*judges)(case, expected, got)

    return judge


def every(*judges: Judge) -> Judge:
    """None of the judges finds a fault; the first one's is told."""

    def judge(case: Case, expected: Reply, got: Reply) -> Fault | None:
        faults = (one(case, expected, got) for one in judges)
        return next((fault for fault in faults if fault), None)

    return judge


def item(index: int, name: str) -> Judge:
    """One part of a result that is a tuple equals the solution's; `name` is what the statement calls it."""

    def judge(_: Case, expected: Reply, got: Reply) -> Fault | None:
        want, have = expected["value"], got["value"]
        if not isinstance(have, list | tuple) or len(have) != len(want):
            return _kind_fault(want, have, "The result")
        return differs(want[index], have[index], name)

    return judge


def shape() -> Judge:
    """The value has the solution's shape, and is computed: a constant or an argument handed back earns nothing."""

    def judge(case: Case, expected: Reply, got: Reply) -> Fault | None:
        several = isinstance(expected["value"], list | tuple)
        if several != isinstance(got["value"], list | tuple) or len(
            _parts(expected["value"])
        ) != len(_parts(got["value"])):
            return _kind_fault(expected["value"], got["value"], "The result")
        for want, have in zip(_parts(expected["value"]), _parts(got["value"]), strict=True):
            if fault := shape_fault(want, have, "The result"):
                return fault
            if np.ptp(want) > 0 and not np.ptp(np.asarray(have, dtype=float)) > 0:
                return Fault("The result has the right shape, but every entry is the same.")
            for name, argument in case.arguments.items():
                if alike(argument, have) and not alike(argument, want):
                    return Fault(f"The result is nothing but the argument {name}.")
        return None

    return judge


def dtype(index: int | None = None) -> Judge:
    """The value, or its part at `index`, keeps the solution's dtype; it counts only where it is right itself."""
    right = values() if index is None else item(index, f"Part {index + 1} of the result")

    def judge(case: Case, expected: Reply, got: Reply) -> Fault | None:
        if fault := right(case, expected, got):
            return fault
        pairs = list(zip(_parts(expected["value"]), _parts(got["value"]), strict=True))
        for want, have in pairs if index is None else pairs[index : index + 1]:
            if want.dtype != have.dtype:
                return Fault(
                    "The result has another dtype than the inputs.",
                    str(want.dtype),
                    str(have.dtype),
                )
        return None

    return judge


def untouched() -> Judge:
    """No argument was changed in place; it counts only where the value itself is right."""

    def judge(case: Case, expected: Reply, got: Reply) -> Fault | None:
        if fault := values()(case, expected, got):
            return fault
        for name, after in got["changed"].items():
            before = case.arguments.get(name)
            if fault := differs(before, after, f"The argument {name} after the call"):
                return Fault(
                    f"The call changed its argument {name} in place.", fault.expected, fault.got
                )
        return None

    return judge


def one_at_a_time(what: str) -> Judge:
    """A stream is read item by item and `what` of it is not kept; it counts only where the value itself is right."""
    sentence = f"Your function keeps {what} of the whole stream: hold those of one block at a time."
    return within(sentence, "beside the stream", 1e3, "kB")


def within(
    sentence: str, where: str, size: float = 1e6, unit: str = "MB", digits: int = 0
) -> Judge:
    """No more was held than the case allows; it counts only where the value itself is right.

    Bytes are told in a `unit` of that `size`; `where` says what they were held beside, or during.
    """

    def judge(case: Case, expected: Reply, got: Reply) -> Fault | None:
        if fault := values()(case, expected, got):
            return fault
        held, limit = got["held"], case.held_bytes
        if limit is None or (held is not None and held <= limit):
            return None
        return Fault(
            sentence,
            f"at most {limit / size:.0f} {unit} {where}",
            f"{held / size:.{digits}f} {unit}" if held is not None else "no answer",
        )

    return judge


def differs(expected: Any, got: Any, what: str) -> Fault | None:
    """How `got` differs from `expected`: kind first, then shape, then values."""
    if expected is None or isinstance(expected, str | bool):
        same = type(expected) is type(got) and expected == got
        return None if same else Fault(f"{what} is wrong.", Shown(expected), Shown(got))
    if isinstance(expected, list | tuple):
        if not isinstance(got, list | tuple) or len(got) != len(expected):
            return _kind_fault(expected, got, what)
        faults = (
            differs(e, g, f"{what}, part {i + 1}")
            for i, (e, g) in enumerate(zip(expected, got, strict=True))
        )
        return next((fault for fault in faults if fault), None)
    if not isinstance(got, np.ndarray | int | float):
        return _kind_fault(expected, got, what)
    if fault := shape_fault(expected, got, what):
        return fault
    return _value_fault(np.asarray(expected), np.asarray(got), what)


def shape_fault(expected: Any, got: Any, what: str) -> Fault | None:
    """The fault when the shapes differ."""
    if not isinstance(got, np.ndarray | int | float):
        return _kind_fault(expected, got, what)
    if np.shape(expected) == np.shape(got):
        return None
    return Fault(
        f"{what} has another shape.", f"shape {np.shape(expected)}", f"shape {np.shape(got)}"
    )


def alike(one: Any, other: Any) -> bool:
    """Whether two values do not differ; quicker than `differs`, which also puts it into words."""
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.shape == other.shape and not _wrong(one, other).any()
    return differs(one, other, "") is None


def _wrong(expected: np.ndarray, got: np.ndarray) -> np.ndarray:
    """Where the values differ by more than rounding."""
    tolerance = TOLERANCE.get(expected.dtype.name, 0.0)
    if tolerance and got.dtype.name in ("float16", "float32"):
        tolerance = max(tolerance, TOLERANCE["float32"])  # that float64 was lost is another aspect
    # NumPy's own comparison knows what is infinite or no number, and takes ten times as long.
    if expected.dtype.kind == got.dtype.kind == "f" and np.isfinite(expected).all():
        with np.errstate(invalid="ignore", over="ignore"):
            near = np.abs(got - expected) <= tolerance * (1 + np.abs(expected))
        if near.all() or np.isfinite(got).all():
            return ~near
    return ~np.isclose(got, expected, rtol=tolerance, atol=tolerance, equal_nan=True)


def _value_fault(expected: np.ndarray, got: np.ndarray, what: str) -> Fault | None:
    wrong = _wrong(expected, got)
    if not wrong.any():
        return None
    if np.isnan(got).any() and not np.isnan(expected).any():
        what += " holds NaN, and"
    first = tuple(int(i) for i in np.argwhere(wrong)[0])
    where = f" first at index {first}" if first else ""
    sentence = f"{what} has the right shape {expected.shape}, but {wrong.sum()} of {wrong.size} values differ,{where}."
    return Fault(sentence.replace(",.", "."), Shown(expected), Shown(got))


def _kind_fault(expected: Any, got: Any, what: str) -> Fault:
    return Fault(f"{what} is not of the expected kind.", _kind(expected), _kind(got))


def _parts(value: Any) -> list[Any]:
    return (
        list(value)
        if isinstance(value, list | tuple)
        else [np.asarray(value) if _is_number(value) else value]
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.ndarray)


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, Foreign):
        return f"a {value.type_name}"
    return "None (is the return missing?)" if value is None else f"a {type(value).__name__}"


@dataclass(frozen=True)
class Shown:
    """A value that can be put into words, small enough to read: shapes first, at most a few rows."""

    value: Any

    def __str__(self) -> str:
        value = self.value
        if isinstance(value, Foreign | list | tuple) or value is None:
            return _kind(value)
        if not isinstance(value, np.ndarray):
            return repr(value)[:200]
        text = np.array2string(
            value, precision=4, suppress_small=True, threshold=60, edgeitems=3, max_line_width=72
        )
        return f"shape {value.shape}\n{text}" if value.ndim else text
