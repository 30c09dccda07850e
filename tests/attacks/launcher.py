"""Run one command on a terminal of its own and tell what it left: a program of its own, for a clean process tree.

As a subreaper it inherits every process that the command leaves behind, however it was detached.
"""

import contextlib
import ctypes
import json
import os
import pty
import select
import signal
import sys
import time
from pathlib import Path

GRACE = 3  # seconds in which what was killed may vanish
SAMPLE = 1.0


def main() -> None:
    """Read {command, cwd, env, seconds} from the first argument; print what happened as JSON."""
    task = json.loads(sys.argv[1])
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    started = time.monotonic()
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(task["cwd"])
        os.execvpe(task["command"][0], task["command"], task["env"])
    shown, status, peak = watch(child, terminal, started + task["seconds"])
    seconds = time.monotonic() - started
    left = leftovers()
    told = {
        "status": status,
        "seconds": seconds,
        "peak": peak,
        "left": left,
        "shown": shown.decode(errors="replace"),
    }
    print(json.dumps(told))


def watch(child: int, terminal: int, deadline: float) -> tuple[bytes, int | None, int]:
    """What the command wrote, its status (None: stopped at the deadline) and its tree's peak memory in bytes."""
    shown, peak, sampled = b"", 0, 0.0
    while True:
        if select.select([terminal], [], [], 0.1)[0]:
            with contextlib.suppress(OSError):  # the terminal's other end may be closed already
                shown = (shown + os.read(terminal, 1 << 16))[-2_000_000:]
        if time.monotonic() - sampled > SAMPLE:
            sampled, peak = time.monotonic(), max(peak, sum(map(memory, descendants())))
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return shown, os.waitstatus_to_exitcode(status), peak
        if time.monotonic() > deadline:
            return shown, None, peak


def leftovers() -> list[str]:
    """The command lines of the processes that are still there after the grace; they are ended."""
    deadline = time.monotonic() + GRACE
    while time.monotonic() < deadline:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.05)
        except ChildProcessError:
            return []
    left = descendants()
    told = [
        Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace")[:200]
        for process in left
    ]
    for process in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    return told


def descendants() -> list[int]:
    """All processes below this one."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                text = (entry / "stat").read_text(errors="replace")
                parents.setdefault(int(text.rpartition(")")[2].split()[1]), []).append(
                    int(entry.name)
                )
    found, waiting = [], [os.getpid()]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += children
    return found


def memory(process: int) -> int:
    """The memory that a process accounts for, its share of what is shared included, in bytes."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return 1024 * int(line.split()[1])
    return 0


if __name__ == "__main__":
    main()
