"""What a hand-in may use, in one place; an assignment may set its own in its checks module."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What one hand-in may use. Seconds are wall clock except `cpu_seconds`; sizes are bytes.

    `check_seconds` is for all calls of one question, `notebook_seconds` for all cells together.
    `cpu_seconds` and `file_bytes` hold for each process; `memory_bytes` (beyond what the libraries
    take), `processes` and `disk_bytes` (of its own folder) for all of a hand-in's together.
    `output_bytes` is what one cell may show, `reply_bytes` what one question's calls may return.
    """

    start_seconds: float = 120
    cell_seconds: float = 10
    check_seconds: float = 10
    notebook_seconds: float = 180
    cpu_seconds: float = 240
    memory_bytes: int = 8_000_000_000
    processes: int = 32
    file_bytes: int = 64_000_000
    disk_bytes: int = 256_000_000
    output_bytes: int = 200_000
    reply_bytes: int = 8_000_000
