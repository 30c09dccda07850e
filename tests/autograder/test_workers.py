"""Tasks on processes and on a Dask cluster: all results, few tasks in flight, and a lost worker harms nobody."""

import os
import signal
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from autograder.course import CourseError
from autograder.workers import AHEAD, WorkerLost, each


def double(x):
    if x == "raise":
        raise ValueError("of the task")
    if x == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * x


def killed_once(mark):
    if not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def tasks(*arguments):
    return ((str(argument), argument) for argument in arguments)


def test_every_task_gives_its_result():
    assert dict(each(double, tasks(*range(20)), 2)) == {str(n): 2 * n for n in range(20)}


def test_tasks_are_drawn_only_as_workers_get_free():
    drawn = []

    def drawing():
        for n in range(12):
            drawn.append(n)
            yield str(n), n

    started = []
    results = each(double, drawing(), 2, started=started.append)
    for count, _ in enumerate(results, 1):
        assert len(drawn) <= count + 2 * AHEAD
    assert started == [str(n) for n in range(12)]


def test_what_a_task_raises_is_its_result():
    results = dict(each(double, tasks(1, "raise", 2), 1))
    assert isinstance(results["raise"], ValueError)
    assert (results["1"], results["2"]) == (2, 4)


def test_a_task_that_ends_its_process_costs_itself_only():
    results = dict(each(double, tasks(*range(6), "kill", *range(6, 12)), 2))
    assert isinstance(results.pop("kill"), WorkerLost)
    assert results == {str(n): 2 * n for n in range(12)}


def test_a_lost_process_is_replaced(tmp_path):
    assert dict(each(killed_once, tasks(str(tmp_path / "mark")), 1)).popitem()[1] == "done"


def slow(seconds):
    time.sleep(seconds)
    return os.getpid()


def test_leaving_early_ends_the_processes():
    results = each(slow, tasks(0.0, 60.0, 61.0), 2)
    _, pid = next(results)
    assert Path(f"/proc/{pid}").exists()
    started = time.monotonic()
    results.close()
    assert time.monotonic() - started < 20
    assert not Path(f"/proc/{pid}").exists()


@contextmanager
def cluster():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        yield cluster


def test_a_cluster_gives_the_same_and_outlives_lost_workers(tmp_path):
    with cluster() as machines:
        address = machines.scheduler_address
        given = tasks(*range(10), "raise", "kill")
        results = dict(each(double, given, -1, address))
        assert isinstance(results.pop("kill"), WorkerLost)
        assert isinstance(results.pop("raise"), ValueError)
        assert results == {str(n): 2 * n for n in range(10)}
        mark = str(tmp_path / "mark")
        assert dict(each(killed_once, tasks(mark), -1, address))[mark] == "done"


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nowhere", "what://ever:1", "::"])
def test_an_address_where_nobody_answers_is_one_sentence(address, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("autograder.workers.CONNECT_SECONDS", 1)
    with pytest.raises(CourseError, match="No Dask scheduler answers"):
        list(each(double, tasks(1), -1, address))
