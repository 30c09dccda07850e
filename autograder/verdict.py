"""From replies to a verdict: which aspects hold, and which misconception the student has."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autograder.assignment import replies
from autograder.judge import alike, failure
from autograder.program import Program
from autograder.question import Aspect, Case, Fault, Misconception, Question, Reply


@dataclass
class AspectResult:
    """One row of the feedback table. `case` names its first failing example.

    The first row that fails shows that example: `inputs`, `expected` and `got`.
    """

    title: str
    points: float
    earned: float
    case: str = ""
    inputs: str = ""
    sentence: str = ""
    expected: str = ""
    got: str = ""


@dataclass
class Verdict:
    """The result of one question. `misconception` is its name, `advice` the sentence that helps.

    `broken` has one sentence for each rule of the task that the code breaks.
    `answered` is False where the release's stub was left as it was, its cell never ran, or its file is missing.
    `remark` is what else there is to say; `doubt` is for the instructor only.
    """

    question: str
    title: str
    points: float
    score: float
    aspects: list[AspectResult] = field(default_factory=list)
    misconception: str = ""
    advice: str = ""
    answered: bool = True
    broken: list[str] = field(default_factory=list)
    remark: str = ""
    doubt: str = ""


def decide(
    question: Question,
    cases: list[Case],
    expected: list[Reply],
    got: list[Reply],
    program: Program | None = None,
) -> Verdict:
    """Judge the replies `got` against the solution's, and the hand-in's code against the rules."""
    rows, faults = zip(*(_judge(a, cases, expected, got) for a in question.aspects), strict=True)
    failing = next(((row, fault) for row, fault in zip(rows, faults, strict=True) if fault), None)
    if failing:  # one example is shown, and putting arrays into words takes a while
        row, fault = failing
        row.inputs = next(show_inputs(case) for case in cases if case.name == row.case)
        row.expected, row.got = str(fault.expected), str(fault.got)
    verdict = Verdict(question.name, question.title, question.points, 0.0, list(rows))
    verdict.answered = not all(_is_unanswered(question, reply) for reply in got)
    values_lost = any(row.earned < row.points for row in rows)
    if values_lost and (found := diagnose(question, cases, expected, got)):
        verdict.misconception, verdict.advice = found.name, found.sentence
    if verdict.answered:
        _apply_rules(question, verdict, got, program or Program([]))
    if question.remark:
        remark = question.remark(cases, got)
        verdict.remark, verdict.doubt = remark.text, remark.doubt
    verdict.score = sum(row.earned for row in rows)
    return verdict


def not_asked(question: Question, why: str, missing: bool) -> Verdict:
    """The verdict on a question whose file is missing or cannot be used: no points, and the reason."""
    rows = [AspectResult(aspect.title, aspect.points, 0.0) for aspect in question.aspects]
    verdict = Verdict(question.name, question.title, question.points, 0.0, rows)
    verdict.answered, verdict.remark = not missing, why
    return verdict


def _apply_rules(question: Question, verdict: Verdict, got: list[Reply], program: Program) -> None:
    """Take the points that broken rules cost, and say which; what was wrong besides stays told."""
    reported = {name for reply in got for name in reply.get("forbidden", ())}
    for rule in question.rules:
        if breach := rule.breach(program, question.name, reported):
            verdict.broken.append(breach)
            for row in verdict.aspects:
                if row.earned and (not rule.costs or row.title in rule.costs):
                    row.earned, row.sentence = 0.0, "Right, but lost to the rule that was broken."


def _is_unanswered(question: Question, reply: Reply) -> bool:
    error = reply.get("error", {})
    missing = error.get("message") == f"{question.name} is not defined"
    return error.get("type") == "NotImplementedError" or missing


def _judge(
    aspect: Aspect, cases: list[Case], expected: list[Reply], got: list[Reply]
) -> tuple[AspectResult, Fault | None]:
    """An aspect's row, and the first fault found."""
    for case, want, have in zip(cases, expected, got, strict=True):
        if aspect.cases and case.name not in aspect.cases:
            continue
        if fault := failure(have) or _safely(aspect, case, want, have):
            sentence = fault.sentence
            return AspectResult(
                aspect.title, aspect.points, 0.0, case.name, sentence=sentence
            ), fault
    return AspectResult(aspect.title, aspect.points, aspect.points), None


def _safely(aspect: Aspect, case: Case, want: Reply, have: Reply) -> Fault | None:
    """A judge that stumbles over a hostile reply finds a fault; one that stumbles over the right one raises."""
    try:
        return aspect.judge(case, want, have)
    except Exception as error:
        if case.target is None:  # else there is no right one
            aspect.judge(case, want, want)
        return Fault(f"The result could not be compared ({type(error).__name__}).")


def diagnose(
    question: Question, cases: list[Case], expected: list[Reply], got: list[Reply]
) -> Misconception | None:
    """The first known wrong program whose replies are the student's on every case."""
    if all("value" not in reply for reply in got):
        return None
    return next(
        (m for m in question.misconceptions if _is(m, question, cases, expected, got)), None
    )


def _is(
    misconception: Misconception,
    question: Question,
    cases: list[Case],
    expected: list[Reply],
    got: list[Reply],
) -> bool:
    """Whether a wrong program replies as the student does; most do not from the first case on."""
    seen = False
    for case, want, have in zip(cases, expected, got, strict=True):
        [wrong] = replies({question.name: misconception.program}, question, [case])
        if not same(wrong, have, question.alike or alike):
            return False
        seen = seen or not same(wrong, want, question.alike or alike)
    return seen


def same(one: Reply, other: Reply, alike_values: Callable[[Any, Any], bool] = alike) -> bool:
    """Whether two replies agree: value, gradients and what was changed, or no value in either."""
    if "value" not in one or "value" not in other:
        return ("value" in one) == ("value" in other)
    if one["changed"].keys() != other["changed"].keys():
        return False
    parts = [*_both(one, other, "gradients"), *_both(one, other, "changed")]
    try:
        return alike_values(one["value"], other["value"]) and all(alike(a, b) for a, b in parts)
    except Exception:  # a hostile value that cannot be compared is no known wrong answer
        return False


def _both(one: Reply, other: Reply, part: str) -> list[tuple]:
    return [(value, other[part].get(name)) for name, value in one[part].items()]


def show_inputs(case: Case) -> str:
    """The inputs of a failing example: every shape, and the values where they are few."""
    lines = [] if case.construct is None else [f"constructed with: {case.construct}"]
    for name, value in {**case.arguments, **case.state}.items():
        if isinstance(value, np.ndarray):
            lines.append(f"{name}: {value.dtype} {value.shape}")
            if value.size <= 12:
                rows = np.array2string(value, precision=3, separator=", ", suppress_small=True)
                lines.append(rows)
        elif isinstance(value, dict):
            lines.append(f"{name}: {len(value)} arrays")
        elif isinstance(value, list) and all(isinstance(v, np.ndarray) for v in value):
            lines.append(f"{name}: {len(value)} arrays of shapes {[np.shape(v) for v in value]}")
        else:
            lines.append(f"{name}: {value!r}")
    return "\n".join(lines)
