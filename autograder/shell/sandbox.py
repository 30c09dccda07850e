"""Where a hand-in's process runs: in bubblewrap, in a container, or (named on purpose) under limits only."""

import contextlib
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Protocol

from autograder.shell.container import ENGINES, Container, unusable
from autograder.shell.limits import Limits
from autograder.shell.warm import INSIDE, NotStarted, warm_parent

SANDBOXES = ("bwrap", "docker", "podman", "none")
ADVICE = "install Debian's package bubblewrap, or name another sandbox (--sandbox docker, podman or none)"
FOLDER = "/hand-in"  # its own, the only one it can write to
FIRST_USER = 0x70000000  # as root each hand-in is a user of its own, far from those that exist
PAGE = os.sysconf("SC_PAGE_SIZE")
NAMESPACES = ("pid", "net", "ipc", "uts", "mnt")
# Of an installation: its programs and libraries, and not whatever else lies in the same folder.
OF_PYTHON = ("bin", "lib", "lib64", "pyvenv.cfg")
OF_SYSTEM = (
    "/usr/bin",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/share/zoneinfo",
    "/bin",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/alternatives",
)


class Confined(Protocol):
    """A started process: it serves on the descriptor it was given until it is closed."""

    def memory(self) -> int:
        """Bytes that all of its processes hold together; pages they share are divided up."""

    def close(self) -> None:
        """End it and all that it started; nothing of it is left."""


def start(name: str, channel: socket.socket, limits: Limits, seed: int) -> Confined:
    """Start a hand-in's process in the sandbox of that name; NotStarted says why there is none."""
    if name == "bwrap":
        return Bubblewrap(channel, limits, seed)
    if name in ENGINES:
        return Container(name, channel, limits, seed)
    if name == "none":
        return Unconfined(channel, limits, seed)
    raise NotStarted(f"unknown sandbox {name}: name one of {', '.join(SANDBOXES)}")


@cache
def available(name: str) -> str:
    """Why that sandbox cannot be used here, in words; empty where it can."""
    if name == "none":
        return ""
    if name in ENGINES:
        return unusable(name)
    program = shutil.which(name)
    if program is None:
        return f"{name} is not installed: {ADVICE}"
    ours, theirs = socket.socketpair()
    try:
        with contextlib.closing(start(name, theirs, Limits(), 0)):
            theirs.close()
            ours.settimeout(60)
            said = ours.recv(1 << 12)
    except (NotStarted, OSError) as error:
        return f"{name} does not work here ({error}): {ADVICE}"
    finally:
        ours.close()
    return "" if b'"ready"' in said else f"{name} does not work here ({_reason(said)}): {ADVICE}"


def _reason(said: bytes) -> str:
    try:
        return str(json.loads(said[4:])["failed"])[:300]
    except (ValueError, KeyError, TypeError):
        return "its process ended at once"


class Bubblewrap:
    """A fork of the warm parent in namespaces of its own, which bubblewrap makes and ends.

    bubblewrap holds the namespaces open around a program that does nothing; the fork joins them. When that
    program is killed, or the grader ends, the kernel ends every process in them.
    """

    def __init__(
        self, channel: socket.socket, limits: Limits, seed: int, kind: str = "serve"
    ) -> None:
        self._limits = limits
        parent = warm_parent(limits.start_seconds, kind)
        self._process, self._inner = _bubblewrap(limits.start_seconds)
        try:
            with _namespaces(self._inner) as descriptors:
                self._inode = os.fstat(descriptors["pid"]).st_ino
                parent.fork(
                    {"channel": channel.fileno(), **descriptors},
                    FOLDER,
                    limits,
                    seed,
                    _processes(limits),
                    None if os.geteuid() else FIRST_USER + self._inner,
                )
        except BaseException:
            self.close()
            raise

    def memory(self) -> int:
        """See Confined."""
        return _memory([pid for pid in _pids() if _inode(pid) == self._inode], self._limits)

    def close(self) -> None:
        """See Confined."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._inner, signal.SIGKILL)
            self._process.communicate()  # it ends once the kernel has ended all in the namespace


def _bubblewrap(seconds: float) -> tuple[subprocess.Popen, int]:
    """bubblewrap around a program that waits, once all is in place; and that program's process id."""
    read_end, write_end = os.pipe()
    try:
        process = subprocess.Popen(
            [*_arguments(), "--info-fd", str(write_end), "sh", "-c", "echo; exec cat"],
            pass_fds=[write_end],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": os.defpath},
        )
    except OSError as error:
        os.close(read_end)
        raise NotStarted(str(error)) from error
    finally:
        os.close(write_end)
    with os.fdopen(read_end) as information:
        if not process.stdout.read(1):
            said = process.communicate()[1].decode(errors="replace").strip()
            raise NotStarted(said.splitlines()[-1] if said else "bubblewrap ended at once")
        return process, int(json.loads(information.read())["child-pid"])


def _arguments() -> list[str]:
    """What bubblewrap is told: nothing is seen but programs and libraries, all read-only."""
    found = ["bwrap", "--die-with-parent", "--unshare-pid", "--unshare-net", "--unshare-ipc"]
    found += ["--unshare-uts", "--hostname", "sandbox"]
    if os.geteuid():
        found += ["--unshare-user", "--uid", "65534", "--gid", "65534"]
    for path in map(Path, OF_SYSTEM):
        if path.is_symlink() and path.parent == Path("/"):
            found += ["--symlink", str(path.readlink()), str(path)]
        elif path.exists():
            found += _bind(path)
    prefixes = [Path(prefix) for prefix in dict.fromkeys((sys.base_prefix, sys.prefix))]
    for prefix in prefixes:
        for part in OF_PYTHON:
            found += _bind(prefix / part) if (prefix / part).exists() else []
    # The grader itself may be installed among the libraries: nothing of it is seen but `inside`.
    package = INSIDE.parent.parent
    if any(package.is_relative_to(prefix / "lib") for prefix in prefixes):
        found += ["--tmpfs", str(package)]
    found += _bind(INSIDE)
    found += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/dev/shm", "--dir", FOLDER]
    if not any(path.startswith("/tmp/") for path in found):  # the installation itself may lie there
        found += ["--symlink", FOLDER, "/tmp"]
    return [*found, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/"]


def _bind(path: Path) -> list[str]:
    """The same path inside, read-only; the folders above it are made so that every user can pass."""
    above = [part for folder in reversed(path.parents[:-1]) for part in ("--dir", str(folder))]
    return [*above, "--ro-bind", str(path.resolve()), str(path)]


@contextlib.contextmanager
def _namespaces(pid: int) -> Iterator[dict[str, int]]:
    """Descriptors of the namespaces of a process, by name; `user` only where it has one of its own."""
    names = (*NAMESPACES, "user") if os.geteuid() else NAMESPACES
    with contextlib.ExitStack() as stack:
        found = {}
        for name in names:
            found[name] = os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY)
            stack.callback(os.close, found[name])
        yield found


def _processes(limits: Limits) -> int:
    """The kernel's limit on processes: it counts a namespace's own since Linux 5.14, all of the user's before."""
    release = tuple(int(part) for part in platform.release().split("-")[0].split(".")[:2])
    others = 0 if os.geteuid() == 0 or release >= (5, 14) else sum(map(_is_mine, _pids()))
    return limits.processes + others


class Unconfined:
    """A fork of the warm parent under limits only: it has the rights of whoever runs the grader."""

    def __init__(self, channel: socket.socket, limits: Limits, seed: int) -> None:
        self._limits = limits
        self.folder = tempfile.mkdtemp(prefix="hand-in-")
        parent = warm_parent(limits.start_seconds)
        self._pid = parent.fork(
            {"channel": channel.fileno()}, self.folder, limits, seed, None, None
        )

    def memory(self) -> int:
        """See Confined."""
        return _memory([pid for pid in _pids() if _session(pid) == self._pid], self._limits)

    def close(self) -> None:
        """See Confined; a process that left its session on purpose is not found."""
        while left := [pid for pid in _pids() if _session(pid) == self._pid]:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.002)
        # Not shutil.rmtree: a deep enough tree overflows its recursion.
        subprocess.run(["rm", "-rf", "--", self.folder], check=False)


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - quicker


def _inode(pid: int) -> int:
    """The inode of a process's namespace of processes, 0 where it cannot be read."""
    try:
        return os.stat(f"/proc/{pid}/ns/pid").st_ino  # noqa: PTH116 - quicker
    except OSError:
        return 0


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def _is_mine(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}").stat().st_uid == os.geteuid()
    except OSError:
        return False


def _memory(pids: list[int], limits: Limits) -> int:
    """Bytes that the processes hold together; what they share is divided up where the limit is near."""
    resident = sum(_resident(pid) for pid in pids)
    near = resident > limits.memory_bytes
    return sum(_proportional(pid) for pid in pids) if near else resident


def _resident(pid: int) -> int:
    """Bytes of a process in memory, with all that it shares: quick to ask for."""
    fields = _read(f"/proc/{pid}/statm").split()
    return int(fields[1]) * PAGE if fields else 0


def _proportional(pid: int) -> int:
    """Bytes that a process holds, with its share of what it has in common with others."""
    lines = _read(f"/proc/{pid}/smaps_rollup").splitlines()
    return sum(
        int(line.split()[1]) * 1024 for line in lines if line.startswith(("Pss:", "SwapPss:"))
    )


def _read(path: str) -> str:
    try:
        with open(path) as file:  # noqa: PTH123 - quicker, and asked for often
            return file.read()
    except OSError:
        return ""
