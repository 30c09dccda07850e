"""A trained model as it was handed in: a safetensors file, read as data and never run.

Source: the format, https://huggingface.co/docs/safetensors: eight bytes with the header's length, a header of
JSON, then the numbers. The header is checked here first, so that the commonest damage is told in words; the
package `safetensors` checks the rest and takes the numbers apart.
"""

import json
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from autograder.question import Unusable
from autograder.shell.inside.wire import plain

MAX_NUMBERS = 15_000_000
MAX_HEADER_BYTES = 1_000_000
MAX_BYTES = 4 * MAX_NUMBERS + MAX_HEADER_BYTES  # all numbers in float32
MAX_TENSORS = 2000
MAX_SIZE = 1_000_000
DTYPES = {"F16": np.float16, "F32": np.float32, "F64": np.float64}  # and BF16, which NumPy lacks
HOW = "Save it with `safetensors.torch.save_file(state_dict, path, metadata)`."
AGAIN = "Copy or download it once more and compare its size with the one where it was written."


@dataclass(frozen=True)
class Weights:
    """A state dict as float32 arrays by name, and the `sizes` that its model is constructed with."""

    arrays: dict[str, np.ndarray]
    sizes: list[int]

    @property
    def numbers(self) -> int:
        """How many numbers the file holds; a tied matrix that it holds twice counts twice."""
        return sum(array.size for array in self.arrays.values())


def read_weights(raw: bytes, sizes: int) -> Weights:
    """The model in the bytes of a safetensors file whose metadata names so many `sizes`.

    Raises Unusable, for the student, where it is no such file, damaged, too large, or holds what is no weight.
    """
    _refuse_other_kinds(raw)
    header, body = _header(raw)
    found = _sizes(header.pop("__metadata__", None), sizes)
    _check_entries(header, body)
    return Weights(_arrays(raw), found)


def _refuse_other_kinds(raw: bytes) -> None:
    """What is handed in by mistake most often, told by how it begins."""
    if not raw:
        raise Unusable(f"The file is empty: it has 0 bytes. {AGAIN}")
    # A header's length may begin with the byte of a pickle too, but it ends in zeros.
    is_pickle = raw.startswith(b"\x80") and raw[4:8] != bytes(4)
    if is_pickle or raw.startswith(b"PK\x03\x04"):
        raise Unusable(
            "The file is a pickle, as `torch.save` writes it: reading one can run any program, so the grader "
            f"opens none. {HOW}"
        )
    begin = raw[:512].lstrip()
    if begin.startswith(b"<"):
        raise Unusable(f"The file is a web page, not a model: a download that failed. {AGAIN}")
    if all(9 <= byte < 127 for byte in begin):  # the length of a header ends in bytes of zero
        raise Unusable(f"The file is text, not a model in safetensors format. {HOW}")


def _header(raw: bytes) -> tuple[dict[str, Any], int]:
    """The header, a dictionary with an entry for each tensor, and how many bytes come after it."""
    length = struct.unpack("<Q", raw[:8])[0] if len(raw) >= 8 else 0
    if len(raw) >= 8 and length > MAX_HEADER_BYTES:
        raise Unusable(
            f"The file is not in safetensors format, or its first bytes are damaged. {HOW}"
        )
    if len(raw) < 8 + length:
        raise Unusable(
            f"The file is cut short: it ends after {len(raw)} bytes, within its header. {AGAIN}"
        )
    try:
        header = json.loads(raw[8 : 8 + length], object_pairs_hook=_each_once)
    except (ValueError, RecursionError) as error:
        raise Unusable(f"The file's header is damaged. {AGAIN}") from error
    if not isinstance(header, dict):
        raise Unusable(f"The file's header is damaged. {AGAIN}")
    return header, len(raw) - 8 - length


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name occurs twice")
    return dict(pairs)


def _sizes(metadata: Any, count: int) -> list[int]:
    """The sizes that the metadata names."""
    asked = (
        f"The file's metadata needs the key `sizes`: a JSON list of the {count} whole numbers that `Trained` is "
        "constructed with"
    )
    text = metadata.get("sizes") if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise Unusable(f"{asked}; there is none.")
    try:
        sizes = json.loads(text)
    except (ValueError, RecursionError):
        sizes = None
    fine = isinstance(sizes, list) and len(sizes) == count
    if not fine or not all(type(size) is int and 1 <= size <= MAX_SIZE for size in sizes):
        raise Unusable(f"{asked}, each from 1 to {MAX_SIZE:,}; there it says {_short(text, 60)}.")
    return sizes


def _check_entries(header: dict[str, Any], body: int) -> None:
    """That the tensors are weights, few enough, and all there; before anything is made of them."""
    if not header or len(header) > MAX_TENSORS:
        raise Unusable(
            f"The file holds {len(header)} tensors; from 1 to {MAX_TENSORS} can be a model's."
        )
    numbers = end = 0
    for name, entry in header.items():
        try:
            shape, (begin, past) = entry["shape"], entry["data_offsets"]
            kind = entry["dtype"]
            fine = isinstance(kind, str) and all(
                type(n) is int and n >= 0 for n in (*shape, begin, past)
            )
        except (TypeError, KeyError, ValueError):
            fine = False
        if not fine or len(shape) > 8:
            raise Unusable(f"The file's header is damaged. {AGAIN}")
        if kind not in DTYPES and kind != "BF16":
            raise Unusable(
                f"`{_short(name)}` is of type {_short(kind, 12)}: weights are float32, float16 or bfloat16. A mask or "
                "another constant is no weight: register it with `persistent=False`."
            )
        size = 1
        for n in shape:
            size = min(size * n, MAX_NUMBERS + 1)  # and no huge product
        numbers, end = numbers + size, max(end, past)
    if numbers > MAX_NUMBERS:
        raise Unusable(
            f"The model has more than {MAX_NUMBERS // 1_000_000} million parameters, which is the limit."
        )
    if end > body:
        raise Unusable(
            f"The file is cut short: of {end / 1e6:.1f} MB of weights {body / 1e6:.1f} MB are there. {AGAIN}"
        )


def _arrays(raw: bytes) -> dict[str, np.ndarray]:
    """The tensors as float32; the package refuses holes, overlaps and lengths that are not their shape's."""
    from safetensors import (  # which only an assignment with a model needs
        SafetensorError,
        deserialize,
    )

    try:
        tensors = deserialize(raw)
    except SafetensorError as error:
        raise Unusable(f"The file is damaged ({_short(error, 120)}). {AGAIN}") from error
    arrays = {}
    while tensors:  # each one's bytes are given up as soon as they are numbers
        name, tensor = tensors.pop()
        arrays[name] = _numbers(tensor["dtype"], tensor["data"]).reshape(tensor["shape"])
        if not np.isfinite(arrays[name]).all():
            raise Unusable(
                f"`{_short(name)}` holds values that are no numbers (NaN or infinite): the training had diverged. "
                "Lower the learning rate and train again."
            )
    return arrays


def _numbers(kind: str, data: bytes) -> np.ndarray:
    if kind == "BF16":  # the upper half of a float32
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
    with np.errstate(over="ignore"):
        return np.frombuffer(data, np.dtype(DTYPES[kind]).newbyteorder("<")).astype(
            "<f4", copy=False
        )


def _short(text: Any, length: int = 80) -> str:
    """Text out of the file, bounded and in one line."""
    shown = " ".join(plain(text, 1000).split())
    return shown if len(shown) <= length else f"{shown[: length - 1]}…"
