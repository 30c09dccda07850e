"""The temperature at which a row's weights reach a wanted effective number of keys.

The wanted number is computed from a temperature that is drawn: where it lies, the entropy has a slope, and
so every good search finds the same one to many digits.
"""

from collections.abc import Iterator

import numpy as np

from autograder.checks.draw import normal
from autograder.judge import dtype, shape, untouched, values
from autograder.question import Aspect, Case, Fault, Question, Reply


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str,
        *size: int,
        scale: float = 1,
        level: float = 0,
        hidden: bool = False,
        kind: str = "float64",
        strided: tuple[str, ...] = (),
    ) -> Case:
        # Spread evenly and then shaken: no two scores of a row lead it together, none is far ahead.
        scores = rng.permuted(np.broadcast_to(np.linspace(-1.5, 1.5, size[-1]), size), axis=-1)
        scores = scores + 0.1 * normal(rng, *size)
        if name == "small":
            scores = scores.round(1)
        if hidden:
            scores[..., 0] = -np.inf  # seen in every row, and all but row 0 hide one key more
            scores[..., 1:, -1] = -np.inf
        # All below 0.85 or above 1.2: a temperature is never taken for its inverse.
        temperatures = np.where(
            rng.random(size[:-1]) < 0.5,
            rng.uniform(0.5, 0.85, size[:-1]),
            rng.uniform(1.2, 1.6, size[:-1]),
        )
        wanted = _effective_keys(scores / temperatures[..., None])
        # Rows lie far apart: under one maximum for all of them some would underflow.
        side = np.where(np.arange(np.prod(size[:-1])) % 2, -1, 1).reshape(*size[:-1], 1)
        arguments = {
            "scores": (scale * scores + level * side).astype(kind),
            "effective_keys": wanted.astype(kind),
        }
        return Case(name, arguments, strided=strided)

    yield case("small", 2, 4)
    yield case("batch", 2, 3, 5)
    yield case("one query", 2, 1, 6)
    yield case("batch and heads", 2, 3, 4, 5)
    yield case("hidden keys", 2, 3, 7, hidden=True)
    yield case("scores in the thousands", 2, 3, 5, scale=200, level=4000)
    # Over the temperature they are about 1000: exponentials overflow at the end of the search too.
    yield case("low temperatures", 2, 3, 5, scale=0.05, level=60)
    yield case("float32", 3, 4, 6, kind="float32")
    yield case("non-contiguous", 2, 3, 6, strided=("scores", "effective_keys"))


def _effective_keys(scores: np.ndarray) -> np.ndarray:
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return np.exp(-(weights * np.log(np.where(weights > 0, weights, 1))).sum(axis=-1))


def _nine_digits(case: Case, expected: Reply, got: Reply) -> Fault | None:
    """Right, and to the digits that the statement asks for, however low the temperature is."""
    if fault := values()(case, expected, got):
        return fault
    error = np.abs(np.asarray(got["value"]) / expected["value"] - 1).max()
    if error <= 2e-9:
        return None
    return Fault(
        "A temperature is not exact enough: the search stopped too early.",
        "a relative error of at most 1e-9",
        f"{error:.1e}",
    )


_ORDINARY = ("small", "batch", "one query", "batch and heads")

temperature_for = Question(
    name="temperature_for",
    title="The temperature for a wanted entropy",
    cases=_cases,
    aspects=(
        Aspect("one temperature for each row", 0.5, shape(), _ORDINARY),
        Aspect("values", 1, values(), _ORDINARY),
        Aspect("hidden keys", 0.5, values(), ("hidden keys",)),
        Aspect(
            "high and low temperatures",
            0.5,
            _nine_digits,
            ("scores in the thousands", "low temperatures"),
        ),
        Aspect("the dtype of the scores is kept", 0.25, dtype(), ("float32", "batch")),
        Aspect(
            "arguments untouched, in any memory layout",
            0.25,
            untouched(),
            ("non-contiguous", "batch"),
        ),
    ),
)


@temperature_for.misconception(
    "You compare the entropy with the number of keys itself. e^H is the effective number, so the entropy to "
    "reach is its logarithm."
)
def logarithm_forgotten(scores, effective_keys):
    low = np.full(scores.shape[:-1], 1e-2)
    high = np.full(scores.shape[:-1], 1e3)
    for _ in range(80):
        middle = np.sqrt(low * high)
        scaled = scores / middle[..., None]
        exponentials = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
        weights = exponentials / exponentials.sum(axis=-1, keepdims=True)
        entropy = -(weights * np.log(np.where(weights > 0, weights, 1))).sum(axis=-1)
        low = np.where(entropy < effective_keys, middle, low)
        high = np.where(entropy < effective_keys, high, middle)
    return middle


@temperature_for.misconception(
    "You return one over the temperature: you multiply the scores where they are divided by it."
)
def inverse_returned(scores, effective_keys):
    low = np.full(scores.shape[:-1], 1e-2)
    high = np.full(scores.shape[:-1], 1e3)
    for _ in range(80):
        middle = np.sqrt(low * high)
        scaled = scores / middle[..., None]
        exponentials = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
        weights = exponentials / exponentials.sum(axis=-1, keepdims=True)
        entropy = -(weights * np.log(np.where(weights > 0, weights, 1))).sum(axis=-1)
        low = np.where(entropy < np.log(effective_keys), middle, low)
        high = np.where(entropy < np.log(effective_keys), high, middle)
    return 1 / middle


@temperature_for.misconception(
    "Your search keeps the wrong half and runs into an end of its interval. The entropy grows with the "
    "temperature: where it is too small, the temperature must rise."
)
def wrong_half(scores, effective_keys):
    low = np.full(scores.shape[:-1], 1e-2)
    high = np.full(scores.shape[:-1], 1e3)
    for _ in range(80):
        middle = np.sqrt(low * high)
        scaled = scores / middle[..., None]
        exponentials = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
        weights = exponentials / exponentials.sum(axis=-1, keepdims=True)
        entropy = -(weights * np.log(np.where(weights > 0, weights, 1))).sum(axis=-1)
        high = np.where(entropy < np.log(effective_keys), middle, high)
        low = np.where(entropy < np.log(effective_keys), low, middle)
    return middle


@temperature_for.misconception(
    "You measure the entropy in bits and compare it with a natural logarithm. Take one base for both."
)
def two_bases(scores, effective_keys):
    low = np.full(scores.shape[:-1], 1e-2)
    high = np.full(scores.shape[:-1], 1e3)
    for _ in range(80):
        middle = np.sqrt(low * high)
        scaled = scores / middle[..., None]
        exponentials = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
        weights = exponentials / exponentials.sum(axis=-1, keepdims=True)
        entropy = -(weights * np.log2(np.where(weights > 0, weights, 1))).sum(axis=-1)
        low = np.where(entropy < np.log(effective_keys), middle, low)
        high = np.where(entropy < np.log(effective_keys), high, middle)
    return middle


@temperature_for.misconception(
    "You search one temperature for all rows together, with their mean entropy. Every row has a temperature of "
    "its own: let the two ends of the interval be arrays."
)
def one_for_all(scores, effective_keys):
    low, high = 1e-2, 1e3
    for _ in range(80):
        middle = (low * high) ** 0.5
        scaled = scores / middle
        exponentials = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
        weights = exponentials / exponentials.sum(axis=-1, keepdims=True)
        entropy = -(weights * np.log(np.where(weights > 0, weights, 1))).sum(axis=-1)
        if entropy.mean() < np.log(effective_keys).mean():
            low = middle
        else:
            high = middle
    return np.full(scores.shape[:-1], middle, dtype=scores.dtype)
