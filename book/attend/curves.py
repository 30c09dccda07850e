"""What a run shows while it trains and leaves behind: a progress bar, curves as data and as a picture."""

import csv
import io
import sys
import time
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

__all__ = ["Curves", "Progress"]

COLUMNS = (
    "step", "seconds", "tokens", "training_loss", "validation_loss", "bits_per_byte", "rate",
)  # fmt: skip


class Curves:
    """One row for each time that the loss was looked at.

    A row has the step, the seconds of training so far (without validation and saving), the tokens
    seen, the training loss since the last row, the validation loss where it was measured, the same in
    bits per byte of text, and the schedule's factor on the learning rates. Losses are in nats per token,
    which another vocabulary makes another unit; bits per byte can be compared.
    """

    def __init__(self, rows: list[dict[str, Any]] | None = None) -> None:
        self.rows = list(rows or [])

    def add(self, **row: Any) -> None:
        """Add a row; what is left out is unknown."""
        self.rows.append({name: row.get(name) for name in COLUMNS})

    def column(self, name: str, of: str = "step") -> tuple[list, list]:
        """The values of two columns, where the first is known: places and values."""
        known = [row for row in self.rows if row[name] is not None]
        return [row[of] for row in known], [row[name] for row in known]

    def csv(self) -> str:
        """All rows as comma-separated values."""
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return text.getvalue()

    def figure(self) -> Figure:
        """Training and validation loss over the steps."""
        figure = Figure(figsize=(6.4, 3.6), layout="constrained")
        ax = figure.add_subplot()
        ax.plot(*self.column("training_loss"), label="training", color="C0", alpha=0.6)
        ax.plot(*self.column("validation_loss"), label="validation", color="C1", marker="o", ms=3)
        ax.set(xlabel="step", ylabel="loss (nats per token)")
        ax.legend(frameon=False)
        return figure

    def save(self, folder: Path) -> None:
        """Write curves.csv and curves.png."""
        (folder / "curves.csv").write_text(self.csv(), encoding="utf-8")
        self.figure().savefig(folder / "curves.png", dpi=150)


def in_notebook() -> bool:
    """Whether a notebook will show what is displayed; IPython is not imported to find out."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    # Colab's shell has another name and is derived from Jupyter's.
    return any(kind.__name__ == "ZMQInteractiveShell" for kind in type(shell).__mro__)


class Progress:
    """A line that is written anew while training goes on, and in a notebook the curves below it.

    Where the output is no terminal (a file, a log) a line is added for every tenth of the run.
    """

    def __init__(self, steps: int, start: int, quiet: bool = False) -> None:
        self.steps, self.start, self.quiet = steps, start, quiet
        self.notebook = not quiet and in_notebook()
        self.began, self.tenths, self.picture = time.perf_counter(), 0, None
        self.shown = self.began

    def line(self, step: int, loss: float, validation: float | None, speed: float) -> str:
        """What stands in the line after so many steps, at a speed in tokens per second."""
        done = step / self.steps
        elapsed = time.perf_counter() - self.began
        left = elapsed * (self.steps - step) / max(1, step - self.start)
        bar = ("█" * round(20 * done)).ljust(20, "·")
        tested = "" if validation is None else f" · validation {validation:.3f}"
        return (
            f"{bar} step {step}/{self.steps} · loss {loss:.3f}{tested} · {speed:,.0f} tokens/s · "
            f"{left // 60:.0f}:{left % 60:02.0f} left"
        )

    def show(
        self, curves: Curves, step: int, loss: float, validation: float | None, speed: float
    ) -> None:
        """Show how far the run is."""
        if self.quiet:
            return
        line = self.line(step, loss, validation, speed)
        if self.notebook or sys.stderr.isatty():
            print(f"\r{line}", end="\x1b[K", file=sys.stderr, flush=True)
        elif int(10 * step / self.steps) > self.tenths:
            self.tenths = int(10 * step / self.steps)
            print(line, file=sys.stderr, flush=True)
        if (
            self.notebook and time.perf_counter() - self.shown > 2
        ):  # drawing takes time from training
            self.draw(curves)

    def draw(self, curves: Curves) -> None:
        """Draw the curves in the notebook, in the place where they were."""
        from IPython.display import Image, display  # there is a notebook, so there is IPython

        self.shown = time.perf_counter()
        picture = io.BytesIO()  # a figure itself is shown only where matplotlib.pyplot was imported
        curves.figure().savefig(picture, format="png", dpi=100)
        image = Image(picture.getvalue(), alt="Training and validation loss over the steps so far.")
        if self.picture is None:
            self.picture = display(image, display_id=True)
        else:
            self.picture.update(image)

    def end(self, curves: Curves) -> None:
        """Leave the line as it is, and the last curves."""
        if self.notebook:
            self.draw(curves)
        if self.notebook or (not self.quiet and sys.stderr.isatty()):
            print(file=sys.stderr)
