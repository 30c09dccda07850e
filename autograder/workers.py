"""Run one function over many tasks: on this machine's processes, or on a Dask cluster."""

import gc
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager
from itertools import islice
from multiprocessing import forkserver, get_context, parent_process
from multiprocessing.connection import wait as wait_for
from typing import Any

from joblib import cpu_count
from joblib.externals.loky import BrokenProcessPool, ProcessPoolExecutor

from autograder.course import CourseError, variables
from autograder.shell.warm import ONE_THREAD

AHEAD = 2  # tasks in flight for each worker: one in work, and one that waits for it
CONNECT_SECONDS = 10
FORKS = get_context("forkserver")

Task = tuple[str, Any]  # a key, and what the function is called with
Started = Callable[[str], None]


class WorkerLost(Exception):
    """A task ended the process that it ran in, each time it was tried."""


def each(
    function: Callable[[Any], Any],
    tasks: Iterable[Task],
    jobs: int,
    dask: str = "",
    started: Started = lambda key: None,
    begin: Callable[[], None] | None = None,
) -> Iterator[tuple[str, Any]]:
    """Yield (key, result) as results come, in any order; tasks are drawn only as workers get free.

    `jobs` processes work here (-1: one per core), or the workers of the Dask scheduler at the address `dask`.
    The processes here are forks of one (see `load`), and each calls `begin` first.
    `started` is told the key of each task that is handed to a worker. A task that raises, or that ends its
    process each time, gives its exception as the result.
    """
    if dask:
        return _on_cluster(function, iter(tasks), dask, started)
    return _here(function, iter(tasks), cpu_count() if jobs < 0 else jobs, started, begin)


def load(modules: Sequence[str]) -> None:
    """Start the process that all workers are forks of, unless there is one; it loads the modules meanwhile.

    They compute in one thread each: a class keeps every core busy, and a fork has no other threads.
    """
    FORKS.set_forkserver_preload(list(modules))
    with variables(dict.fromkeys(ONE_THREAD, "1")):
        forkserver.ensure_running()


def _here(
    function: Callable,
    tasks: Iterator[Task],
    jobs: int,
    started: Started,
    begin: Callable[[], None] | None,
) -> Iterator[tuple[str, Any]]:
    """A lost process breaks its pool: what was in flight is tried again, each alone, and a new pool goes on."""
    while True:
        suspects: list[Task] = []
        with _pool(jobs, begin) as pool:
            drawn = _until(tasks, suspects)
            for task, future in _flow(pool, function, drawn, AHEAD * jobs, started):
                if _was_lost(future):
                    suspects.append(task)
                else:
                    yield task[0], _result(future)
        if not suspects:
            return
        for suspect in suspects:
            with _pool(1, begin) as pool:
                for task, future in _flow(pool, function, iter([suspect]), 1, started):
                    yield task[0], _result(future)


def _until(tasks: Iterator[Task], suspects: list[Task]) -> Iterator[Task]:
    for task in tasks:
        yield task
        if suspects:
            return


@contextmanager
def _pool(jobs: int, begin: Callable[[], None] | None) -> Iterator[Executor]:
    """Processes that are ended at once, with what they started, when this one is interrupted."""
    pool = ProcessPoolExecutor(jobs, context=FORKS, initializer=_begin, initargs=(begin,))
    try:
        yield pool
    except BaseException:
        pool.shutdown(kill_workers=True)
        raise
    pool.shutdown()


def _begin(begin: Callable[[], None] | None) -> None:
    """In a worker: Ctrl-C is the command's business, and nobody needs a worker whose command was killed."""
    gc.freeze()  # else the first collection touches, and so copies, all that the forks share
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_command, daemon=True).start()
    if begin:
        begin()


def _end_with_command() -> None:
    """The parent, to Python, is the command, and not the process that this one is a fork of."""
    wait_for([parent_process().sentinel])
    os._exit(1)


def _on_cluster(
    function: Callable, tasks: Iterator[Task], address: str, started: Started
) -> Iterator[tuple[str, Any]]:
    try:
        from distributed import Client
    except ImportError as error:
        raise CourseError("--dask needs a package: pip install distributed") from error
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise CourseError(
            f"No Dask scheduler answers at {address}: start one (`dask scheduler`), and give its address "
            "as tcp://host:port."
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except TimeoutError as error:
            raise CourseError(
                f"The Dask scheduler at {address} has no workers: start some (`dask worker {address}`)."
            ) from error
        pool = client.get_executor(pure=False)
        ahead = AHEAD * sum(client.nthreads().values())
        suspects: list[Task] = []
        for task, future in _flow(pool, function, tasks, ahead, started):
            if future.cancelled():
                raise CourseError(
                    f"The Dask scheduler at {address} went away; the same command goes on from here."
                )
            if _was_lost(future):
                suspects.append(task)
            else:
                yield task[0], _result(future)
        for task, future in _flow(pool, function, iter(suspects), 1, started):
            yield task[0], _result(future)


def _flow(
    pool: Executor, function: Callable, tasks: Iterator[Task], ahead: int, started: Started
) -> Iterator[tuple[Task, Future]]:
    """Keep `ahead` tasks in flight, and give each back with its finished future."""
    waiting: dict[Future, Task] = {}
    while True:
        for task in islice(tasks, ahead - len(waiting)):
            waiting[_submit(pool, function, task[1])] = task
            started(task[0])
        if not waiting:
            return
        for future in wait(waiting, return_when=FIRST_COMPLETED).done:
            yield waiting.pop(future), future


def _submit(pool: Executor, function: Callable, argument: Any) -> Future:
    try:
        return pool.submit(function, argument)
    except BrokenProcessPool as error:
        failed: Future = Future()
        failed.set_exception(error)
        return failed


def _was_lost(future: Future) -> bool:
    """Whether the task's process ended; Dask's own exception is told by name, for it may not be installed."""
    error = future.exception()
    return isinstance(error, BrokenProcessPool) or type(error).__name__ == "KilledWorker"


def _result(future: Future) -> Any:
    if _was_lost(future):
        return WorkerLost("it ended the grader's worker process each time it was tried")
    return future.exception() or future.result()
