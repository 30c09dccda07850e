"""The trusted side of the warm parent (`inside.warm`): one for each grading process, started when first needed."""

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from autograder.shell.limits import Limits

INSIDE = Path(__file__).parent / "inside"
BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from inside.{} import main; main()"
# One thread each: a fork after a parallel region would hang, and a class uses the cores better.
ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


# One allocator with large pages: a fork copies the tables of all pages, and is twice as quick with fewer.
LARGE_PAGES = {"PYTHONMALLOC": "malloc", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}


class NotStarted(Exception):
    """A process that student code should run in could not be started; the text says why."""


def command(module: str, *arguments: str) -> list[str]:
    """How to start a module of `inside` in this Python, isolated from the user's own settings."""
    return [sys.executable, "-I", "-c", BOOT.format(module), str(INSIDE.parent), *arguments]


def environment(folder: str) -> dict[str, str]:
    """A bare environment: nothing of the grader's own, and every folder setting names `folder`."""
    return {
        "PATH": os.defpath,
        "HOME": folder,
        "TMPDIR": folder,
        "IPYTHONDIR": folder,
        "MPLCONFIGDIR": folder,
        "USER": "student",
        "LOGNAME": "student",
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "CUDA_VISIBLE_DEVICES": "",
        **dict.fromkeys(ONE_THREAD, "1"),
        **LARGE_PAGES,
    }


class WarmParent:
    """A connection to a process that hand-ins are forks of; `folder` is that process's own."""

    def __init__(self, control: socket.socket, folder: Path, seconds: float) -> None:
        self.folder = folder
        self._control = control
        self._seconds = seconds
        self._one_at_a_time = threading.Lock()
        self._ready = False

    def wait(self) -> bool:
        """Wait until it is ready; False where it ended, or took too long."""
        if not self._ready:
            self._control.settimeout(self._seconds)
            with contextlib.suppress(OSError):
                self._ready = bool(self._control.recv(1))
        return self._ready

    def alive(self) -> bool:
        """Whether it can still fork."""
        return not select.select([self._control], [], [], 0)[0]  # it says nothing unasked

    def fork(
        self,
        descriptors: dict[str, int],
        folder: str,
        limits: Limits,
        seed: int,
        processes: int | None,
        user: int | None,
    ) -> int:
        """Start one hand-in's process, which serves on descriptor `channel`; returns the fork's process id."""
        request = {
            "descriptors": list(descriptors),
            "folder": folder,
            "limits": asdict(limits),
            "seed": seed,
            "processes": processes,
            "user": user,
        }
        try:
            with self._one_at_a_time:
                message = json.dumps(request).encode()
                socket.send_fds(self._control, [message], list(descriptors.values()))
                return int(self._control.recv(64))
        except (OSError, ValueError) as error:
            raise NotStarted("the warm parent has ended") from error

    def close(self) -> None:
        """Hang up."""
        self._control.close()


class OwnWarmParent(WarmParent):
    """One that this process starts: everything a notebook imports is loaded in it, and it ends with this process.

    `kind` names the module of `inside` that says what a fork does: `serve` cells, or be a Jupyter `kernel`.
    """

    def __init__(self, seconds: float, kind: str = "serve") -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="warm-", ignore_cleanup_errors=True)
        ours, theirs = socket.socketpair()
        super().__init__(ours, Path(self._temporary.name), seconds)
        self.address = str(self.folder / "door")  # only its user may enter the folder
        door = socket.socket(socket.AF_UNIX)
        door.bind(self.address)
        door.listen()
        sockets = [theirs.fileno(), door.fileno()]
        self._process = subprocess.Popen(
            command("warm", *map(str, sockets), kind),
            cwd=self.folder,
            env=environment(self._temporary.name),
            pass_fds=sockets,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        theirs.close()
        door.close()

    def started(self) -> "OwnWarmParent":
        """Itself, once it is ready; NotStarted says why it is not."""
        if not self.wait():
            self._process.kill()
            said = self._process.communicate()[1].decode(errors="replace").strip().splitlines()
            raise NotStarted(
                said[-1] if said else f"the warm parent was not ready in {self._seconds:g} s"
            )
        return self

    def close(self) -> None:
        """End it; the processes it forked end with their sessions."""
        super().close()
        self._process.kill()
        self._process.communicate()
        self._temporary.cleanup()


_lock = threading.Lock()
_parents: dict[tuple[int, str], WarmParent] = {}  # by the process that connected to it, and kind


def warm_parent(seconds: float, kind: str = "serve") -> WarmParent:
    """The warm parent of this process, started if there is none or it has ended."""
    key = os.getpid(), kind
    with _lock:
        if key not in _parents or not _parents[key].alive():
            _parents[key] = OwnWarmParent(seconds, kind).started()
        return _parents[key]


@contextlib.contextmanager
def shared_warm_parent(seconds: float) -> Iterator[str]:
    """Start a warm parent that several processes can `share`; gives its address at once."""
    parent = OwnWarmParent(seconds)
    try:
        yield parent.address
    finally:
        parent.close()


def share(address: str, seconds: float) -> None:
    """Let this process's hand-ins be forks of the shared warm parent; where it has gone, of its own."""
    control = socket.socket(socket.AF_UNIX)
    parent = WarmParent(control, Path(address).parent, seconds)
    with contextlib.suppress(OSError):
        control.connect(address)
        if parent.wait():
            _parents[os.getpid(), "serve"] = parent
