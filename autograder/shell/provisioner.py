"""The sandbox for any Jupyter client: a kernel provisioner that forks kernels off the warm parent.

A kernelspec names it (see `autograder.kernelspec`); nbclient, nbconvert, nbgrader's own Execute and
JupyterLab then run notebooks in it and know nothing of it. The limits are those of a hand-in, except
that no time is set for a cell or a notebook: those are the client's own.
"""

import asyncio
import contextlib
import json
import logging
import os
import select
import signal
import socket
import struct
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning import KernelProvisionerBase
from traitlets import Dict, TraitError, validate

from autograder.shell.limits import Limits
from autograder.shell.sandbox import Bubblewrap
from autograder.shell.warm import NotStarted, warm_parent

CHANNELS = ("shell", "iopub", "stdin", "control", "hb")  # the order of `inside.kernel`
ITS_OWN_THREADS = 16  # ipykernel's and ZeroMQ's; they count as processes
LOOK = 1.0  # seconds between two looks at a kernel's memory; one takes about 10 ms


class SandboxProvisioner(KernelProvisionerBase):
    """Gives each kernel a bubblewrap sandbox of its own; nothing in it outlives the kernel or the client."""

    limits = Dict(help="What differs from `Limits`, by its names, such as memory_bytes.").tag(
        config=True
    )
    _kernel: "Kernel | None" = None

    @validate("limits")
    def _known(self, proposal: dict[str, Any]) -> dict[str, Any]:
        names = {field.name for field in fields(Limits)}
        if unknown := set(proposal["value"]) - names:
            raise TraitError(f"unknown limits {sorted(unknown)}: name some of {sorted(names)}")
        return proposal["value"]

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Make the client speak through unix sockets, in a folder that only its own user can enter."""
        manager = self.parent
        parent = await _in_starter(warm_parent, self._limits().start_seconds, "kernel")
        manager.transport, manager.ip = "ipc", str(parent.folder / self.kernel_id)
        for port, name in enumerate(CHANNELS, 1):
            setattr(manager, f"{name}_port", port)
        manager.write_connection_file()
        self.connection_info = manager.get_connection_info()
        return await super().pre_launch(cmd=kwargs.pop("extra_arguments", []), **kwargs)

    async def launch_kernel(self, cmd: list[str], **_: Any) -> KernelConnectionInfo:
        """Fork the kernel; `cmd` is only what ipykernel gets as its arguments."""
        self._kernel = await _in_starter(
            Kernel, self._limits(), self.connection_info, cmd, self.log
        )
        return self.connection_info

    def _limits(self) -> Limits:
        return Limits(**{**asdict(Limits()), **self.limits})

    @property
    def has_process(self) -> bool:
        """Whether there is a kernel that has not been waited for."""
        return self._kernel is not None

    async def poll(self) -> int | None:
        """None while anything of the kernel is there, then a number without a meaning."""
        if self._kernel is None:
            return 0
        return None if self._kernel.running() else 1

    async def wait(self) -> int | None:
        """Wait until nothing of the kernel is left."""
        while (code := await self.poll()) is None:
            await asyncio.sleep(0.05)
        self._kernel = None
        return code

    async def send_signal(self, signum: int) -> None:
        """Send a signal to the kernel and the processes of its group, as an interrupt does."""
        if self._kernel is not None:
            self._kernel.signal(signum)

    async def kill(self, restart: bool = False) -> None:
        """End the kernel and with it everything in its sandbox."""
        await self.send_signal(signal.SIGKILL)

    async def terminate(self, restart: bool = False) -> None:
        """Ask the kernel to end."""
        await self.send_signal(signal.SIGTERM)

    async def cleanup(self, restart: bool = False) -> None:
        """Nothing is left: the sandbox went with the kernel, the sockets' files with the manager."""


@cache
def _starter(_: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="kernel-starter")


async def _in_starter(work: Any, *arguments: Any) -> Any:
    """Do it in the one thread of this process that starts kernels, without holding up the event loop.

    bubblewrap ends with the thread that started it, so that thread lives as long as the client does.
    """
    loop = asyncio.get_running_loop()
    try:
        return await loop.run_in_executor(_starter(os.getpid()), work, *arguments)
    except NotStarted as error:
        raise NotStarted(
            f"No sandbox for the kernel ({error}): install Debian's package bubblewrap, or choose another kernel."
        ) from error


class Kernel:
    """A running kernel. A thread of its own ends the sandbox when the kernel has ended or is too large."""

    def __init__(
        self,
        limits: Limits,
        info: KernelConnectionInfo,
        arguments: list[str],
        log: logging.Logger,
    ) -> None:
        self._most, self._log = limits.memory_bytes, log
        limits = replace(limits, processes=limits.processes + ITS_OWN_THREADS)
        ours, theirs = socket.socketpair()
        with ours, contextlib.ExitStack() as undo:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            ours.settimeout(limits.start_seconds)
            seed = int.from_bytes(os.urandom(4))
            with theirs:
                self._sandbox = Bubblewrap(theirs, limits, seed, "kernel")
            undo.callback(self._sandbox.close)
            self._pid = _answer(ours, "ready")
            self._handle = os.pidfd_open(self._pid)
            weakref.finalize(self, os.close, self._handle)
            _connect(ours, info, arguments)
            _answer(ours, "listening")
            undo.pop_all()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        ended = select.poll()
        ended.register(self._handle, select.POLLIN)
        while not ended.poll(LOOK * 1000):
            if self._sandbox.memory() > self._most:
                gigabytes = self._most / 1e9
                self._log.error("Kernel ended: it used more than %g GB of memory", gigabytes)
                break
        self._sandbox.close()

    def running(self) -> bool:
        """Whether anything of it is left."""
        return self._thread.is_alive()

    def signal(self, number: int) -> None:
        """Send a signal to its group of processes; one that has ended is left in peace."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, 0)
            if number == signal.SIGKILL:
                signal.pidfd_send_signal(self._handle, number)
            else:
                os.killpg(self._pid, number)


def _answer(channel: socket.socket, wanted: str) -> int:
    """Read the one message that is expected now; who sent it is told by the operating system."""
    try:
        said, about, _, _ = channel.recvmsg(1 << 16, socket.CMSG_SPACE(12))
    except TimeoutError:
        raise NotStarted("the kernel did not start in the time allowed") from None
    if not said:
        raise NotStarted("the kernel ended while it started")
    message = json.loads(said[4:])
    if wanted not in message:
        raise NotStarted(f"the kernel did not start: {message.get('failed', message)}")
    return struct.unpack("iII", about[0][2])[0]


def _connect(channel: socket.socket, info: KernelConnectionInfo, arguments: list[str]) -> None:
    """Open the sockets that clients connect to and hand them to the kernel."""
    shown = {**info, "key": info["key"].decode()}
    raw = json.dumps({"info": shown, "arguments": arguments}).encode()
    with contextlib.ExitStack() as stack:
        listening = []
        for name in CHANNELS:
            path = Path(f"{info['ip']}-{info[f'{name}_port']}")
            path.parent.mkdir(mode=0o700, exist_ok=True)
            path.unlink(missing_ok=True)
            listening.append(stack.enter_context(socket.socket(socket.AF_UNIX)))
            listening[-1].bind(str(path))
            listening[-1].listen(100)
        channel.sendall(struct.pack(">I", len(raw)) + raw)
        socket.send_fds(channel, [b"!"], [opened.fileno() for opened in listening])
