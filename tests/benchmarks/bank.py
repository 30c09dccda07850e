"""What the grader decides: on the bank, on damaged hand-ins, on hostile notebooks. All through the command."""

import json
from collections.abc import Iterator
from typing import Any

import nbformat

from autograder.assignment import Assignment
from autograder.classrun import problems, records
from autograder.record import Record
from autograder.sample import bank, bank_programs, mistaken, solve

from . import classes
from .classes import NAME, folder, new_course
from .damage import DAMAGES
from .figures import Absent, Measured


def graded(class_: dict[str, str]) -> dict[str, Record]:
    """The records of a class, made by `autograder grade`."""
    with folder() as root:
        course = new_course(root, class_)
        classes.grade(course)
        return records(classes.assignment(course))


def bank_rows() -> dict[str, Measured]:
    """The bank handed in: each right style, each wrong file, and students who hold every misconception once."""
    assignment = classes.repository()
    verdicts = {
        (student, question): verdict
        for student, record in graded(bank_class(assignment)).items()
        for question, verdict in record.verdicts.items()
    }
    full = {key: verdict.score == verdict.points for key, verdict in verdicts.items()}
    right = [full[key] for key in full if key[0].startswith("right-")]
    wrong = [full[student, question] for student, question in wrong_programs(assignment)]
    named = [
        verdicts[f"mistaken-{number}", question].misconception == known.name
        and not full[f"mistaken-{number}", question]
        for question, number, known in misconceptions(assignment)
    ]
    return {
        "bank-named": share(named),
        "bank-right": share(right),
        "bank-wrong": share(wrong),
    }


def share(found: list[bool]) -> Measured:
    """The share that is true."""
    return Measured(sum(found) / len(found), None, f"{sum(found)} of {len(found)}")


def bank_class(assignment: Assignment) -> dict[str, str]:
    """Hand-ins made of the bank's programs."""
    files = sorted(bank(assignment).glob("*/*.py"))
    class_ = {f"{f.parent.name}-{f.stem}": bank_programs(assignment, f) for f in files}
    class_ |= {f"mistaken-{n}": programs for n, programs in enumerate(mistaken(assignment))}
    return {
        student: nbformat.writes(solve(assignment, programs))
        for student, programs in class_.items()
    }


def wrong_programs(assignment: Assignment) -> list[tuple[str, str]]:
    """Student and question of every wrong program of the bank."""
    return [
        (f"wrong-{path.stem}", question)
        for path in sorted(bank(assignment).glob("wrong/*.py"))
        for question in bank_programs(assignment, path)
    ]


def misconceptions(assignment: Assignment) -> Iterator[tuple]:
    """Question, number and misconception, as `sample.mistaken` puts them into students."""
    for question in assignment.questions.values():
        for number, known in enumerate(question.misconceptions):
            yield question.name, number, known


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
