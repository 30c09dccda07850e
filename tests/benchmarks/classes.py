"""Throw-away courses and classes, and commands run in them as an instructor would."""

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autograder.assignment import Assignment
from autograder.course import Course
from autograder.sample import sample_class

from .figures import ROOT

NAME = "02-scores"
COPIED = ("nbgrader_config.py", "solutions", "exercises", "tests/bank")
# It would measure time limits, which the two graders have at different lengths.
LEFT_OUT = "endless-loop"


@contextmanager
def folder() -> Iterator[Path]:
    """A temporary folder; what a failing clean-up leaves is no failure of a measurement."""
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as path:
        yield Path(path)


def new_course(root: Path, class_: dict[str, str] | None = None) -> Course:
    """A copy of the course in `root` with a class's hand-ins, and a gradebook that knows the releases only."""
    for name in COPIED:
        source, target = ROOT / name, root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.ipynb_checkpoints"))
        else:
            shutil.copy(source, target)
    for twin in root.glob("solutions/*/*.ipynb"):
        twin.unlink()
    course = Course(root, root / "class")
    hand_in(course.step("submitted"), class_ or {})
    autograder(course, "release")
    return course


def assignment(course: Course) -> Assignment:
    """The assignment that is graded in the benchmarks."""
    return Assignment(course, NAME)


def repository() -> Assignment:
    """The same assignment as it is in the repository, to be read only."""
    return assignment(Course(ROOT, ROOT / "class"))


def kinds() -> dict[str, str]:
    """The sample class's hand-ins, each of its kind once, without the one that never ends."""
    class_ = sample_class(repository())
    return {kind: text for kind, text in class_.items() if kind != LEFT_OUT}


def class_of(size: int) -> dict[str, str]:
    """A class of this size: the sample class repeated under other names."""
    texts = itertools.islice(itertools.cycle(kinds().items()), size)
    return {f"s{number:04d}-{kind}": text for number, (kind, text) in enumerate(texts)}


def hand_in(submitted: Path, class_: dict[str, str], notebook: str = "scores") -> None:
    """Write hand-ins as `<student>/<assignment>/<notebook>.ipynb`."""
    for student, text in class_.items():
        target = submitted / student / NAME
        target.mkdir(parents=True, exist_ok=True)
        (target / f"{notebook}.ipynb").write_text(text)


def environment(home: Path) -> dict[str, str]:
    """This process's environment without the machine's Jupyter settings, with this checkout's packages."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("JUPYTER", "IPYTHON", "AUTOGRADER", "XDG_", "MAKE"))
    }
    programs = str(Path(sys.executable).parent)
    return {
        **kept,
        "HOME": str(home),
        "PATH": os.pathsep.join([programs, os.environ.get("PATH", os.defpath)]),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "book")]),
    }


def command(root: Path, *words: str, status: tuple[int, ...] = (0,), **variables: str) -> float:
    """Run a command in `root`; seconds of wall clock. What ends otherwise is no measurement."""
    started = time.perf_counter()
    done = subprocess.run(
        words,
        cwd=root,
        env=environment(root) | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    if done.returncode not in status:
        told = (done.stdout + done.stderr)[-2000:]
        raise RuntimeError(f"{' '.join(words)} ended with {done.returncode}:\n{told}")
    return seconds


def autograder(course: Course, *words: str, status: tuple[int, ...] = (0,)) -> float:
    """Seconds that `autograder …` takes on a course and its class."""
    program = (sys.executable, "-m", "autograder", *words, "--class", str(course.class_folder))
    return command(course.root, *program, status=status)


def grade(course: Course, status: tuple[int, ...] = (0,)) -> float:
    """Seconds of `autograder grade` on two cores."""
    return autograder(course, "grade", NAME, "--jobs", "2", status=status)


def feedback(course: Course) -> float:
    """Seconds of `autograder feedback`."""
    return autograder(course, "feedback", NAME)
