"""The figures: what each one is and its goal, what was measured, and the file that keeps the rows."""

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
ROWS = ROOT / "_build" / "bench.json"


@dataclass(frozen=True)
class Figure:
    """One figure; `goal` is None for a cost that the estimate is computed from."""

    name: str
    what: str
    unit: str
    better: str  # "higher" or "lower"
    goal: float | None = None


@dataclass(frozen=True)
class Measured:
    """What a benchmark found; `spread` is the lowest and the highest of its repeats, `parts` what it is made of."""

    value: float
    spread: tuple[float, float] | None = None
    note: str = ""
    parts: dict[str, dict[str, int]] | None = None


@dataclass(frozen=True)
class Row:
    """One measured figure as `_build/bench.json` keeps it."""

    name: str
    value: float
    goal: float | None
    unit: str
    better: str
    device: str
    date: str
    command: str
    spread: tuple[float, float] | None = None
    note: str = ""
    parts: dict[str, dict[str, int]] | None = None

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.better == "higher" else self.value <= self.goal


class Absent(Exception):
    """A figure cannot be measured here; the text says why."""


FIGURES = {
    figure.name: figure
    for figure in (
        Figure(
            "grade-throughput",
            "class throughput, gradebook written, against stock `nbgrader autograde`",
            "times",
            "higher",
            30,
        ),
        Figure(
            "grade-feedback",
            "the same with feedback pages, against stock `autograde` and `generate_feedback`",
            "times",
            "higher",
            10,
        ),
        Figure(
            "grade-overhead",
            "a class run against only executing the same cells and calls in a warm interpreter",
            "times",
            "lower",
            2,
        ),
        Figure(
            "grade-memory",
            "growth of the memory of all processes while grading 1,000 hand-ins",
            "MB per 1,000",
            "lower",
            50,
        ),
        Figure(
            "grade-resume",
            "an unchanged hand-in, the command given again, against grading it",
            "times",
            "lower",
            0.02,
        ),
        Figure("bank-named", "misconceptions that cost points and are named", "share", "higher", 1),
        Figure("bank-right", "right programs at full marks", "share", "higher", 1),
        Figure("bank-wrong", "wrong programs at full marks", "share", "lower", 0),
        Figure(
            "attacks-contained",
            "hostile notebooks that gain nothing, see nothing and disturb nobody",
            "share",
            "higher",
            1,
        ),
        Figure(
            "handins-accounted",
            "damaged hand-ins graded or listed with a reason, batch never stopped",
            "share",
            "higher",
            1,
        ),
        Figure("course-cold", "`make course` from nothing", "minutes", "lower", 20),
        Figure("course-warm", "`make course` with nothing changed", "minutes", "lower", 1),
        Figure("page-weight", "heaviest page, first view, compressed", "KiB", "lower", 500),
        Figure(
            "lm-cpu",
            "time of the modern recipe to the loss at which the GPT-2-style baseline ends, on the processor",
            "times",
            "lower",
            0.15,
        ),
        Figure("lm-gpu", "the same at the baseline's GPU setting, on a GPU", "times", "lower", 0.1),
        Figure(
            "lm-gpu-loss", "best loss there, modern less baseline", "nats per token", "lower", 0
        ),
        Figure(
            "lm-utilisation",
            "model FLOP utilisation of training 124 million parameters, context 1024, bf16, one GPU",
            "share",
            "higher",
            0.45,
        ),
        Figure("cost-start", "one `autograder grade`, before the first hand-in", "s", "lower"),
        Figure("cost-hand-in", "cores held by one hand-in", "core-seconds", "lower"),
        Figure("cost-page", "cores held by one feedback page", "core-seconds", "lower"),
        Figure("cost-gradebook", "one hand-in into the gradebook, one writer", "ms", "lower"),
        Figure("cost-task", "one task through Dask's scheduler", "ms", "lower"),
        Figure("bytes-gradebook", "the gradebook's growth by one hand-in", "kB", "lower"),
        Figure("bytes-record", "a record and its line in the journal", "kB", "lower"),
        Figure("bytes-notebook", "an autograded notebook", "kB", "lower"),
        Figure("bytes-page", "a feedback page", "kB", "lower"),
        Figure("files", "files and folders that grading one hand-in leaves", "files", "lower"),
    )
}


def of_repeats(values: Sequence[float], note: str = "") -> Measured:
    """The median of repeats, with their spread."""
    return Measured(median(values), (min(values), max(values)), note)


def device() -> str:
    """The machine and the versions that the figures depend on."""
    processor = platform.processor()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            processor = line.split(":", 1)[1].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    packages = ", ".join(
        f"{label} {version(label.lower())}" for label in ("NumPy", "Torch", "nbgrader")
    )
    return (
        f"{len(os.sched_getaffinity(0))} cores of {processor}, {memory:.0f} GB; "
        f"Python {platform.python_version()}, {packages}"
    )


def row(name: str, measured: Measured) -> Row:
    """The row of a figure that was measured just now."""
    figure = FIGURES[name]
    return Row(
        name,
        measured.value,
        figure.goal,
        figure.unit,
        figure.better,
        device(),
        datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        f"make bench ONLY={name}",
        measured.spread,
        measured.note,
        measured.parts,
    )


def read(path: Path = ROWS) -> list[Row]:
    """The rows measured so far."""
    return from_data(json.loads(path.read_text())) if path.exists() else []


def from_data(rows: Iterable[dict]) -> list[Row]:
    """Rows from their JSON."""
    return [
        Row(**{**data, "spread": data.get("spread") and tuple(data["spread"])}) for data in rows
    ]


def to_text(rows: Iterable[Row]) -> str:
    """Rows as JSON text, in the order of FIGURES."""
    order = list(FIGURES)
    rows = sorted(rows, key=lambda row: order.index(row.name) if row.name in order else len(order))
    kept = [asdict(row) for row in rows]
    for data in kept:
        if data["parts"] is None:
            del data["parts"]
    return json.dumps(kept, indent=1) + "\n"


def write(row: Row, path: Path = ROWS) -> None:
    """Put a row in the place of an older one of its name; the file is written whole or not at all."""
    rows = {old.name: old for old in read(path)} | {row.name: row}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    temporary.write_text(to_text(rows.values()))
    temporary.replace(path)
