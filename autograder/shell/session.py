"""The trusted side of a student's process: run cells, ask questions, and believe nothing.

A `Session` knows the protocol and the time; where the process runs is `sandbox`'s business.
"""

import secrets
import select
import socket
import struct
import time
from typing import Any

from autograder.shell import sandbox as sandboxes
from autograder.shell.inside import wire
from autograder.shell.limits import Limits
from autograder.shell.warm import NotStarted

GRACE = 5.0  # seconds a healthy process may take to report that it stopped a call
LOOK = 0.25  # seconds between two looks at a busy process's memory

Reply = dict[str, Any]


class Stopped(Exception):
    """The process was ended, or ended itself; the text says why, in the student's terms."""


class Session:
    """One process that holds one student's state."""

    def __init__(self, limits: Limits, sandbox: str = "bwrap", seed: int = 0) -> None:
        self.limits = limits
        self._broken = ""  # why the process is not asked again
        self._next_look = time.monotonic() + LOOK
        self._channel, theirs = socket.socketpair()
        try:
            self._process = sandboxes.start(sandbox, theirs, limits, seed)
        except BaseException:
            self._channel.close()
            raise
        finally:
            theirs.close()
        try:
            answer = self._receive(limits.start_seconds)
        except (Stopped, wire.WireError) as error:
            self.close()
            raise NotStarted(f"the sandbox {sandbox} gave no answer: {error}") from error
        if "ready" not in answer:
            self.close()
            raise NotStarted(f"the sandbox {sandbox}: {answer.get('failed', 'it did not start')}")

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process and all it left behind."""
        self._channel.close()
        self._process.close()

    @property
    def ended(self) -> bool:
        """Whether its process is asked no more, because it ended or was stopped."""
        return bool(self._broken)

    def run(self, source: str, keep: bool = True) -> dict[str, Any]:
        """Run one cell: `outputs` (unchecked) and `success`. Raises Stopped when the process had to end.

        Unless `keep`, the names that the cell binds are forgotten again.
        """
        return self._exchange({"run": source, "keep": keep}, self.limits.cell_seconds)

    def ask(self, requests: list[dict[str, Any]]) -> list[Reply]:
        """The replies to the calls of one question (see `inside.driver`), decoded, one for each.

        A call that was not answered has the reply `{"stopped": why}`; nothing that the student's code does raises.
        """
        try:
            question = {"ask": wire.dumps(requests), "calls": len(requests)}
            answer = self._exchange(question, self.limits.check_seconds + GRACE)
        except (Stopped, wire.WireError) as error:
            return [{"stopped": str(error)}] * len(requests)
        answers = answer.get("answers")
        if not isinstance(answers, list) or len(answers) != len(requests):
            return [{"stopped": "the process broke the protocol"}] * len(requests)
        return [_reply(answer) for answer in answers]

    def _exchange(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        # The id cannot be guessed, so nothing written ahead on the channel passes for an answer.
        identity = secrets.token_hex(8)
        raw = wire.dumps({"id": identity, **request})
        if self._broken:
            raise Stopped(self._broken)
        try:
            self._channel.settimeout(seconds)  # a process that does not read holds nobody up
            self._channel.sendall(struct.pack(">I", len(raw)))
            self._channel.sendall(raw)  # by itself: a model's weights need no further copy
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
        if size > self.limits.reply_bytes + (1 << 20):  # what the text adds
            raise Stopped("it sent more than allowed")
        answer = wire.loads(self._read(size, deadline, seconds))
        if not isinstance(answer, dict):
            raise Stopped("the process broke the protocol")
        return answer

    def _read(self, size: int, deadline: float, seconds: float) -> bytearray:
        raw = bytearray()
        while len(raw) < size:
            left = max(0.0, deadline - time.monotonic())
            answered = select.select([self._channel], [], [], min(left, LOOK))[0]
            self._look_at_memory()
            if not answered:
                if left <= LOOK:
                    raise Stopped(f"stopped after {seconds:g} s")
                continue
            chunk = self._channel.recv(min(1 << 16, size - len(raw)))
            if not chunk:
                raise Stopped(self._ended())
            raw += chunk
        return raw

    def _look_at_memory(self) -> None:
        """Also while answers come in time: what was started before may hoard in the background."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK
        if self._process.memory() > self.limits.memory_bytes:
            self._process.close()
            raise Stopped(
                f"stopped: it used more than {self.limits.memory_bytes / 1e9:g} GB of memory"
            )

    def _ended(self) -> str:
        limits = self.limits
        return (
            f"the process ended itself, or used more than {limits.memory_bytes / 1e9:g} GB of memory or "
            f"{limits.cpu_seconds:g} s of processor time"
        )


def _reply(answer: Any) -> Reply:
    """One call's reply, decoded, or `{"stopped": why}`."""
    if not isinstance(answer, dict):
        return {"stopped": "the process broke the protocol"}
    reply = answer.get("reply")
    if not isinstance(reply, wire.Bytes):
        return {"stopped": wire.plain(answer.get("stopped", "it broke the protocol"), 200)}
    try:
        return decode_reply(wire.loads(bytes(reply)))
    except wire.WireError as error:
        return {"stopped": f"the answer could not be read: {error}"}


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
    for part in ("changed", "gradients"):
        content = tree.get(part, {})
        if not isinstance(content, dict):
            raise wire.WireError("a reply is not of the protocol's form")
        reply[part] = {str(name): wire.decode(value) for name, value in content.items()}
    return reply
