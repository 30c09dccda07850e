"""What every hostile notebook begins with: this module's text is its first cell, `WHERE` filled in."""

# ruff: noqa: F401, PTH123 - the attacks use these names
import contextlib
import ctypes
import gc
import importlib
import json
import os
import re
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import torch

WHERE = {}  # filled in: where the interesting things are, never what is in them
CANARY = re.compile(r"canary-[0-9a-f]{32}")
libc = ctypes.CDLL(None, use_errno=True)


def find(*things):
    """All canaries in texts, in bytes, and in files and folders given as paths; what cannot be read is skipped."""
    found = set()
    for thing in things:
        if isinstance(thing, Path):
            with contextlib.suppress(Exception):
                thing = (
                    find(*sorted(thing.iterdir()))
                    if thing.is_dir()
                    else thing.read_bytes()[: 1 << 20]
                )
        if isinstance(thing, bytes):
            thing = thing.decode("latin-1")
        found |= set(CANARY.findall(str(thing)))
    return " ".join(sorted(found))


def attempt(function, *arguments):
    """What `function` returns, None if it raised anything at all."""
    try:
        return function(*arguments)
    except BaseException:
        return None


def proof(what):
    """A text that means, wherever it turns up in a record, that an attack got through."""
    return "proof-of-" + f"harm: {what}; "


def places():
    """Every place that an attack would like to read or write."""
    return [Path(place) for place in WHERE["places"]]


def harm(path):
    """Leave this student's name in a file outside, however that can be done."""
    with contextlib.suppress(OSError), open(path, "a") as file:
        file.write(f"harmed by {WHERE['student']}\n")


def away(function):
    """Run `function` in a process that tries to outlive everything: forked twice, in a session of its own."""
    if attempt(os.fork) != 0:
        return
    attempt(os.setsid)
    attempt(os.setpgid, 0, 0)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    if attempt(os.fork):
        os._exit(0)
    attempt(function)
    os._exit(0)


def linger(seconds=20):
    """Stay, without using the machine."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.2)
