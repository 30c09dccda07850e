"""Whether memory stays flat while a large class is graded."""

import subprocess
import sys
import time
from collections.abc import Sequence

import numpy as np
import psutil

from . import classes
from .classes import NAME, class_of, folder, new_course
from .figures import Absent, Measured

SIZE = 1000
WARM = 100  # hand-ins until every worker has started and grown to its size
SECONDS = 1.0  # between two looks


def grade_memory() -> dict[str, Measured]:
    """The slope of the memory of all processes of `autograder grade` against hand-ins done."""
    with folder() as root:
        course = new_course(root, class_of(SIZE))
        looks = watch(course)
    return {"grade-memory": growth(looks)}


def growth(looks: Sequence[tuple[int, float]]) -> Measured:
    """From looks (hand-ins done, MB) the slope in MB per 1,000, those of the first hand-ins left out."""
    done, memory = np.array([look for look in looks if WARM <= look[0] < SIZE], dtype=float).T
    if np.ptp(done) < SIZE / 2:
        raise Absent(f"only hand-ins {done.min():.0f} to {done.max():.0f} were seen being graded")
    (slope, _), variance = np.polyfit(done, memory, 1, cov=True)
    error = 2 * float(np.sqrt(variance[0, 0]))
    slope, error = 1000 * float(slope), 1000 * error
    note = f"{len(done)} looks; median {np.median(memory):.0f} MB, highest {memory.max():.0f} MB"
    return Measured(slope, (slope - error, slope + error), note)


def watch(course) -> list[tuple[int, float]]:
    """Look at the processes of `autograder grade` until it ends."""
    program = [sys.executable, "-m", "autograder", "grade", NAME, "--jobs", "2"]
    process = subprocess.Popen(
        [*program, "--class", str(course.class_folder)],
        cwd=course.root,
        env=classes.environment(course.root),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    looks = []
    try:
        while process.poll() is None:
            done = sum(1 for _ in course.step("autograded").glob(f"*/{NAME}"))
            looks.append((done, tree_memory(process.pid)))
            time.sleep(SECONDS)
    finally:
        process.kill()
    if process.wait():
        raise RuntimeError(f"`autograder grade` ended with {process.returncode}")
    return looks


def tree_memory(pid: int) -> float:
    """MB of a process and all below it, each shared page counted once (PSS); 0 when it has ended."""
    try:
        processes = [root := psutil.Process(pid), *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    return sum(map(_proportional, processes)) / 1e6


def _proportional(process: psutil.Process) -> int:
    try:
        return process.memory_full_info().pss
    except psutil.NoSuchProcess:
        return 0
    except psutil.AccessDenied as error:
        raise Absent("the memory of sandboxed processes can be read by root only") from error
