"""How a class run goes, as its instructor sees it: a bar on a terminal, a line now and then elsewhere."""

import time
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from autograder.classrun import Watch

SECONDS = 5.0  # between two lines
SHOWN = 4  # students in work that are named


class Lines(Watch):
    """Plain lines, at most one every few seconds, and one at the end; a context manager."""

    def __init__(self, what: str, total: int, console: Console) -> None:
        self.what, self.total, self.console = what, total, console
        self.done, self.problems = 0, 0
        self.in_work: dict[str, None] = {}
        self.since = self.told = time.monotonic()

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self.done:
            self._print()

    def started(self, student: str) -> None:
        """See Watch."""
        self.in_work[student] = None
        self.show()

    def finished(self, student: str, problem: str = "") -> None:
        """See Watch."""
        self.in_work.pop(student, None)
        self.done += 1
        self.problems += bool(problem)
        self.show()

    def show(self) -> None:
        """Print where the run is, unless that was done a moment ago."""
        if time.monotonic() - self.told > SECONDS:
            self._print()

    def _print(self) -> None:
        self.told = time.monotonic()
        self.console.print(self.state(), markup=False, highlight=False, soft_wrap=True)

    def state(self) -> str:
        """One line: done, rate, time left, problems, and who is in work."""
        rate = self.done / max(1e-3, time.monotonic() - self.since)
        parts = [f"{self.what}: {self.done} of {self.total} done", f"{rate:.1f}/s"]
        if self.done and self.done < self.total:
            parts.append(f"{(self.total - self.done) / rate:.0f} s left")
        return ", ".join([*parts, *self.others()])

    def others(self) -> list[str]:
        """How many need the instructor, and the students in work, if there are any."""
        names = list(self.in_work)[:SHOWN]
        found = [f"{self.problems} need you"] if self.problems else []
        return found + ([f"in work: {' '.join(names)}"] if names else [])


class Bar(Lines):
    """The same as a bar that stays in its place, gone at the end."""

    def __enter__(self) -> "Bar":
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        self._bar = _WithLine(*columns, console=self.console, transient=True)
        self._task = self._bar.add_task(self.what, total=self.total, rate="")
        self._bar.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._bar.stop()

    def show(self) -> None:
        """Bring the bar up to date; it draws itself."""
        rate = self.done / max(1e-3, time.monotonic() - self.since)
        self._bar.line = ", ".join(self.others())
        self._bar.update(self._task, completed=self.done, rate=f"{rate:.1f}/s")


class _WithLine(Progress):
    """A bar with a line of text below it."""

    line = ""

    def get_renderable(self) -> RenderableType:
        return Group(*self.get_renderables(), Text(self.line, overflow="ellipsis", no_wrap=True))


def watch(what: str, total: int, console: Console) -> Lines:
    """A bar on a terminal, lines elsewhere."""
    return (Bar if console.is_terminal else Lines)(what, total, console)
