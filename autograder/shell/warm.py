"""The trusted side of the warm parent (`inside.warm`): one for each grading process, started when first needed."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
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
    """The process that every hand-in of this grading process is a fork of.

    `kind` names the module of `inside` that says what a fork does: `serve` cells, or be a Jupyter `kernel`.
    """

    def __init__(self, seconds: float, kind: str = "serve") -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="warm-")
        self.folder = Path(self._folder.name)
        self._one_at_a_time = threading.Lock()
        self._control, theirs = socket.socketpair()
        self._process = subprocess.Popen(
            command("warm", str(theirs.fileno()), kind),
            cwd=self._folder.name,
            env=environment(self._folder.name),
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        theirs.close()
        self._control.settimeout(seconds)
        try:
            ready = self._control.recv(1)
        except OSError:
            ready = b""
        if not ready:
            self._process.kill()
            said = self._process.communicate()[1].decode(errors="replace").strip().splitlines()
            raise NotStarted(
                said[-1] if said else f"the warm parent was not ready in {seconds:g} s"
            )

    def alive(self) -> bool:
        """Whether it can still fork."""
        return self._process.poll() is None

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
        """End it; the processes it forked end with their sessions."""
        self._control.close()
        self._process.kill()
        self._process.communicate()
        with contextlib.suppress(OSError):
            self._folder.cleanup()


_lock = threading.Lock()
_parents: dict[tuple[int, str], WarmParent] = {}  # by the process that started it, and kind


def warm_parent(seconds: float, kind: str = "serve") -> WarmParent:
    """The warm parent of this process, started if there is none or it has ended."""
    key = os.getpid(), kind
    with _lock:
        if key not in _parents or not _parents[key].alive():
            _parents[key] = WarmParent(seconds, kind)
        return _parents[key]
