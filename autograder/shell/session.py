"""The trusted side of a student's process: start it, run cells, make calls, and believe nothing.

A `Session` is where the sandbox and the warm parent will go: both only change how the process is
started (`Session._start`); everything above speaks to it through `run` and `call`.
"""

import contextlib
import json
import os
import secrets
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from autograder.shell.inside import wire

INSIDE = Path(__file__).parent
GRACE = 5.0  # seconds a healthy process may take to report that it stopped a call
BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from inside.serve import main; main()"


@dataclass(frozen=True)
class Limits:
    """What a submission may use. Seconds are wall clock, sizes are bytes."""

    start_seconds: float = 120
    cell_seconds: float = 10
    call_seconds: float = 10
    notebook_seconds: float = 180
    memory_bytes: int = 8_000_000_000
    file_bytes: int = 64_000_000
    reply_bytes: int = 16_000_000


class Stopped(Exception):
    """The process was ended, or ended itself; the text says why, in the student's terms."""


class Session:
    """One process that holds one student's state."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._scratch = tempfile.mkdtemp(prefix="session-")
        self._channel, theirs = socket.socketpair()
        self._broken = ""  # why the process is not asked again
        self._process = self._start(theirs)
        theirs.close()
        try:
            self._receive(limits.start_seconds)
        except Stopped as error:
            self.close()
            raise RuntimeError(
                "the student process did not start; run `autograder doctor`"
            ) from error

    def _start(self, theirs: socket.socket) -> subprocess.Popen:
        """Start the process in a session of its own, with a bare environment and an empty folder."""
        scratch = self._scratch
        environment = {
            "PATH": os.defpath,
            "HOME": scratch,
            "TMPDIR": scratch,
            "IPYTHONDIR": scratch,
            "MPLCONFIGDIR": scratch,
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
            "CUDA_VISIBLE_DEVICES": "",
            # One thread: a fork after a parallel region would hang, and a class uses the cores better.
            **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
        }
        arguments = [str(INSIDE), str(theirs.fileno()), json.dumps(asdict(self.limits))]
        return subprocess.Popen(
            [sys.executable, "-I", "-c", BOOT, *arguments],
            cwd=scratch,
            env=environment,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process and all it left in its process group, and remove its folder."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._channel.close()
        # Not TemporaryDirectory's own cleanup: a deep enough tree overflows its recursion.
        subprocess.run(["rm", "-rf", "--", self._scratch], check=False)

    def run(self, source: str, keep: bool = True) -> dict[str, Any]:
        """Run one cell: `outputs` (unchecked) and `success`. Raises Stopped when the process had to end.

        Unless `keep`, the names that the cell binds are forgotten again.
        """
        return self._ask({"run": source, "keep": keep}, self.limits.cell_seconds)

    def call(self, request: dict[str, Any]) -> dict[str, Any]:
        """The driver's reply to `request` (see `inside.driver`), decoded; Stopped when there is none."""
        answer = self._ask({"call": request}, self.limits.call_seconds + GRACE)
        if "reply" not in answer:
            raise Stopped(str(answer.get("stopped", "it broke the protocol"))[:200])
        return decode_reply(wire.loads(str(answer["reply"]).encode(errors="replace")))

    def _ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        # The id cannot be guessed, so nothing written ahead on the channel passes for an answer.
        identity = secrets.token_hex(8)
        raw = json.dumps({"id": identity, **request}).encode()
        if self._broken:
            raise Stopped(self._broken)
        try:
            self._channel.settimeout(seconds)  # a process that does not read holds nobody up
            self._channel.sendall(struct.pack(">I", len(raw)) + raw)
            answer = self._receive(seconds)
            if answer.get("id") != identity:
                raise Stopped("the process broke the protocol")
        except OSError as error:
            self._broken = "the process had ended, or did not listen"
            raise Stopped(self._broken) from error
        except (Stopped, wire.WireError) as error:
            self._broken = str(error)  # from here on nothing on the channel could be told apart
            raise
        return answer

    def _receive(self, seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        size = struct.unpack(">I", self._read(4, deadline, seconds))[0]
        if size > 2 * self.limits.reply_bytes:
            raise Stopped("it sent more than allowed")
        answer = wire.loads(self._read(size, deadline, seconds))
        if not isinstance(answer, dict):
            raise Stopped("the process broke the protocol")
        return answer

    def _read(self, size: int, deadline: float, seconds: float) -> bytes:
        raw = bytearray()
        while len(raw) < size:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([self._channel], [], [], left)[0]:
                raise Stopped(f"stopped after {seconds:g} s")
            chunk = self._channel.recv(min(1 << 16, size - len(raw)))
            if not chunk:
                raise Stopped("the process ended itself, or used more memory than allowed")
            raw += chunk
        return bytes(raw)


def decode_reply(tree: Any) -> dict[str, Any]:
    """A driver's reply with its values decoded and every part checked."""
    try:
        return _decode_reply(tree)
    except RecursionError as error:
        raise wire.WireError("a reply is nested too deeply") from error


def _decode_reply(tree: Any) -> dict[str, Any]:
    if not isinstance(tree, dict):
        raise wire.WireError("a reply is not of the protocol's form")
    forbidden = tree.get("forbidden", [])
    if not isinstance(forbidden, list) or not all(isinstance(name, str) for name in forbidden):
        raise wire.WireError("a reply is not of the protocol's form")
    reply: dict[str, Any] = {"forbidden": [wire.plain(name, 200) for name in forbidden[:100]]}
    if "error" in tree:
        error = tree["error"] if isinstance(tree["error"], dict) else {}
        texts = {k: wire.plain(error.get(k, ""), 1000) for k in ("type", "message", "line")}
        return reply | {"error": texts}
    held = tree.get("held")
    reply["held"] = held if type(held) is int else None
    reply["value"] = wire.decode(tree.get("value"))
    for part in ("arguments_after", "gradients"):
        content = tree.get(part, {})
        if not isinstance(content, dict):
            raise wire.WireError("a reply is not of the protocol's form")
        reply[part] = {str(name): wire.decode(value) for name, value in content.items()}
    return reply
