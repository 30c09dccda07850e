"""The processes that one command grades with: started when first needed, used for every assignment, ended with it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from types import TracebackType

from autograder.shell.container import ENGINES
from autograder.shell.limits import Limits
from autograder.shell.warm import share, shared_warm_parent
from autograder.work import PRELOADED, Graded, work
from autograder.workers import Started, Task, each, load


class Crew:
    """`jobs` processes here (-1: one per core), or the workers of the Dask scheduler at the address `dask`."""

    def __init__(self, jobs: int = -1, dask: str = "") -> None:
        self._jobs, self._dask = jobs, dask
        self._stack = ExitStack()
        self._begin: Callable[[], None] | None = None

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._stack.close()

    def get_ready(self, sandbox: str) -> None:
        """Start what the first hand-in would wait for; it returns at once."""
        if self._dask:
            return
        load(PRELOADED)
        if sandbox not in ENGINES and not self._begin:
            # An assignment's own limits would load its checks, and PyTorch with them.
            seconds = Limits().start_seconds
            address = self._stack.enter_context(shared_warm_parent(seconds))
            self._begin = partial(share, address, seconds)

    def grade(
        self, tasks: Iterable[Task], started: Started
    ) -> Iterator[tuple[str, Graded | Exception]]:
        """What `work` makes of each task, as it comes; see `workers.each`."""
        return each(work, tasks, self._jobs, self._dask, started, self._begin)
