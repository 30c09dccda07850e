"""Only the students' cells and calls, in forks of a warm interpreter: what no grader can do without.

`python -m tests.benchmarks.bare FOLDER` makes them for all hand-ins of a class, two at a time, and prints the
seconds it took. Imports, notebooks and inputs are there before the clock starts; results are thrown away.
"""

import gc
import os
import sys
import tempfile
import time
from pathlib import Path

# One thread, as in the grader: a class uses the cores better.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import matplotlib.pyplot  # noqa: F401
import torch
from IPython.core.interactiveshell import InteractiveShell

from autograder.assignment import Assignment
from autograder.course import Course
from autograder.grading import seeds_for
from autograder.handin import read_notebook

from .classes import NAME
from .inkernel import calls

WORKERS = 2


def work(folder: Path) -> list[tuple]:
    """For each hand-in of a class its cells to run, and its questions with the cases that are its own."""
    assignment = Assignment(Course.find(folder, start=Path.cwd()), NAME)
    paper = assignment.paper
    found = []
    for student, hand_in in assignment.course.hand_ins(NAME).items():
        seeds = seeds_for(assignment.course.secret, student, paper)
        cells = paper.cells_to_run(read_notebook(hand_in / f"{paper.notebook}.ipynb"))
        asked = [
            (question, question.draw(seeds[name])) for name, question in paper.questions.items()
        ]
        found.append(([cell for cell in cells if cell is not None], asked))
    return found


def warm_shell() -> InteractiveShell:
    """A shell that has run a cell and shown an error, so that no fork imports what these need."""
    torch.set_num_threads(1)
    shell = InteractiveShell.instance()
    shell.history_manager.enabled = False
    shell.InteractiveTB.set_mode(mode="Plain")  # the quick form, as the grader has it
    shell.run_cell("1 / 0")
    gc.collect()
    gc.freeze()
    return shell


def run(shell: InteractiveShell, cells: list, asked: list) -> None:
    """Run the cells and make the calls."""
    for cell in cells:
        shell.run_cell(cell.source)
    for question, cases in asked:
        function = shell.user_ns.get(question.name)
        calls(function, question, cases)


def in_fork(function, *arguments) -> int:
    """Start the function in a fork of this process; its process id."""
    if child := os.fork():
        return child
    try:
        function(*arguments)
    finally:
        os._exit(0)


def each_in_a_fork(shell: InteractiveShell, hand_ins: list[tuple]) -> None:
    """One after the other, each in a process of its own."""
    for cells, asked in hand_ins:
        os.waitpid(in_fork(run, shell, cells, asked), 0)


def main() -> None:
    """Print the seconds."""
    hand_ins = work(Path(sys.argv[1]))
    told = os.dup(1)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["IPYTHONDIR"] = scratch
        shell = warm_shell()
        started = time.perf_counter()
        shares = [hand_ins[number::WORKERS] for number in range(WORKERS)]
        for child in [in_fork(each_in_a_fork, shell, share) for share in shares]:
            os.waitpid(child, 0)
        os.write(told, f"{time.perf_counter() - started}\n".encode())


if __name__ == "__main__":
    main()
