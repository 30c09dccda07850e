"""Which hand-ins are done: one line each, added when everything about it is on disk and in the gradebook."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from autograder.store import read_text, write_whole


@dataclass(frozen=True)
class Done:
    """A finished hand-in: `key` is a hash of all that went in, `record` and `notebook` of what came out."""

    student: str
    key: str
    record: str
    notebook: str


class Journal:
    """The finished hand-ins of one assignment in a file of JSON lines; a context manager.

    A line that a kill has torn is passed over: that hand-in is simply not done.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = read_text(path).splitlines()
        self._done = {done.student: done for line in lines if (done := _parse(line))}
        if len(lines) > len(self._done):  # torn lines, or older ones of the same students
            content = "".join(_line(done) for done in self._done.values())
            write_whole(path, content.encode())

    def __enter__(self) -> "Journal":
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("a", encoding="utf-8")
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._file.close()

    def get(self, student: str) -> Done | None:
        """How the student's hand-in was finished, None where it was not."""
        return self._done.get(student)

    def add(self, done: Done) -> None:
        """Note that a hand-in is finished."""
        self._file.write(_line(done))
        self._file.flush()
        self._done[done.student] = done


def _line(done: Done) -> str:
    return json.dumps(asdict(done)) + "\n"


def _parse(line: str) -> Done | None:
    try:
        return Done(**json.loads(line))
    except (ValueError, TypeError):
        return None
