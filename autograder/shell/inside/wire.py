"""Values in and out of the student's process, as data.

A value becomes a tree of JSON in which an array is its dtype, its shape and its bytes. A message is the tree's text
and, where it holds bytes, a zero and all of them; in the text each is told by where it begins and ends.
Nothing is ever unpickled or evaluated, so a hostile process can send wrong values but no code.
"""

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

DTYPES = frozenset(
    [
        "bool",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "float16",
        "float32",
        "float64",
    ]
)

NAMES = {np.dtype(name): name for name in DTYPES}
MAX_ARRAY_BYTES = 4_000_000
MAX_AXES = 32
Bytes = bytes | memoryview  # made here, or a part of a message that arrived


class WireError(Exception):
    """What arrived is not a value of this protocol."""


@dataclass(frozen=True)
class Foreign:
    """A value that is no array, number, text or container of them: only its type travels."""

    type_name: str


def encode(value: Any, most: float = MAX_ARRAY_BYTES) -> Any:
    """A JSON tree for `value`; torch tensors travel as arrays, unknown objects as their type's name.

    So do arrays of more than `most` bytes, which bounds what a call returns.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray | np.generic):
        return _encode_array(np.asarray(value), most)
    if type(value).__module__.split(".")[0] == "torch" and hasattr(value, "detach"):
        tensor = value.detach().cpu()
        return _encode_array(
            (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy(), most
        )
    if isinstance(value, list | tuple):
        return {
            type(value).__name__ if type(value) in (list, tuple) else "tuple": [
                encode(v, most) for v in value
            ]
        }
    if isinstance(value, dict):
        return {"dict": [[str(key), encode(item, most)] for key, item in value.items()]}
    return {"foreign": type(value).__name__[:100]}


def _encode_array(array: np.ndarray, most: float) -> Any:
    if array.nbytes > most:
        return {"foreign": f"array of shape {array.shape}, too large to return"[:100]}
    dtype = array.dtype.newbyteorder("=")
    name = NAMES.get(dtype)
    if name is None:
        return {"foreign": f"array of {array.dtype.name}"[:100]}
    return {"array": [name, list(array.shape), np.ascontiguousarray(array, dtype).tobytes()]}


def decode(tree: Any) -> Any:
    """The value of a tree made by `encode`; every part is checked, because the sender is not trusted."""
    if tree is None or isinstance(tree, bool | int | float | str):
        return tree
    if not isinstance(tree, dict) or len(tree) != 1:
        raise WireError("a value is not of the protocol's form")
    [(kind, content)] = tree.items()
    if kind == "foreign" and isinstance(content, str):
        return Foreign(content[:100])
    if kind == "array":
        return _decode_array(content)
    if kind in ("list", "tuple") and isinstance(content, list):
        items = [decode(item) for item in content]
        return items if kind == "list" else tuple(items)
    if kind == "dict" and isinstance(content, list):
        return {_text(key): decode(item) for key, item in _pairs(content)}
    raise WireError("a value is not of the protocol's form")


def _decode_array(content: Any) -> np.ndarray:
    try:
        dtype, shape, raw = content
        if not isinstance(shape, list) or len(shape) > MAX_AXES or not isinstance(raw, Bytes):
            raise WireError("an array has an unknown type or shape")
        if dtype not in DTYPES or not all(type(n) is int and 0 <= n < 2**40 for n in shape):
            raise WireError("an array has an unknown type or shape")
        # The size is checked before NumPy sees the shape: a false one can reserve no memory.
        if math.prod(shape) * np.dtype(dtype).itemsize != len(raw):
            raise WireError("an array's bytes do not fill its shape")
        return np.frombuffer(raw, dtype=dtype).reshape(shape).copy()
    except (TypeError, ValueError) as error:
        raise WireError("an array is not of the protocol's form") from error


def _pairs(content: list) -> list:
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in content):
        raise WireError("a dictionary is not of the protocol's form")
    return content


def _text(key: Any) -> str:
    if not isinstance(key, str):
        raise WireError("a dictionary's key is not text")
    return key


def plain(text: Any, length: int) -> str:
    """Text that can be written anywhere: bounded, and without the lone surrogates that UTF-8 refuses."""
    return str(text)[:length].encode("utf-8", "replace").decode("utf-8")


def dumps(tree: Any) -> bytes:
    """A message: a tree of JSON that may hold bytes."""
    chunks: list[bytes] = []
    end = 0

    def place(chunk: Any) -> dict[str, list[int]]:
        nonlocal end
        if not isinstance(chunk, bytes):
            raise TypeError(f"a message cannot hold a {type(chunk).__name__}")
        begin, end = end, end + len(chunk)
        chunks.append(chunk)
        return {"bytes": [begin, end]}

    text = json.dumps(tree, default=place).encode()
    return b"".join([text, b"\0", *chunks]) if chunks else text


def loads(raw: bytes | bytearray) -> Any:
    """The tree of a message that may be hostile, with its bytes as views of it; every way to fail is a WireError."""
    size = raw.find(b"\0")  # no JSON holds a zero
    chunks = memoryview(raw)[size + 1 :]
    taken = 0

    def fetch(part: dict[str, Any]) -> Any:
        nonlocal taken
        if part.keys() != {"bytes"}:
            return part
        begin, end = part["bytes"]
        # Each byte once: a message cannot grow by naming the same ones again and again.
        if (
            type(begin) is not int
            or type(end) is not int
            or not taken == begin <= end <= len(chunks)
        ):
            raise WireError("a message lacks the bytes that it tells of")
        taken = end
        return chunks[begin:end]

    try:
        return json.loads(raw if size < 0 else raw[:size], object_hook=None if size < 0 else fetch)
    except (TypeError, ValueError, RecursionError) as error:
        raise WireError("a message is not JSON") from error
