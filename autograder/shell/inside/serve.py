"""The student's process: it runs cells as they come, and answers each call in a fork of itself.

Each call sees the student's finished state and can spoil nothing: an endless loop, a crash or a
full memory ends the fork and costs that call only.
"""

import contextlib
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
from typing import Any

from . import driver
from .cells import Outputs, Shell, Stream


def serve(channel: socket.socket, limits: dict[str, int]) -> None:
    """Answer requests (`run`, `call`) on `channel` until it is closed."""
    outputs = Outputs()
    shell = Shell.instance(outputs)  # the one shell of the process, as `display` expects
    sys.stdout, sys.stderr = Stream("stdout", outputs), Stream("stderr", outputs)
    _limit(resource.RLIMIT_CORE, 0)
    # A loop ends also if the grader was killed.
    _limit(resource.RLIMIT_CPU, int(limits["notebook_seconds"]) + 1)
    _limit(resource.RLIMIT_FSIZE, limits["file_bytes"])
    _limit(resource.RLIMIT_AS, limits["memory_bytes"])
    send(channel, {"ready": True})
    while (request := receive(channel)) is not None:
        reply = (
            shell.run(request["run"], keep=request["keep"])
            if "run" in request
            else call_in_fork(shell.user_ns, request["call"], limits)
        )
        send(channel, {"id": request["id"], **reply})


def _limit(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def call_in_fork(
    namespace: dict[str, Any], request: dict[str, Any], limits: dict[str, int]
) -> dict[str, Any]:
    """The driver's reply from a fork, or why there is none: `stopped` says it in words."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setpgid(0, 0)
            os.close(read_end)
            if torch := sys.modules.get(
                "torch"
            ):  # a fork has no other threads, and would wait for them
                torch.set_num_threads(1)
            with os.fdopen(write_end, "wb") as pipe:
                pipe.write(json.dumps(driver.call(namespace, request)).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    try:
        raw, why = read_bounded(read_end, limits["call_seconds"], limits["reply_bytes"])
    finally:
        os.close(read_end)
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError):
                kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    if why:
        return {"stopped": why}
    if not raw:
        return {"stopped": "the process ended without an answer " + _ending(status)}
    return {"reply": raw.decode(errors="replace")}


def _ending(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"({signal.Signals(os.WTERMSIG(status)).name}: a crash, or more memory than allowed)"
    return "(it called an exit function)"


def read_bounded(descriptor: int, seconds: float, size: int) -> tuple[bytes, str]:
    """All bytes until the end of the file, and the reason if a bound stopped the reading first."""
    deadline = time.monotonic() + seconds
    raw = bytearray()
    while True:
        ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return bytes(raw), f"stopped after {seconds:g} s"
        chunk = os.read(descriptor, 1 << 16)
        if not chunk:
            return bytes(raw), ""
        raw += chunk
        if len(raw) > size:
            return bytes(raw), f"stopped: it returned more than {size // 1_000_000} MB"


def send(channel: socket.socket, message: dict[str, Any]) -> None:
    """One message: its length in four bytes, then JSON."""
    raw = json.dumps(message).encode()
    channel.sendall(struct.pack(">I", len(raw)) + raw)


def receive(channel: socket.socket) -> dict[str, Any] | None:
    """The next message of the trusted side, None once it has closed the channel."""
    header = channel.recv(4, socket.MSG_WAITALL)
    if len(header) < 4:
        return None
    return json.loads(channel.recv(struct.unpack(">I", header)[0], socket.MSG_WAITALL))


def main() -> None:
    """Start from the descriptor and the limits that the trusted side gives on the command line."""
    sys.argv, arguments = [""], sys.argv[1:]
    channel = socket.socket(fileno=int(arguments[0]))
    serve(channel, json.loads(arguments[1]))
