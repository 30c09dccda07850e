"""A class run killed at random points: the same command again gives what an undisturbed run gives."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import nbformat
import psutil
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
    """Two courses with the same sixty hand-ins and the same secret: one was graded undisturbed."""
    courses = new_course(), new_course()
    for course in courses:
        fill(course)
        run(course, "release")
    run(courses[0], "grade", "--jobs", "2")
    run(courses[0], "feedback")
    return courses


def fill(course: Course) -> None:
    """The class's secret and its hand-ins."""
    course.class_folder.mkdir()
    (course.class_folder / "secret").write_text("5ec7e7" * 12)
    for student, text in hand_ins(Assignment.named(course, "02-scores")).items():
        folder = course.step("submitted") / student / "02-scores"
        folder.mkdir(parents=True)
        (folder / "scores.ipynb").write_text(text)
        (folder / "timestamp.txt").write_text("2026-11-21 12:00:00 UTC")


def hand_ins(assignment: Assignment) -> dict[str, str]:
    """Sixty of every kind that ends by itself."""
    kinds = [text for name, text in sample_class(assignment).items() if name != "endless-loop"]
    kinds += [nbformat.writes(solve(assignment, programs)) for programs in mistaken(assignment)]
    return {f"student-{i:02d}": kinds[i % len(kinds)] for i in range(STUDENTS)}


def start(course: Course, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "autograder", *arguments, "--class", str(course.class_folder)],
        cwd=course.root,
        env=os.environ | {"AUTOGRADER_GRADEBOOK": course.database_url},
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
    """The processes that grade for a run, and the warm parent; none before all are there."""
    with contextlib.suppress(psutil.NoSuchProcess):
        children = psutil.Process(process.pid).children()
        told = {child: " ".join(child.cmdline()) for child in children}
        warm = [child.pid for child in children if "inside.warm" in told[child]]
        template = [child for child in children if "forkserver" in told[child]]
        forks = [fork.pid for child in template for fork in child.children()]
        return [*warm, *forks] if len(forks) == 2 else []
    return []


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


def wait(course: Course, process: subprocess.Popen, wanted: int) -> None:
    """Until so many have a record and the run has workers."""
    deadline = time.monotonic() + 120
    while len(records(course)) < wanted or not workers(process):
        assert process.poll() is None, f"it ended by itself: {process.communicate()[0]}"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_run_killed_at_twenty_points_ends_as_an_undisturbed_one(classes):
    """The command itself and its workers, by turns; a run that lost a worker only is left to go on."""
    undisturbed, killed = classes
    chance = random.Random(4)
    seen: dict[str, bytes] = {}
    process = start(killed, "grade", "--jobs", "2")
    for number in range(KILLS):
        wait(killed, process, len(seen) + chance.randint(0, 2))
        time.sleep(chance.random() * 0.2)
        assert process.poll() is None, "the class was graded before it was killed often enough"
        victim = chance.choice(workers(process) or [process.pid]) if number % 2 else process.pid
        os.kill(victim, signal.SIGKILL)
        if victim == process.pid:
            process.communicate(timeout=60)
            process = start(killed, "grade", "--jobs", "2")
        now = records(killed)
        assert all(now[student] == record for student, record in seen.items()), "graded twice"
        seen = now
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    run(killed, "feedback")
    assert records(killed).items() >= seen.items()
    assert len(records(killed)) == STUDENTS
    same(undisturbed, killed)


def test_a_database_killed_at_twenty_points_ends_as_an_undisturbed_one(classes, new_course, server):
    """A run that loses its database says so and stops; the same command goes on once it is back."""
    undisturbed, _ = classes
    here = new_course()
    killed = Course(here.root, here.class_folder, server.create("killed"))
    fill(killed)
    run(killed, "release")
    chance, seen = random.Random(5), {}
    for _ in range(KILLS):
        process = start(killed, "grade", "--jobs", "2")
        wait(killed, process, len(seen) + chance.randint(0, 2))
        time.sleep(chance.random() * 0.2)
        server.kill()
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 1 and "gradebook" in said and "Traceback" not in said, said
        server.start()
        now = records(killed)
        # One record may be ahead of a gradebook that was lost: that student is entered again.
        assert all(now[student] == record for student, record in seen.items()), "graded twice"
        seen = now
    run(killed, "grade", "--jobs", "2")
    run(killed, "feedback")
    assert len(records(killed)) == STUDENTS
    same(undisturbed, killed)


def same(undisturbed: Course, other: Course) -> None:
    first, second = state(undisturbed), state(other)
    assert first["gradebook"] == second["gradebook"]
    assert first["files"].keys() == second["files"].keys()
    different = [name for name in first["files"] if first["files"][name] != second["files"][name]]
    assert not different
