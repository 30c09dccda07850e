"""The warm parent: everything a notebook imports is loaded once; each hand-in is a fork of it.

It imports and waits, nothing more, so that its forks are safe: no thread, no event loop, no parallel
region. It holds no check, no solution and no secret, and runs nothing of a student's.
"""

import ctypes
import gc
import importlib
import json
import os
import select
import shutil
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot  # noqa: F401 - loaded for the students

from . import confine
from .channel import Channel

PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """Fork a process for each request of a client, until the first client has gone.

    The arguments are the descriptors of its socket and of one that listens for more clients, and what the forks do:
    a module of `inside` with `prepare`, called once here, and `serve`, called in each fork.
    """
    sys.argv, arguments = [""], sys.argv[1:]
    libc = ctypes.CDLL(None)
    # A hand-in's process becomes a child of this one, which reaps it at once: until then its
    # sandbox would not be gone.
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    first, door = (socket.socket(fileno=int(number)) for number in arguments[:2])
    kind = importlib.import_module(f"inside.{arguments[2]}")
    prepared = kind.prepare()
    wake_up = socket.socketpair()
    for end in wake_up:
        end.setblocking(False)
    signal.set_wakeup_fd(wake_up[1].fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    gc.freeze()
    first.sendall(b"!")
    clients = [first]
    while first in clients:
        ready, _, _ = select.select([door, wake_up[0], *clients], [], [])
        if wake_up[0] in ready:
            wake_up[0].recv(4096)
            reap()
        if door in ready:
            clients.append(door.accept()[0])
            clients[-1].sendall(b"!")
        for client in set(ready) & set(clients):
            if not answer(client, kind.serve, prepared):
                clients.remove(client)
                client.close()
    shutil.rmtree(Path.cwd(), ignore_errors=True)  # the grader may have ended without tidying up


def answer(client: socket.socket, serve: Callable[..., None], prepared: Any) -> bool:
    """Fork a process as a client asks and tell it the number; False once the client has gone."""
    try:
        raw, descriptors, _, _ = socket.recv_fds(client, 1 << 16, 8)
        if not raw:
            return False
        request = json.loads(raw)
        child = os.fork()
        if child == 0:
            start(
                serve,
                prepared,
                request,
                dict(zip(request["descriptors"], descriptors, strict=True)),
            )
        for descriptor in descriptors:
            os.close(descriptor)
        client.sendall(json.dumps(child).encode())
    except OSError:
        return False
    return True


def reap() -> None:
    """Take leave of all children that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def start(
    serve: Callable[..., None],
    prepared: Any,
    request: dict[str, Any],
    descriptors: dict[str, int],
) -> None:
    """In the fork: become a hand-in's process and serve; it never returns."""
    channel = Channel(descriptors["channel"], descriptors["channel"])
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        confined = "pid" in descriptors
        if confined:
            confine.join(descriptors, request["folder"], request["limits"]["disk_bytes"])
            if os.fork():  # the namespace of processes begins with a child
                os._exit(0)
        os.setsid()  # its own group of processes; the scheduler shares the cores among such groups
        # The same number wherever it came from, so that a limit on descriptors cannot cut it off.
        os.dup2(descriptors["channel"], 3)
        os.set_inheritable(3, False)
        confine.close_all_but(3)
        channel = Channel(3, 3)
        go_home(request["folder"])
        confine.set_limits(request["limits"], request["processes"])
        if confined:
            confine.drop_rights(request["user"])
            confine.filter_system_calls()
        gc.enable()
        serve(channel, prepared, request["limits"], request["seed"])
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        channel.send({"failed": f"{type(error).__name__}: {error} ({last.name})"})
    finally:
        os._exit(0)


def go_home(folder: str) -> None:
    """The hand-in's own folder is where it works and keeps its files."""
    os.chdir(folder)
    for name in ("HOME", "TMPDIR", "IPYTHONDIR", "MPLCONFIGDIR", "XDG_CACHE_HOME"):
        os.environ[name] = folder
    if (tempfile := sys.modules.get("tempfile")) is not None:
        tempfile.tempdir = None
