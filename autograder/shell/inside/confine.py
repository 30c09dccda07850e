"""Put the running process under its limits and out of reach of everything else, for good."""

import contextlib
import ctypes
import fcntl
import os
import resource
from typing import Any

from . import seccomp

LIBC = ctypes.CDLL(None, use_errno=True)
NS_GET_USERNS = 0xB701  # the user namespace that owns a namespace; linux/nsfs.h
PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 4, 24, 38
MS_NOSUID, MS_NODEV = 2, 4
CAPABILITY_VERSION_3 = 0x20080522
INODES = 20_000  # files a hand-in may have in its own folder


class CannotConfine(Exception):
    """The sandbox could not be entered; the text says which step failed."""


def _call(what: str, result: int) -> None:
    if result:
        raise CannotConfine(f"{what}: {os.strerror(ctypes.get_errno())}")


def join(namespaces: dict[str, int], folder: str, disk_bytes: int) -> None:
    """Enter a sandbox made by bubblewrap, given its namespaces' descriptors; the next fork is inside it.

    With a user namespace (`user`, where the grader is not root) bubblewrap makes two: one that owns the
    others, and one inside it in which the student has no rights over them.
    """
    own_user = namespaces.get("user")
    if own_user is not None:
        owner = fcntl.ioctl(namespaces["pid"], NS_GET_USERNS)
        _call("the owner's namespace", LIBC.setns(owner, 0))
        os.close(owner)
    for name in ("pid", "net", "ipc", "uts", "mnt"):
        _call(f"the {name} namespace", LIBC.setns(namespaces[name], 0))
    # Here rather than by bubblewrap, which cannot bound the number of files.
    options = f"size={disk_bytes},nr_inodes={INODES},mode=1777".encode()
    for own in (folder.encode(), b"/dev/shm"):
        _call("its own folder", LIBC.mount(b"tmpfs", own, b"tmpfs", MS_NOSUID | MS_NODEV, options))
    if own_user is not None:
        _call("the user namespace", LIBC.setns(own_user, 0))


def drop_rights(user: int | None) -> None:
    """Become an ordinary user (`user`, where the grader is root) without capabilities, never to get any."""
    for capability in range(64):
        LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # those that do not exist are refused
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    _call("no new rights", LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    _call("capabilities", LIBC.capset(header, (ctypes.c_uint32 * 6)()))
    # What its memory comes to can be read by the grader, which has the same user or is root.
    _call("readable sizes", LIBC.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))


def set_limits(limits: dict[str, Any], processes: int | None) -> None:
    """The kernel's own limits for this process and all it starts; `processes` None leaves their number open."""
    wanted = {
        resource.RLIMIT_CORE: 1,  # too small for any; with 0 a core may still be piped to a program
        resource.RLIMIT_CPU: limits["cpu_seconds"],
        resource.RLIMIT_FSIZE: limits["file_bytes"],
        resource.RLIMIT_AS: _address_space() + limits["memory_bytes"],
        resource.RLIMIT_NOFILE: 256,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    if processes is not None:
        wanted[resource.RLIMIT_NPROC] = processes
    for kind, value in wanted.items():
        hard = resource.getrlimit(kind)[1]
        value = int(value) if hard == resource.RLIM_INFINITY else min(int(value), hard)
        resource.setrlimit(kind, (value, value))


def _address_space() -> int:
    """Bytes of address space in use already, most of them for libraries."""
    with open("/proc/self/statm") as file:  # noqa: PTH123 - no module but what is loaded
        return int(file.read().split()[0]) * resource.getpagesize()


def filter_system_calls() -> None:
    """Refuse the system calls that no exercise needs (see `seccomp`)."""
    seccomp.install(LIBC)


def close_all_but(keep: int) -> None:
    """Close every descriptor but the standard ones and `keep`."""
    os.closerange(3, keep)
    os.closerange(keep + 1, 1 << 16)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    with contextlib.suppress(OSError):
        os.close(null)
