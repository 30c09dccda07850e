"""Well-known texts from the network: whole and checked, or one sentence that says why not. Written by hand."""

import contextlib
import hashlib
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

__all__ = ["DOWNLOADS", "Download", "fetch"]


@dataclass(frozen=True)
class Download:
    """A file that is known by its size in bytes and its SHA-256, whoever sends it."""

    title: str
    file: str
    size: int
    sha256: str
    addresses: tuple[str, ...]


# Revision and path of the validation file of Eldan and Li 2023, which is a whole corpus here. Its licence is
# CDLA-Sharing-1.0. Checksum and size are those that several public projects check their copies against.
_STORIES = "datasets/roneneldan/TinyStories/resolve/f54c09fd23315a6f9c86f9dc80f725de7d8f9c64/TinyStories-valid.txt"

DOWNLOADS = {
    "shakespeare": Download(
        "tiny Shakespeare",
        "tinyshakespeare.txt",
        1_115_394,
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        (
            "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
            "https://storage.googleapis.com/download.tensorflow.org/data/shakespeare.txt",
        ),
    ),
    "tinystories": Download(
        "TinyStories",
        "tinystories-valid.txt",
        19_447_282,
        "94e431816c4cce81ff71e4408ff8d3bda9a42e8d2663986697c3954288cb38b4",
        (f"https://huggingface.co/{_STORIES}", f"https://hf-mirror.com/{_STORIES}"),
    ),
}

PATIENCE = 20  # seconds without a byte after which an address is given up


def fetch(wanted: Download) -> bytes:
    """The file's content, from the cache or else from the first address that sends the right bytes.

    A download that was cut goes on where it stopped. Nothing gets its final name before it was checked,
    never more than the file's size is taken, and of several processes one downloads.

    Raises:
        FileNotFoundError: one sentence that says why no address had it, and what to do.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "attention-course"
    final = home / wanted.file
    problems = []
    try:
        home.mkdir(parents=True, exist_ok=True)
        with _alone(final.with_suffix(".lock")):
            if final.is_file() and _is(wanted, content := final.read_bytes()):
                return content
            part = final.with_suffix(".part")
            for address in wanted.addresses:
                try:
                    _receive(wanted, address, part)
                    if _is(wanted, content := part.read_bytes()):
                        part.replace(final)
                        return content
                    part.unlink()  # it would never become the right one
                    raise ValueError("another file than expected (SHA-256 differs)")
                except urllib.error.HTTPError as error:
                    if error.code == 416:  # what is there is no beginning of what this server has
                        part.unlink(missing_ok=True)
                    problem = f"HTTP {error.code}"
                except (OSError, HTTPException, ValueError) as error:
                    problem = str(getattr(error, "reason", error)) or type(error).__name__
                problems.append(f"{address.split('/')[2] or address}: {problem}")
    except OSError as error:
        problems.append(f"{home}: {error.strerror}")
    raise FileNotFoundError(
        f"{wanted.title} could not be downloaded ({'; '.join(problems)}); "
        f"fetch {wanted.addresses[0]} elsewhere and give its path as data, or use 'stdlib'"
    )


def _is(wanted: Download, content: bytes) -> bool:
    return hashlib.sha256(content).hexdigest() == wanted.sha256


def _receive(wanted: Download, address: str, part: Path) -> None:
    """Append to the part what is missing of it, all of it where the server cannot send parts."""
    have = part.stat().st_size if part.exists() else 0
    if have >= wanted.size:
        return
    # Some hosts refuse Python's own name.
    headers = {"User-Agent": "attention-course", **({"Range": f"bytes={have}-"} if have else {})}
    request = urllib.request.Request(address, headers=headers)
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        if have and answer.headers.get("Content-Range", "").split("-")[0] != f"bytes {have}":
            have = 0
        with part.open("ab" if have else "wb") as file:
            while piece := answer.read(1 << 16):
                if have + len(piece) > wanted.size:
                    part.unlink()
                    raise ValueError(
                        f"another file than expected (longer than {wanted.size:,} bytes)"
                    )
                file.write(piece)
                have += len(piece)
                _show(wanted, have)
    if have < wanted.size:
        raise ValueError(f"the connection ended after {have:,} of {wanted.size:,} bytes")


def _show(wanted: Download, have: int) -> None:
    if sys.stderr.isatty():
        end = "\n" if have == wanted.size else ""
        print(
            f"\r{wanted.title}: {have / 1e6:.1f} of {wanted.size / 1e6:.1f} MB",
            end=end,
            file=sys.stderr,
            flush=True,
        )


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Let one process at a time pass, as far as the system can: the processes of torchrun all want the file."""
    try:
        import fcntl
    except ImportError:  # Windows, where torchrun with several GPUs is rare
        yield
        return
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
