"""A student's process: it runs cells as they come, and answers each question in a fork of itself.

Each question sees the student's finished state and can spoil nothing: an endless loop, a crash or a
full memory ends the fork and costs that question's calls only.
"""

import contextlib
import os
import random
import select
import signal
import struct
import sys
import time
from typing import Any

import matplotlib
import numpy as np
import torch

from . import driver, trap
from .cells import Outputs, Shell, Stream
from .channel import Channel

# Much is loaded only when it is first used; here it is, so that no fork has to.
FIRST_USE = (
    "import random\nimport numpy as np\nimport torch\nimport torch.nn.functional as F\nimport matplotlib.pyplot as plt",
    "np.random.seed(0)\ntorch.manual_seed(0)\nnp.linalg.norm(np.ones((2, 2)) @ np.ones((2, 2)))",
    "np.testing.assert_allclose(1, 1)\nF.conv1d(torch.ones(1, 1, 3), torch.ones(1, 1, 1)) @ torch.ones(3, 3)",
    "plt.plot([0, 1])\nplt.title('$x$')\nplt.show()",
    "def f(x):\n    raise NotImplementedError\nf(1)",
    "this is no Python",
)


def prepare() -> Shell:
    """The one shell of the process, as `display` expects. The warm parent makes it before any fork."""
    torch.set_num_threads(
        1
    )  # a fork after a parallel region would hang, and a class uses the cores better
    matplotlib.interactive(True)  # as in a notebook, where a figure needs no `plt.show()`
    shell = Shell.instance(Outputs())
    for source in FIRST_USE:
        shell.run(source, keep=False)
    trap.know_places()
    return shell


def serve(channel: Channel, shell: Shell, limits: dict[str, float], seed: int) -> None:
    """Answer requests (`run`, `ask`) on `channel` until it is closed."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed % 2**63)
    shell.outputs.most = int(limits["output_bytes"])
    sys.stdout, sys.stderr = Stream("stdout", shell.outputs), Stream("stderr", shell.outputs)
    channel.send({"ready": True})
    while (request := channel.receive()) is not None:
        reply = (
            shell.run(request["run"], keep=request["keep"])
            if "run" in request
            else answer(shell.user_ns, request["ask"], limits)
        )
        channel.send({"id": request["id"], **reply})


def answer(
    namespace: dict[str, Any], requests: list[dict[str, Any]], limits: dict[str, float]
) -> dict[str, Any]:
    """For each call its reply, as the fork sent it, or why there is none: `{"reply": …}` or `{"stopped": …}`.

    A call that ends the fork is answered for, and a new fork goes on with the next one; when the
    question's time is used up the calls that are left are not tried.
    """
    deadline = time.monotonic() + limits["check_seconds"]
    left = int(limits["reply_bytes"])
    answers: list[dict[str, Any]] = []
    while len(answers) < len(requests):
        if left < 0 or time.monotonic() > deadline:
            answers.append(
                {"stopped": "not tried: the calls before it had used up what is allowed"}
            )
            continue
        replies, why = answer_in_fork(namespace, requests[len(answers) :], deadline, left, limits)
        left -= sum(map(len, replies))
        answers += [{"reply": reply} for reply in replies]
        if why:
            answers.append({"stopped": why})
    return {"answers": answers}


def answer_in_fork(
    namespace: dict[str, Any],
    requests: list[dict[str, Any]],
    deadline: float,
    size: int,
    limits: dict[str, float],
) -> tuple[list[bytes], str]:
    """The driver's replies from one fork, in order, and why the one after them is missing, if it is."""
    read_end, write_end = os.pipe()
    try:
        child = os.fork()
    except OSError:
        os.close(read_end)
        os.close(write_end)
        return [], f"the {limits['processes']} processes it may have are all in use"
    if child == 0:
        try:
            os.setpgid(0, 0)
            os.close(read_end)
            torch.set_num_threads(1)  # a fork has no other threads, and would wait for them
            channel = Channel(read_end, write_end)
            for request in requests:
                channel.send(driver.call(namespace, request))
        finally:
            os._exit(0)
    os.close(write_end)
    replies: list[bytes] = []
    why = ""
    try:
        while len(replies) < len(requests) and not why:
            reply, why = read_message(read_end, deadline, size, limits)
            size -= len(reply)
            replies += [] if why else [reply]
    finally:
        os.close(read_end)
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    return replies, _ending(status) if why == ENDED else why


ENDED = "ended"


def read_message(
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
