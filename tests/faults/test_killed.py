"""A class run killed at random points: the same command again gives what an undisturbed run gives."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook

from autograder.assignment import Assignment
from autograder.course import Course
from autograder.sample import mistaken, sample_class, solve
from autograder.shell import sandbox

STUDENTS = 60
KILLS = 20
pytestmark = pytest.mark.skipif(bool(sandbox.available("bwrap")), reason=sandbox.available("bwrap"))


@pytest.fixture(scope="module")
def classes(new_course: Callable[[], Course]) -> tuple[Course, Course]:
    """Two courses with the same sixty hand-ins and the same secret: one run undisturbed, one killed."""
    courses = new_course(), new_course()
    texts = hand_ins(Assignment.named(courses[0], "02-scores"))
    for course in courses:
        course.class_folder.mkdir()
        (course.class_folder / "secret").write_text("5ec7e7" * 12)
        for student, text in texts.items():
            folder = course.step("submitted") / student / "02-scores"
            folder.mkdir(parents=True)
            (folder / "scores.ipynb").write_text(text)
            (folder / "timestamp.txt").write_text("2026-11-21 12:00:00 UTC")
        run(course, "release")
    return courses


def hand_ins(assignment: Assignment) -> dict[str, str]:
    """Sixty of every kind that ends by itself."""
    kinds = [text for name, text in sample_class(assignment).items() if name != "endless-loop"]
    kinds += [nbformat.writes(solve(assignment, programs)) for programs in mistaken(assignment)]
    return {f"student-{i:02d}": kinds[i % len(kinds)] for i in range(STUDENTS)}


def start(course: Course, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "autograder", *arguments, "--class", str(course.class_folder)],
        cwd=course.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def run(course: Course, *arguments: str) -> str:
    process = start(course, *arguments)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return said


def records(course: Course) -> dict[str, bytes]:
    return {
        path.parent.name: path.read_bytes()
        for path in course.class_folder.glob("records/*/*/*.json")
    }


def workers(process: subprocess.Popen) -> list[int]:
    """The processes that grade for a run: its children that run this Python's joblib."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
            line = (stat.parent / "cmdline").read_text()
        except (OSError, ValueError, IndexError):
            continue
        if parent == process.pid and "loky" in line and "resource_tracker" not in line:
            found.append(int(stat.parent.name))
    return found


def state(course: Course) -> dict[str, dict]:
    """All that a run leaves: the gradebook's rows, the records without their seconds, the notebooks, the feedback."""
    rows = {}
    with Gradebook(course.database_url, "attention") as gradebook:
        for submission in gradebook.assignment_submissions("02-scores"):
            grades = [
                (g.name, g.auto_score, g.manual_score, g.needs_manual_grade)
                for notebook in submission.notebooks
                for g in notebook.grades
            ]
            comments = [(c.name, c.auto_comment) for n in submission.notebooks for c in n.comments]
            rows[submission.student.id] = (submission.timestamp, sorted(grades), sorted(comments))
    files = {}
    for step in ("autograded", "feedback"):
        for path in sorted(course.step(step).rglob("*")):
            if path.is_file():
                files[str(path.relative_to(course.class_folder))] = path.read_bytes()
    return {"gradebook": rows, "files": files}


def test_a_run_killed_at_twenty_points_ends_as_an_undisturbed_one(classes):
    undisturbed, killed = classes
    run(undisturbed, "grade", "--jobs", "2")
    run(undisturbed, "feedback")
    chance = random.Random(4)
    seen: dict[str, bytes] = {}
    worker_kills = 0
    for number in range(KILLS):
        process = start(killed, "grade", "--jobs", "2")
        wanted = len(seen) + chance.randint(0, 3)
        deadline = time.monotonic() + 120
        while len(records(killed)) < wanted and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(chance.random() * 0.3)
        victims = workers(process) if number % 2 else []
        if victims:
            worker_kills += 1
            os.kill(chance.choice(victims), signal.SIGKILL)
            process.communicate(timeout=300)  # the run goes on without it, or stops and says so
        else:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate(timeout=60)
        now = records(killed)
        assert all(now[student] == record for student, record in seen.items()), "graded twice"
        seen = now
        if len(seen) == STUDENTS:
            break
    assert worker_kills
    run(killed, "grade", "--jobs", "2")
    run(killed, "feedback")
    assert records(killed).items() >= seen.items()
    assert len(records(killed)) == STUDENTS
    first, second = state(undisturbed), state(killed)
    assert first["gradebook"] == second["gradebook"]
    assert first["files"].keys() == second["files"].keys()
    different = [name for name in first["files"] if first["files"][name] != second["files"][name]]
    assert not different
