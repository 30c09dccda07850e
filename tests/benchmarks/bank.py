"""What the grader decides: on the bank of programs, on damaged hand-ins, on hostile notebooks."""

import io
import json
import os
import warnings
from collections import Counter
from contextlib import redirect_stdout
from typing import Any

from joblib import Parallel, delayed

from autograder.classrun import problems, records
from autograder.record import Record
from tests.assignments import programs

from . import classes
from .classes import NAME, folder, new_course
from .damage import DAMAGES
from .figures import Absent, Measured

STUDENTS = 20  # each draws inputs of their own


def bank_rows() -> dict[str, Measured]:
    """Every misconception, right and wrong program of every question whose inputs are drawn, for many students."""
    asked = [
        (name, question) for name in programs.ASSIGNMENTS for question in programs.judged(name)
    ]
    jobs = int(os.environ.get("N_JOBS", "2"))
    found = Parallel(n_jobs=jobs)(delayed(tried)(*pair, range(STUDENTS)) for pair in asked)
    parts: dict[str, Counter[str]] = {name: Counter() for name in programs.ASSIGNMENTS}
    for (name, _), counts in zip(asked, found, strict=True):
        parts[name].update(counts)  # unlike +, it keeps what is 0
    total: Counter[str] = Counter()
    for counts in parts.values():
        total.update(counts)
    named, verdicts = total["named"], total["misconceptions tried"]
    full = total["right tried"] - total["right losing points"]
    return {
        "bank-named": share(named, verdicts, total["misconceptions"], parts),
        "bank-right": share(full, total["right tried"], total["right programs"]),
        "bank-wrong": share(
            total["wrong at full marks"], total["wrong tried"], total["wrong programs"]
        ),
    }


def share(
    found: int, verdicts: int, tried: int, parts: dict[str, Counter[str]] | None = None
) -> Measured:
    """A share of the verdicts on the programs tried; the counts of each assignment may go with it."""
    note = (
        f"{found:,} of {verdicts:,}: {tried} programs of {len(programs.ASSIGNMENTS)} assignments, "
        f"{STUDENTS} students"
    )
    kept = parts and {name: dict(counts) for name, counts in parts.items()}
    return Measured(found / verdicts, None, note, kept)


def tried(name: str, question: str, seeds: range) -> Counter[str]:
    """What a question's programs are, and what verdicts they get; the page shows these counts."""
    mistakes = [mistake for asked, mistake in programs.misconceptions(name) if asked == question]
    right = programs.files(name, "right")
    wrong = [file for file, asked in programs.wrong_programs(name) if asked == question]
    found = Counter(
        {
            "questions": 1,
            "misconceptions": len(mistakes),
            "misconceptions tried": len(mistakes) * len(seeds),
            "named": 0,
            "wrong programs": len(wrong),
            "wrong tried": len(wrong) * len(seeds),
            "wrong at full marks": 0,
            "right programs": len(right),
            "right tried": len(right) * len(seeds),
            "right losing points": 0,
        }
    )
    with programs.confined(), warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore", RuntimeWarning)  # to overflow is what some are wrong for
        for seed in seeds:
            for mistake in mistakes:
                answer = programs.misconception(name, question, mistake)
                verdict = programs.verdict(answer, question, seed)
                known = verdict.misconception == mistake and verdict.score < verdict.points
                found["named"] += known
            for file in right:
                verdict = programs.verdict(programs.banked(name, "right", file), question, seed)
                found["right losing points"] += verdict.score < verdict.points
            for file in wrong:
                verdict = programs.verdict(programs.banked(name, "wrong", file), question, seed)
                found["wrong at full marks"] += verdict.score == verdict.points
    return found


def attacks() -> dict[str, Measured]:
    """What the attack suite finds."""
    try:
        from tests.attacks import contained
    except ImportError as error:
        raise Absent(f"the attack suite cannot be imported ({error})") from error
    good, all_ = contained()
    return {"attacks-contained": Measured(good / all_, None, f"{good} of {all_}")}


def damaged() -> dict[str, Measured]:
    """Hand-ins with right answers, each damaged in one way, among honest ones.

    Accounted for: full marks, or listed with a reason. A damaged one that lost points in silence is not,
    and none is when the batch stopped before the honest ones were graded.
    """
    with folder() as root:
        [right] = [text for kind, text in classes.kinds().items() if kind == "right-matmul"]
        course = new_course(root, {"aa-honest": right, "zz-honest": right})
        assignment = classes.assignment(course)
        class_ = {name: damage(json.loads(right)) for name, damage in DAMAGES.items()}
        for student, content in class_.items():
            write(course.step("submitted") / student / NAME, content)
        classes.grade(course, status=(0, 1))
        listed, found = problems(assignment), records(assignment)
    full = {student for student, record in found.items() if is_full(record)}
    if not {"aa-honest", "zz-honest"} <= full:
        return {"handins-accounted": Measured(0.0, None, "the batch stopped")}
    lost = [student for student in class_ if student not in full and not listed.get(student)]
    note = f"{len(class_) - len(lost)} of {len(class_)}"
    if lost:
        note += f"; lost: {', '.join(lost)}"
    return {"handins-accounted": Measured(1 - len(lost) / len(class_), None, note)}


def is_full(record: Record) -> bool:
    """Whether every question has all its points."""
    return all(verdict.score == verdict.points for verdict in record.verdicts.values())


def write(target, content: Any) -> None:
    """Write a hand-in: bytes, a text, a notebook's JSON, or nothing in its folder (None)."""
    target.mkdir(parents=True)
    if content is None:
        return
    if not isinstance(content, bytes):
        content = (content if isinstance(content, str) else json.dumps(content)).encode()
    (target / "scores.ipynb").write_bytes(content)
