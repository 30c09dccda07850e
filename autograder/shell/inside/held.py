"""How much memory a function holds while it reads a stream: Python's objects and NumPy's arrays, not PyTorch's."""

import tracemalloc
from collections.abc import Iterator
from typing import Any


class Held:
    """A context in which streams are read; `bytes` is what piled up beside them.

    What is counted is what lives whenever the next item is asked for, and the most that lives after the
    last one, each against what lived at the second: work on one item is free, keeping every item is not.
    Where there is no stream, it is the most that lived at any time of the call.
    """

    def __init__(self) -> None:
        self._at_draws: list[int] = []

    def __enter__(self) -> "Held":
        tracemalloc.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._at_draws.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    def stream(self, items: list[Any]) -> Iterator[Any]:
        """The items one by one, as copies that nothing else holds."""
        for item in items:
            self._at_draws.append(tracemalloc.get_traced_memory()[0])
            yield item.copy()
        self._at_draws.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.reset_peak()

    def bytes(self) -> int:
        """The most that was held, less what was held at the second draw."""
        if len(self._at_draws) == 1:
            return self._at_draws[0]
        return max(self._at_draws[2:], default=0) - self._at_draws[min(1, len(self._at_draws) - 1)]
