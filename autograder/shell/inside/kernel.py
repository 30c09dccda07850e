"""A Jupyter kernel in a fork of the warm parent: ipykernel, on sockets that the trusted side has opened.

The sandbox has no network and no folder in common with the client, so the five listening sockets come
as descriptors and the rest of the connection as data: there is no connection file.
"""

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zmq
from ipykernel.heartbeat import Heartbeat
from ipykernel.kernelapp import IPKernelApp
from matplotlib_inline.backend_inline import select_figure_formats
from traitlets import Dict

from . import serve as cells
from .cells import Shell
from .channel import Channel

# What ipykernel and IPython would load in each kernel anew.
FIRST_USE = (
    "ipykernel.debugger",
    "ipykernel.ipkernel",
    "ipykernel.zmqshell",
    "IPython.core.debugger",
    "IPython.extensions.storemagic",
    "IPython.core.completer",
)
CHANNELS = ("shell", "iopub", "stdin", "control", "hb")


def prepare() -> None:
    """Load what a notebook needs. The shell is the kernel's own, made in the fork."""
    cells.prepare()
    Shell.clear_instance()
    sys.modules["debugpy"] = None  # it needs a network; ipykernel then offers no debugger
    for module in FIRST_USE:
        importlib.import_module(module)


def serve(channel: Channel, _: None, limits: dict[str, float], seed: int) -> None:
    """Be a kernel until it is shut down: confined first, then connected, then listening."""
    np.random.seed(seed)  # without it all forks would draw the same
    torch.manual_seed(seed)
    channel.send({"ready": True})
    connection = channel.receive()
    descriptors = channel.receive_descriptors(len(CHANNELS))
    app = App.instance(
        connection=connection["info"],
        listening={
            connection["info"][f"{name}_port"]: descriptor
            for name, descriptor in zip(CHANNELS, descriptors, strict=True)
        },
    )
    Path(".ipython").mkdir()
    app.ipython_dir = ".ipython"
    app.config.HistoryManager.hist_file = ":memory:"
    app.initialize(connection["arguments"])
    # Figures as a notebook shows them; for the second shell of a process the formats are ours to set.
    app.shell.enable_matplotlib("inline")
    select_figure_formats(app.shell, {"png"})
    app.shell.system = app.shell.system_raw  # `!ls` without a terminal, which it may not have
    channel.send({"listening": True})
    app.start()


class App(IPKernelApp):
    """ipykernel's application on given sockets; `listening` maps a port's number to a descriptor."""

    connection = Dict()
    listening = Dict()

    def init_connection_file(self) -> None:
        """Take the connection as it was given."""
        self.load_connection_info(self.connection)

    def write_connection_file(self, **_: Any) -> None:
        """Write none: the client has its own."""

    def _bind_socket(self, s: zmq.Socket, port: int) -> int:
        bind(s, self.listening[port], self.ip, port)
        return port

    def init_control(self, context: zmq.Context) -> None:
        """Without the debugger's way back to the shell: its address means nothing in here."""
        super().init_control(context)
        self.debug_shell_socket.disconnect(self.debug_shell_socket.getsockopt(zmq.LAST_ENDPOINT))

    def init_heartbeat(self) -> None:
        """Start the heart beating."""
        self.heartbeat = GivenHeartbeat(zmq.Context(), ("ipc", self.ip, self.hb_port))
        self.heartbeat.descriptor = self.listening[self.hb_port]
        self.heartbeat.start()


class GivenHeartbeat(Heartbeat):
    """ipykernel's heartbeat on a given socket."""

    descriptor: int

    def _bind_socket(self) -> None:
        bind(self.socket, self.descriptor, self.ip, self.port)


def bind(zmq_socket: zmq.Socket, descriptor: int, path: str, port: int) -> None:
    """Have ZeroMQ accept clients on a socket that listens already; the path is only its name."""
    zmq_socket.setsockopt(zmq.USE_FD, descriptor)
    zmq_socket.bind(f"ipc://{path}-{port}")
