"""A model's file is read as data, and whatever else is handed in under its name is told in words."""

import io
import json
import struct
import tracemalloc

import numpy as np
import pytest
import torch

from autograder.question import Unusable
from autograder.weights import MAX_NUMBERS, read_weights

from .course import model_bytes


def made(header, body=b"", length=None):
    """A file with any header, given as text or as what JSON can hold."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + body


def pickled():
    file = io.BytesIO()
    torch.save({"weight": torch.ones(3)}, file)
    return file.getvalue()


SIZES = {"__metadata__": {"sizes": "[96, 1, 1, 8, 64]"}}
ONE = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
NONE = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
EIGHT = b"\0" * 8
FINE = {"w": torch.ones(2)}
REFUSED = {
    "empty": (b"", "is empty"),
    "one byte": (b"\x08", "cut short"),
    "cut in its header": (model_bytes()[:50], "cut short: it ends after 50 bytes"),
    "cut in its weights": (model_bytes()[:-1000], "cut short: of 0.0 MB of weights 0.0 MB are there"),
    "torch.save": (pickled(), "is a pickle"),
    "an old torch.save": (b"\x80\x02}q\x00.", "is a pickle"),
    "a web page": (b"\n<!DOCTYPE html><html>Sign in</html>", "is a web page"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:12\n", "is text"),
    "other bytes": (bytes(range(200, 256)) * 9, "not in safetensors format"),
    "a huge header": (made(b"{}", length=2**62), "not in safetensors format"),
    "a header of 2 MB": (made(b" " * 2_000_000), "not in safetensors format"),
    "no JSON": (made(b"{w: 1}"), "header is damaged"),
    "no UTF-8": (made(b'{"\xff": 1}'), "header is damaged"),
    "nested deep": (made(b'{"a":' * 100_000 + b"1" + b"}" * 100_000), "header is damaged"),
    "a list": (made([1, 2]), "header is damaged"),
    "a huge number": (made(b'{"a":' + b"9" * 5000 + b"}"), "header is damaged"),
    "a name twice": (made(json.dumps(SIZES | {"v": ONE, "w": ONE}).replace('"v"', '"w"').encode(), EIGHT), "header is"),
    "no tensors": (made(SIZES), "holds 0 tensors"),
    "many tensors": (made(SIZES | {str(i): NONE for i in range(2001)}), "holds 2001 tensors"),
    "an entry that is none": (made(SIZES | {"w": 3}, EIGHT), "header is damaged"),
    "a shape of text": (made(SIZES | {"w": {**ONE, "shape": "22"}}, EIGHT), "header is damaged"),
    "a negative shape": (made(SIZES | {"w": {**ONE, "shape": [-2]}}, EIGHT), "header is damaged"),
    "a type that is none": (made(SIZES | {"w": {**ONE, "dtype": ["F32"]}}, EIGHT), "header is damaged"),
    "overlapping": (made(SIZES | {"v": ONE, "w": {**ONE, "data_offsets": [4, 12]}}, EIGHT * 2), "is damaged"),
    "the same bytes": (made(SIZES | {"v": ONE, "w": ONE}, EIGHT), "is damaged"),
    "a hole": (made(SIZES | {"w": {**ONE, "data_offsets": [8, 16]}}, EIGHT * 2), "is damaged"),
    "backwards": (made(SIZES | {"w": {**ONE, "data_offsets": [8, 0]}}, EIGHT), "is damaged"),
    "bytes left over": (made(SIZES | {"w": ONE}, EIGHT * 2), "is damaged"),
    "another shape than its bytes": (made(SIZES | {"w": {**ONE, "shape": [3]}}, EIGHT), "is damaged"),
    "a shape of many": (made(SIZES | {"w": {**ONE, "shape": [2**40, 2**40]}}, EIGHT), "15 million"),
    "too many parameters": (made(SIZES | {"w": {**ONE, "shape": [MAX_NUMBERS + 1]}}, EIGHT), "15 million"),
    "whole numbers": (model_bytes({"w": torch.arange(3)}), "`w` is of type I64"),
    "a mask": (model_bytes({"mask": torch.ones(3, 3, dtype=torch.bool)}), "persistent=False"),
    "no metadata": (model_bytes(FINE, sizes=None), "`sizes`: a JSON list of the 5 whole numbers"),
    "sizes of four": (model_bytes(FINE, [96, 1, 1, 8]), "there it says [96, 1, 1, 8]"),
    "sizes of zero": (model_bytes(FINE, [96, 1, 0, 8, 64]), "each from 1 to 1,000,000"),
    "sizes of two million": (model_bytes(FINE, [96, 1, 1, 8, 2_000_000]), "each from 1"),
    "sizes of floats": (model_bytes(FINE, [96, 1, 1, 8.0, 64]), "each from 1"),
    "sizes of truths": (model_bytes(FINE, [True] * 5), "each from 1"),
    "sizes that are no JSON": (model_bytes(FINE, "96 1 1 8 64"), "there it says 96 1 1 8 64"),
    "sizes nested deep": (model_bytes(FINE, "[" * 100_000), "each from 1"),
    "NaN": (model_bytes({"w": torch.tensor([1.0, torch.nan])}), "`w` holds values that are no numbers"),
    "infinite": (model_bytes({"w": torch.tensor([1.0, torch.inf]).bfloat16()}), "had diverged"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_model_is_told_in_a_kind_sentence(what):
    raw, said = REFUSED[what]
    tracemalloc.start()
    with pytest.raises(Unusable) as refused:
        read_weights(raw, 5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert said in str(refused.value)
    assert len(str(refused.value)) < 400 and str(refused.value).endswith(".")
    assert peak < 10_000_000 + 5 * len(raw)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_kind_of_float_becomes_float32(kind):
    values = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)).to(kind)
    found = read_weights(model_bytes({"w": values, "b": torch.zeros(0)}, more="kept by others"), 5)
    assert found.sizes == [96, 1, 1, 8, 64]
    assert found.numbers == 12
    assert found.arrays["w"].dtype == np.float32
    np.testing.assert_array_equal(found.arrays["w"], values.float().numpy())


def test_the_largest_model_is_read():
    rows = torch.full((15, 1_000_000), 0.5)
    assert read_weights(model_bytes({"w": rows}), 5).numbers == MAX_NUMBERS
