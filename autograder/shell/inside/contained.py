"""The first process of a container. It starts the student's process and ends with it, or when the grader hangs up.

When the first process ends, the kernel ends every other in the container, and the engine removes what is left.
"""

import json
import os
import select
import signal

from . import confine

HOME = "/tmp"


def main(code: str, limits: str, seed: str) -> None:
    """Serve one hand-in on standard input and output. `code` is the file this module was loaded from."""
    read_from, write_to = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):  # what a program writes to its standard output is not protocol
        os.dup2(null, standard)
    child = os.fork()  # before anything is loaded: the first process stays small
    if child == 0:
        start((read_from, write_to), code, json.loads(limits), int(seed))
    os.close(write_to)
    wait(child, read_from)
    os._exit(0)


def wait(child: int, grader: int) -> None:
    """Return when the process `child` has ended or the other end of `grader` is closed, whichever is first."""
    poll = select.poll()
    poll.register(os.pidfd_open(child), select.POLLIN)
    poll.register(grader, 0)  # a hang-up is always reported; the messages are not for this process
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel clears away what the student leaves
    poll.poll()


def start(descriptors: tuple[int, int], code: str, limits: dict[str, float], seed: int) -> None:
    """In the fork: load what a notebook needs, give up all rights, and serve; it never returns."""
    from .channel import Channel  # which loads NumPy

    channel = Channel(*descriptors)
    try:
        os.setsid()
        from pathlib import Path

        from .serve import prepare, serve
        from .warm import go_home

        go_home(HOME)
        shell = prepare()
        Path(code).unlink()
        confine.set_limits(limits, None)  # the engine counts the processes
        confine.drop_rights(None)
        confine.filter_system_calls()
        serve(channel, shell, limits, seed)
    except BaseException as error:
        channel.send({"failed": f"{type(error).__name__}: {error}"})
    finally:
        os._exit(0)
