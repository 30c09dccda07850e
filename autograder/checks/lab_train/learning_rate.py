"""Warm-up and half a cosine. Every case has steps of the warm-up, of the fall, and beyond the end."""

from collections.abc import Iterator

import numpy as np

from autograder.judge import differs, every, shape, untouched, values
from autograder.question import Aspect, Case, Fault, Judge, Question, Reply


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str, step: np.ndarray, steps: int, warmup: int, strided: tuple[str, ...] = ()
    ) -> Case:
        highest = round(float(rng.uniform(0.1, 0.2)), 4)
        lowest = round(highest * float(rng.uniform(0.2, 0.4)), 4)
        arguments = {"step": step, "steps": steps, "warmup": warmup}
        arguments |= {"highest": highest, "lowest": lowest}
        return Case(name, arguments, strided=strided)

    yield case("small", np.arange(9), 7, 3)
    yield case("a whole run", np.arange(130), 120 - int(rng.integers(9)), 20 + int(rng.integers(9)))
    yield case("in any order", rng.permutation(70), 60 - int(rng.integers(5)), 7)
    yield case("a table of steps", rng.permutation(42).reshape(2, 3, 7), 37, 11)
    yield case("no warm-up", np.arange(23), 20, 0)
    yield case("a warm-up of one step", np.arange(31), 25 + int(rng.integers(3)), 1)
    # Warm-up's first and last step, the last step of all, and two beyond it.
    yield case("the corners", np.array([0, 49, 50, 500, 998, 999, 1000, 1500]), 1000, 50)
    yield case("non-contiguous", np.arange(40).reshape(5, 8), 33, 6, strided=("step",))


_PLAIN = ("small", "a whole run", "in any order", "a table of steps", "the corners")


def _during(part: str) -> Judge:
    """The rates of the steps of one part of training are the solution's."""

    def judge(case: Case, expected: Reply, got: Reply) -> Fault | None:
        if fault := shape()(case, expected, got):
            return fault
        a = case.arguments
        step, warmup, last = a["step"], a["warmup"], a["steps"] - 1
        at = {
            "the warm-up": step < warmup,
            "the fall": (step >= warmup) & (step < last),
            "the last step": step == last,
            "the steps beyond the end": step > last,
        }[part]
        want, have = expected["value"][at], np.asarray(got["value"])[at]
        if differs(want, have, ""):
            wrong = int(np.argmax(~np.isclose(want, have, rtol=1e-8, atol=1e-8)))
            return Fault(
                f"In {part} a rate is wrong, at step {step[at][wrong]} of {a['steps']} with warmup {warmup}.",
                f"{want[wrong]:.6g}",
                f"{have[wrong]:.6g}",
            )
        return None

    return judge


def _float64(_: Case, expected: Reply, got: Reply) -> Fault | None:
    """The rates are float64, right or not."""
    have = np.asarray(got["value"]).dtype
    return None if have == np.float64 else Fault("The dtype is another one.", "float64", str(have))


learning_rate = Question(
    name="learning_rate",
    title="Warm up, then cool down",
    cases=_cases,
    aspects=(
        Aspect("shape and dtype", 0.25, every(shape(), _float64), _PLAIN),
        Aspect("warm-up", 0.5, _during("the warm-up"), (*_PLAIN, "a warm-up of one step")),
        Aspect("fall", 0.75, _during("the fall"), _PLAIN),
        Aspect("the last step", 0.5, _during("the last step"), _PLAIN),
        Aspect("beyond the end", 0.5, _during("the steps beyond the end"), _PLAIN),
        Aspect("no warm-up", 0.25, values(), ("no warm-up",)),
        Aspect(
            "argument untouched, in any memory layout",
            0.25,
            untouched(),
            ("in any order", "non-contiguous"),
        ),
    ),
)


@learning_rate.misconception(
    "Your first step has the rate 0, so the first batch teaches nothing, and the warm-up ends a step "
    "late. Step 0 has highest / warmup, and step warmup − 1 the highest rate."
)
def first_step_lost(step, steps, warmup, highest, lowest):
    done = np.clip((step + 1 - warmup) / (steps - warmup), 0, 1)
    fall = lowest + (highest - lowest) * (1 + np.cos(np.pi * done)) / 2
    return np.where(step < warmup, highest * step / max(1, warmup), fall)


@learning_rate.misconception(
    "Your cosine has run since step 0, so the rate jumps down where the warm-up ends. It begins at the "
    "warm-up's last step: only steps − warmup steps are left for it."
)
def cosine_from_step_0(step, steps, warmup, highest, lowest):
    done = np.clip(step / (steps - 1), 0, 1)
    fall = lowest + (highest - lowest) * (1 + np.cos(np.pi * done)) / 2
    return np.where(step < warmup, highest * (step + 1) / max(1, warmup), fall)


@learning_rate.misconception(
    "Your cosine would reach the lowest rate in step `steps`, one after the last. The last step is "
    "steps − 1: the cosine begins in step warmup − 1 and ends there."
)
def floor_one_step_late(step, steps, warmup, highest, lowest):
    done = np.clip((step - warmup) / (steps - warmup), 0, 1)
    fall = lowest + (highest - lowest) * (1 + np.cos(np.pi * done)) / 2
    return np.where(step < warmup, highest * (step + 1) / max(1, warmup), fall)


@learning_rate.misconception(
    "Your cosine falls towards 0 and is cut off at the lowest rate, so the last stretch is flat. Let it "
    "fall from the highest rate to the lowest, over highest − lowest."
)
def cut_off_at_the_floor(step, steps, warmup, highest, lowest):
    done = np.clip((step + 1 - warmup) / (steps - warmup), 0, 1)
    fall = np.maximum(lowest, highest * (1 + np.cos(np.pi * done)) / 2)
    return np.where(step < warmup, highest * (step + 1) / max(1, warmup), fall)


@learning_rate.misconception(
    "You add the lowest rate on top of the cosine, so training starts its fall above the highest rate. "
    "The cosine may only span highest − lowest."
)
def floor_added_on_top(step, steps, warmup, highest, lowest):
    done = np.clip((step + 1 - warmup) / (steps - warmup), 0, 1)
    fall = lowest + highest * (1 + np.cos(np.pi * done)) / 2
    return np.where(step < warmup, highest * (step + 1) / max(1, warmup), fall)


@learning_rate.misconception(
    "Beyond the last step your cosine turns round and the rate rises again. Training that goes on keeps "
    "the lowest rate: bound the progress by 1."
)
def rises_again(step, steps, warmup, highest, lowest):
    done = (step + 1 - warmup) / (steps - warmup)
    fall = lowest + (highest - lowest) * (1 + np.cos(np.pi * done)) / 2
    return np.where(step < warmup, highest * (step + 1) / max(1, warmup), fall)


@learning_rate.misconception(
    "Your rate falls in a straight line. Along half a cosine it falls slowly at first, fast in the "
    "middle, slowly at the end: (1 + cos(π · progress)) / 2."
)
def straight_line(step, steps, warmup, highest, lowest):
    done = np.clip((step + 1 - warmup) / (steps - warmup), 0, 1)
    fall = highest - (highest - lowest) * done
    return np.where(step < warmup, highest * (step + 1) / max(1, warmup), fall)


@learning_rate.misconception(
    "Your cosine runs through a whole period: it comes back to the highest rate at the end. Half a "
    "period, π, leads from the highest to the lowest."
)
def whole_period(step, steps, warmup, highest, lowest):
    done = np.clip((step + 1 - warmup) / (steps - warmup), 0, 1)
    fall = lowest + (highest - lowest) * (1 + np.cos(2 * np.pi * done)) / 2
    return np.where(step < warmup, highest * (step + 1) / max(1, warmup), fall)
