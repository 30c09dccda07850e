"""What is kept of grading one notebook: what its cells did, and a verdict per question."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from autograder.shell.inside.wire import plain
from autograder.verdict import AspectResult, Verdict

SHOWN_BYTES = 400_000
SHOWN_OUTPUTS = 200
SHOWN_TEXTS = ("output_type", "name", "text", "ename", "evalue")
SHOWN_MIMES = ("text/plain", "image/png")


@dataclass
class CellRun:
    """What one code cell did: its outputs (reduced by `bounded`), and why it was stopped, if it was."""

    outputs: list[dict[str, Any]] = field(default_factory=list)
    success: bool = False
    stopped: str = ""


@dataclass
class Record:
    """The result of grading one notebook. `cells` has one entry per cell, None for text cells.

    `run` and `asked` (by question) are the fingerprints of what decided the cells' outputs and each verdict.
    """

    run: str
    asked: dict[str, str]
    seconds: float
    cells: list[CellRun | None]
    verdicts: dict[str, Verdict]

    def to_json(self) -> str:
        """As text; `from_json` gives the same record back."""
        content = asdict(self)
        return json.dumps({"digest": _digest(content), **content})

    @classmethod
    def from_json(cls, text: str) -> "Record | None":
        """The record of a text that `to_json` made; None where it is damaged, or of an older grader."""
        try:
            data = json.loads(text)
            if data.pop("digest") != _digest(data):
                return None
            data["cells"] = [cell and CellRun(**cell) for cell in data["cells"]]
            for name, verdict in data["verdicts"].items():
                aspects = [AspectResult(**aspect) for aspect in verdict.pop("aspects")]
                data["verdicts"][name] = Verdict(**verdict, aspects=aspects)
            return cls(**{key.name: data[key.name] for key in fields(cls)})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def bounded(outputs: Any) -> list[dict[str, Any]]:
    """The outputs of a cell reduced to the texts and pictures that are shown, whatever was sent."""
    kept: list[dict[str, Any]] = []
    left = SHOWN_BYTES
    for item in outputs[:SHOWN_OUTPUTS] if isinstance(outputs, list) else []:
        if not isinstance(item, dict):
            continue
        shown: dict[str, Any] = {key: plain(item[key], left) for key in SHOWN_TEXTS if key in item}
        if isinstance(data := item.get("data"), dict):
            shown["data"] = {mime: plain(data[mime], left) for mime in SHOWN_MIMES if mime in data}
        if isinstance(trace := item.get("traceback"), list):
            shown["traceback"] = [plain(line, 4000) for line in trace[:60] if isinstance(line, str)]
        left -= len(str(shown))
        if left < 0:
            break
        kept.append(shown)
    return kept
