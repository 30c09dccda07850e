"""Questions are answered in forks of the student's finished state, never in the process that holds it.

An endless loop, a crash or a full memory ends the fork and costs that question's calls only. A fork goes on with
the next question while it is as it was before the first one; otherwise that one gets a new fork.
"""

import contextlib
import os
import select
import signal
import struct
import time
from typing import Any

import torch

from . import driver
from .channel import Channel
from .state import State
from .trap import trapped
from .wire import Bytes

ENDED = "ended"


class Fork:
    """A fork that answers questions as they come."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        """Raises OSError where there may be no more processes."""
        read_questions, write_questions = os.pipe()
        self._replies, write_replies = os.pipe()
        theirs, ours = (read_questions, write_replies), (write_questions, self._replies)
        try:
            self._pid = os.fork()
        except OSError:
            _close(*theirs, *ours)
            raise
        if self._pid == 0:
            try:
                os.setpgid(0, 0)
                _close(*ours)
                torch.set_num_threads(1)  # a fork has no other threads, and would wait for them
                _answer(namespace, Channel(*theirs))
            finally:
                os._exit(0)
        _close(*theirs)
        self._questions = write_questions

    def ask(
        self, question: Bytes, calls: range, deadline: float, size: int, limits: dict[str, float]
    ) -> tuple[list[bytes], str]:
        """The driver's replies to those calls, and why the one after them is missing, if it is: it has ended then."""
        replies: list[bytes] = []
        why, same = "", b""
        with contextlib.suppress(BrokenPipeError):  # reading tells that it ended
            channel = Channel(-1, self._questions)
            channel.send(calls.start)
            channel.send_raw(question)
        while len(replies) < len(calls) and not why:
            reply, why = _read_message(self._replies, deadline, size, limits)
            size -= len(reply)
            replies += [] if why else [reply]
        if not why:
            same, _ = _read_message(self._replies, deadline, 100, limits)
        if same != b"true":
            status = self.end()
            why = _ending(status) if why == ENDED else why
        return replies, why

    @property
    def ended(self) -> bool:
        """Whether it is gone."""
        return self._pid == 0

    def end(self) -> int:
        """End it, and those it started that did not leave its group; its status, as `os.waitpid` gives it."""
        _close(self._questions, self._replies)
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(self._pid, signal.SIGKILL)
        _, status = os.waitpid(self._pid, 0)
        self._pid = 0
        return status


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _answer(namespace: dict[str, Any], channel: Channel) -> None:
    """In the fork: reply to each call of each question, and then tell whether the state is as it was."""
    state = State(namespace)
    while (first := channel.receive()) is not None:
        requests = channel.receive()[first:]
        state.draw_again()
        with trapped(requests[0].get("forbidden", ()), namespace):
            for request in requests:
                channel.send(driver.call(namespace, request))
        channel.send(state.same())


class Answerer:
    """Answers questions about one namespace."""

    def __init__(self, namespace: dict[str, Any], limits: dict[str, float]) -> None:
        self._namespace, self._limits = namespace, limits
        self._fork: Fork | None = None

    def forget(self) -> None:
        """The namespace is about to change."""
        if self._fork:
            self._fork.end()
        self._fork = None

    def answer(self, question: Bytes, calls: int) -> dict[str, Any]:
        """For each call its reply, as the fork sent it, or why there is none: `{"reply": …}` or `{"stopped": …}`.

        A call that ends the fork is answered for, and a new fork goes on with the next one; when the
        question's time is used up the calls that are left are not tried.
        """
        deadline = time.monotonic() + self._limits["check_seconds"]
        left = int(self._limits["reply_bytes"])
        answers: list[dict[str, Any]] = []
        while len(answers) < calls:
            if left < 0 or time.monotonic() > deadline:
                why = "not tried: the calls before it had used up what is allowed"
                answers.append({"stopped": why})
                continue
            fresh = self._fork is None
            replies, why = self._ask(question, range(len(answers), calls), deadline, left)
            if why and not fresh and time.monotonic() < deadline:
                continue  # the questions before this one may have had a part in it
            left -= sum(map(len, replies))
            answers += [{"reply": reply} for reply in replies]
            if why:
                answers.append({"stopped": why})
        return {"answers": answers}

    def _ask(
        self, question: Bytes, calls: range, deadline: float, left: int
    ) -> tuple[list[bytes], str]:
        try:
            fork = self._fork or Fork(self._namespace)
        except OSError:
            return [], f"the {self._limits['processes']} processes it may have are all in use"
        replies, why = fork.ask(question, calls, deadline, left, self._limits)
        self._fork = None if fork.ended else fork
        return replies, why


def _read_message(
    descriptor: int, deadline: float, size: int, limits: dict[str, float]
) -> tuple[bytes, str]:
    """The next message of at most `size` bytes, or why there is none (`ENDED`: the process is gone)."""
    raw, wanted = bytearray(), 4
    while len(raw) < wanted:
        ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return b"", f"stopped after {limits['check_seconds']:g} s"
        chunk = os.read(descriptor, min(1 << 20, wanted - len(raw)))
        if not chunk:
            return b"", ENDED
        raw += chunk
        if wanted == 4 == len(raw):
            wanted += struct.unpack(">I", raw)[0]
            if wanted > size:
                return b"", f"stopped: it returned more than {limits['reply_bytes'] / 1e6:g} MB"
    return bytes(raw[4:]), ""


def _ending(status: int) -> str:
    text = "the process ended without an answer "
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU:
        return text + "(it used more processor time than allowed)"
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return text + "(SIGKILL: more memory than allowed, or it ended itself)"
    if os.WIFSIGNALED(status):
        return text + f"({signal.Signals(os.WTERMSIG(status)).name}: a crash)"
    return text + "(it called an exit function)"
