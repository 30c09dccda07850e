"""How fast a class is graded: against stock nbgrader, against the bare cells and calls, and again."""

import json
import subprocess
import sys
from statistics import median

from autograder.course import COURSE_ID

from . import classes
from .classes import class_of, folder, new_course
from .figures import Measured, of_repeats
from .stock import StockCourse, scores

SIZE = 100
ROUNDS = 3
CORES = 2


def per_hand_in(one: float, many: float, count: int) -> tuple[float, float]:
    """Start and marginal seconds per hand-in, from a command's seconds on one and on `count` hand-ins."""
    each = (many - one) / (count - 1)
    return one - each, each


def against_stock() -> dict[str, Measured]:
    """Seconds for the class by both graders, in turns: ours on all, stock on a part of the same mix."""
    class_, graded, told = class_of(SIZE), [], []
    for number in range(ROUNDS):
        with folder() as ours, folder() as theirs:
            course = new_course(ours, class_)
            seconds = [classes.grade(course), classes.feedback(course)]
            part = dict(list(class_.items())[: len(classes.kinds())][number::ROUNDS])
            stock_seconds = stock(StockCourse(theirs, classes.assignment(course)), part)
            same, compared = agreement(course, theirs, part)
        graded.append((seconds, stock_seconds))
        told.append((same, compared))
    same, compared = (sum(column) for column in zip(*told, strict=True))
    note = (
        f"stock on {compared} hand-ins, {same} of them with the same points by both; "
        f"seconds for {SIZE}: ours {median(g[0][0] for g in graded):.1f} + {median(g[0][1] for g in graded):.1f}, "
        f"stock {median(g[1][0] for g in graded):.0f} + {median(g[1][1] for g in graded):.0f}"
    )
    return {
        "grade-throughput": of_repeats([s[0] / o[0] for o, s in graded], note),
        "grade-feedback": of_repeats([sum(s) / sum(o) for o, s in graded], note),
    }


def stock(course: StockCourse, part: dict[str, str]) -> list[float]:
    """Seconds of stock autograde and generate_feedback for SIZE hand-ins, from its start and marginal costs."""
    course.hand_in(part)
    first, rest = next(iter(part)), len(part) - 1
    seconds = []
    for step in ("autograde", "generate_feedback"):
        one = course.nbgrader(step, f"--student={first}")
        # The first one is done already, so nbgrader passes it over.
        start, each = per_hand_in(one, course.nbgrader(step), rest)
        seconds.append(start + SIZE * each)
    return seconds


def agreement(course, theirs, part: dict[str, str]) -> tuple[int, int]:
    """How many hand-ins of how many have the same points by both graders; right and blank ones must."""
    ours = scores(course.database_url, COURSE_ID)
    stock_scores = scores(f"sqlite:///{theirs / 'gradebook.db'}", "stock")
    same = [student for student in part if ours[student] == stock_scores[student]]
    for student in set(part) - set(same):
        if "right" in student or "blank" in student:
            raise RuntimeError(f"{student}: {ours[student]} here, {stock_scores[student]} in stock")
    return len(same), len(part)


def overhead() -> dict[str, Measured]:
    """A whole class run over the bare cells and calls, in turns."""
    ratios, pairs = [], []
    class_ = class_of(SIZE)
    for _ in range(ROUNDS):
        with folder() as root:
            course = new_course(root, class_)
            ours = classes.grade(course)
            pairs.append((ours, bare(course)))
            ratios.append(ours / pairs[-1][1])
    ours, alone = (median(column) for column in zip(*pairs, strict=True))
    return {
        "grade-overhead": of_repeats(ratios, f"seconds for {SIZE}: {ours:.1f}, bare {alone:.1f}")
    }


def bare(course) -> float:
    """Seconds of the cells and calls alone; see `bare`."""
    program = [sys.executable, "-m", "tests.benchmarks.bare", str(course.class_folder)]
    done = subprocess.run(
        program,
        cwd=course.root,
        env=classes.environment(course.root),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the bare run failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def resume() -> dict[str, Measured]:
    """The command given again on an unchanged class, per hand-in and without the command's own start."""
    class_ = class_of(SIZE)
    ratios, starts, costs, pages = [], [], [], []
    for _ in range(ROUNDS):
        with folder() as root:
            course = new_course(root, dict(list(class_.items())[:1]))
            one, one_page, one_again = (
                classes.grade(course),
                classes.feedback(course),
                classes.grade(course),
            )
            classes.hand_in(course.step("submitted"), class_)
            rest, rest_pages = classes.grade(course), classes.feedback(course)
            again = classes.grade(course)
        # The first one is done already when the rest comes.
        start, each = per_hand_in(one, rest, SIZE - 1)
        _, each_page = per_hand_in(one_page, rest_pages, SIZE - 1)
        _, each_again = per_hand_in(one_again, again, SIZE)
        ratios.append(max(0.0, each_again) / each)
        starts.append(start)
        costs.append(each * CORES)
        pages.append(each_page * CORES)
    return {
        "grade-resume": of_repeats(ratios),
        "cost-start": of_repeats(starts),
        "cost-hand-in": of_repeats(costs),
        "cost-page": of_repeats(pages),
    }
