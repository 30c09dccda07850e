"""`python -m tests.benchmarks [NAME]`: measure all figures, or those named, and keep the rows.

A name is a figure's, or what several begin with: `bank` is bank-named, bank-right and bank-wrong.
"""

import sys
from collections.abc import Callable

from rich.console import Console

from . import bank, costs, course, language, memory, speed
from .figures import FIGURES, ROWS, Absent, Measured, Row, row, write

# What is measured together is measured in one run; the quick ones come first.
BENCHMARKS: dict[Callable[[], dict[str, Measured]], tuple[str, ...]] = {
    bank.bank_rows: ("bank-named", "bank-right", "bank-wrong"),
    bank.damaged: ("handins-accounted",),
    course.page_weight: ("page-weight",),
    costs.sizes: (
        "bytes-gradebook",
        "bytes-record",
        "bytes-notebook",
        "bytes-page",
        "files",
    ),
    costs.gradebook: ("cost-gradebook",),
    costs.scheduler: ("cost-task",),
    speed.resume: ("grade-resume", "cost-start", "cost-hand-in", "cost-page"),
    speed.overhead: ("grade-overhead",),
    speed.against_stock: ("grade-throughput", "grade-feedback"),
    memory.grade_memory: ("grade-memory",),
    bank.attacks: ("attacks-contained",),
    language.cpu: ("lm-cpu",),
    language.gpu: ("lm-gpu", "lm-gpu-loss", "lm-utilisation"),
    course.minutes: ("course-cold", "course-warm"),
}
out = Console(highlight=False, soft_wrap=True)


def main(only: str = "") -> int:
    """Measure; 0, or 2 for a name that is none."""
    wanted = {name for name in FIGURES if not only or f"{name}-".startswith(f"{only}-")}
    if not wanted:
        out.print(f"Unknown figure {only}: there are {', '.join(FIGURES)}.", markup=False)
        return 2
    for benchmark, names in BENCHMARKS.items():
        if wanted.isdisjoint(names):
            continue
        try:
            found = benchmark()
        except Absent as reason:
            out.print(f"{', '.join(names)}: not measured: {reason}", markup=False)
            continue
        for name in names:
            measured = row(name, found[name])
            write(measured)
            out.print(line(measured), markup=False)
    out.print(f"rows: {ROWS}", markup=False)
    return 0


def line(measured: Row) -> str:
    """A row for people."""
    text = f"{measured.name:18} {measured.value:10.4g} {measured.unit}"
    if measured.goal is not None:
        sign = "≥" if measured.better == "higher" else "≤"
        text += f"  (goal {sign} {measured.goal:g}: {'met' if measured.met else 'missed'})"
    if measured.spread:
        text += f"  [{measured.spread[0]:.4g} to {measured.spread[1]:.4g}]"
    return text + (f"  {measured.note}" if measured.note else "")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
