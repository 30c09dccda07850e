"""What a call may leave behind in its process that a later one could notice."""

import os
import random
import resource
import signal
import sys
import threading
import types
import warnings
import zlib
from typing import Any

import numpy as np
import torch

CONTAINERS = (list, dict, set, bytearray)
KEPT_BYTES = 50_000_000  # what a process may have grown by
HASHED_BYTES = 1_000_000  # a larger array is told by its identity only


class Same:
    """A value to be compared by identity. It is held, so that no other can come to lie at its address."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.value is other.value

    __hash__ = None  # type: ignore[assignment]


class State:
    """The state of this process when the object is made; `same` tells whether it is still so.

    It looks where programs leave things by honest means or by accident: names, what they hold, settings,
    threads, processes, memory. A program that hides something on purpose can do so, from its own author.
    """

    def __init__(self, namespace: dict[str, Any]) -> None:
        self._namespace = namespace
        self._random = random.getstate(), np.random.get_state(), torch.get_rng_state()
        self._before = self._traits()
        self._bytes = _resident()

    def draw_again(self) -> None:
        """Let every generator of random numbers go on from where it was."""
        python, numpy, of_torch = self._random
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(of_torch)

    def same(self) -> bool:
        """Whether nothing is left behind."""
        grown = _resident() - self._bytes
        return not _has_child() and grown < KEPT_BYTES and self._traits() == self._before

    def _traits(self) -> tuple[Any, ...]:
        return (
            {name: _traits(value) for name, value in self._namespace.items()},
            (torch.get_default_dtype(), torch.is_grad_enabled(), np.geterr(), os.getcwd()),  # noqa: PTH109
            (len(warnings.filters), sys.getrecursionlimit(), signal.getitimer(signal.ITIMER_REAL)),
            (threading.active_count(), len(os.listdir("/proc/self/task"))),  # noqa: PTH208
        )


def _traits(value: Any) -> tuple[Any, ...]:
    """A value's identity and, where it can change, a little of what it holds."""
    kind = type(value)
    if kind in CONTAINERS:
        return Same(value), len(value)
    if kind is np.ndarray and value.nbytes <= HASHED_BYTES and not value.dtype.hasobject:
        return Same(value), zlib.crc32(value.tobytes())
    if kind is torch.Tensor:
        return Same(value), value._version
    owner = value if kind is type else kind
    if kind is types.FunctionType or owner.__module__ == "__main__":
        return Same(value), *map(Same, getattr(value, "__dict__", {}).values())
    return (Same(value),)


def _resident() -> int:
    with open("/proc/self/statm") as file:  # noqa: PTH123 - quicker, and asked for often
        return int(file.read().split()[1]) * resource.getpagesize()


def _has_child() -> bool:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True
