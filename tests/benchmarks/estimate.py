"""What grading 1,000 to 1,000,000 hand-ins would take, computed from measured costs and a few assumptions."""

from dataclasses import dataclass

# Assumptions, each named on the page with its source.
CORE_HOUR = 0.0425  # USD
GB_MONTH = 0.023  # USD
PUTS_1000 = 0.005  # USD
OBJECTS = 3  # record, autograded notebook and page of one hand-in

SCALES = ((1_000, 2), (100_000, 64), (1_000_000, 512))  # hand-ins, cores
NEEDED = (
    "cost-hand-in",
    "cost-page",
    "cost-gradebook",
    "cost-task",
    "grade-resume",
    "bytes-gradebook",
    "bytes-record",
    "bytes-notebook",
    "bytes-page",
    "files",
)


def number(value: float) -> str:
    """Three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


@dataclass(frozen=True)
class Line:
    """One line of the estimate: what, the formula in words, and a value for each scale."""

    what: str
    formula: str
    values: tuple[str, ...]


def missing(values: dict[str, float]) -> list[str]:
    """The figures without which there is no estimate."""
    return [name for name in NEEDED if name not in values]


def lines(values: dict[str, float]) -> list[Line]:
    """The estimate for all SCALES from measured `values` by name."""
    v = values
    stored = sum(v[name] for name in NEEDED if name.startswith("bytes-")) / 1e6  # GB per hand-in

    def line(what: str, formula: str, value, form=number) -> Line:
        return Line(what, formula, tuple(form(value(n, cores)) for n, cores in SCALES))

    def core_hours(n: int) -> float:
        return n * (v["cost-hand-in"] + v["cost-page"]) / 3600

    def busy(cores: int) -> tuple[float, float]:
        rate = cores / v["cost-hand-in"] / 1000
        return rate * v["cost-gradebook"], rate * v["cost-task"]

    return [
        line("cores", "chosen", lambda n, cores: cores),
        line(
            "core-hours",
            "n · (cost-hand-in + cost-page) / 3600",
            lambda n, cores: core_hours(n),
        ),
        line("hours", "core-hours / cores", lambda n, cores: core_hours(n) / cores),
        line(
            "price of the cores, USD",
            f"core-hours · {CORE_HOUR}",
            lambda n, cores: core_hours(n) * CORE_HOUR,
        ),
        line(
            "nothing changed, the command again, hours",
            "n · cost-hand-in · grade-resume / cores / 3600",
            lambda n, cores: n * v["cost-hand-in"] * v["grade-resume"] / cores / 3600,
        ),
        line(
            "hand-ins per second",
            "cores / cost-hand-in",
            lambda n, cores: cores / v["cost-hand-in"],
        ),
        line(
            "one gradebook writer is busy",
            "hand-ins per second · cost-gradebook / 1000",
            lambda n, cores: busy(cores)[0],
            "{:.0%}".format,
        ),
        line(
            "one Dask scheduler is busy",
            "hand-ins per second · cost-task / 1000",
            lambda n, cores: busy(cores)[1],
            "{:.0%}".format,
        ),
        line(
            "grading hours with one writer and one scheduler",
            "n · cost-hand-in / cores / 3600, times the busier of the two if above 100%",
            lambda n, cores: n * v["cost-hand-in"] / cores / 3600 * max(1.0, *busy(cores)),
        ),
        line(
            "gradebook, GB",
            "n · bytes-gradebook / 10⁶",
            lambda n, cores: n * v["bytes-gradebook"] / 1e6,
        ),
        line("all that is kept, GB", "n · all bytes-… / 10⁶", lambda n, cores: n * stored),
        line(
            "keeping it, USD per month",
            f"GB · {GB_MONTH}",
            lambda n, cores: n * stored * GB_MONTH,
        ),
        line(
            "writing it as objects, USD",
            f"n · {OBJECTS} · {PUTS_1000} / 1000",
            lambda n, cores: n * OBJECTS * PUTS_1000 / 1000,
        ),
        line("files and folders on a disk", "n · files", lambda n, cores: n * v["files"]),
    ]


def cores_of_one_writer(values: dict[str, float]) -> float:
    """How many cores one gradebook writer keeps up with."""
    return 1000 * values["cost-hand-in"] / values["cost-gradebook"]


def cores_of_one_scheduler(values: dict[str, float]) -> float:
    """How many cores one Dask scheduler keeps up with."""
    return 1000 * values["cost-hand-in"] / values["cost-task"]
