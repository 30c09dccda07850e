"""Values travel as data: what goes in comes out, and what is not data is refused."""

import pickle

import numpy as np
import pytest
import torch

from autograder.shell.inside import wire
from autograder.shell.session import decode_reply


def through(value):
    return wire.decode(wire.loads(wire.dumps(wire.encode(value))))


@pytest.mark.parametrize("dtype", sorted(wire.DTYPES))
def test_an_array_keeps_dtype_shape_and_values(dtype):
    array = np.arange(6).reshape(2, 3).astype(dtype)
    back = through(array)
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2)])
def test_empty_and_zero_dimensional_arrays_travel(shape):
    assert through(np.zeros(shape)).shape == shape


def test_a_non_contiguous_array_travels():
    array = np.arange(12.0).reshape(3, 4)[:, ::2].T
    np.testing.assert_array_equal(through(array), array)


def test_a_tensor_travels_as_an_array_also_in_bfloat16_and_with_a_gradient():
    tensor = torch.tensor([1.5, -2.0], requires_grad=True)
    np.testing.assert_array_equal(through(tensor), [1.5, -2.0])
    np.testing.assert_array_equal(through(tensor.bfloat16()), [1.5, -2.0])


def test_containers_and_plain_values_travel():
    value = [1, (2.5, None, True), {"a": "text", "b": np.ones(2)}]
    back = through(value)
    assert back[:2] == [1, (2.5, None, True)]
    np.testing.assert_array_equal(back[2]["b"], [1, 1])
    assert np.isnan(through(float("nan")))


def test_an_object_travels_as_its_type_only():
    class Surprise:
        def __reduce__(self):
            raise AssertionError("pickled")

    assert through(Surprise()) == wire.Foreign("Surprise")
    assert isinstance(through(np.array([Surprise()], dtype=object)), wire.Foreign)


def test_an_array_too_large_to_return_is_named_so():
    assert "too large" in through(np.zeros(wire.MAX_ARRAY_BYTES // 8 + 1)).type_name


@pytest.mark.parametrize(
    "tree",
    [
        {"array": ["float64", [10**12], b""]},  # a shape that its bytes do not fill
        {"array": ["float64", [-1], b""]},
        {"array": ["float64", [9] * 100_000, b""]},
        {"array": ["float64", [True], bytes(8)]},
        {"array": ["object", [1], bytes(8)]},
        {"array": ["float64", [1], "text is not bytes"]},
        {"array": ["float64", [1], 8]},
        b"bytes alone",
        {"array": ["float64", [1]]},
        {"array": "float64"},
        {"pickle": pickle.dumps(1).hex()},
        {"tuple": "abc"},
        {"dict": [["a"]]},
        {"dict": [[1, 2]]},
        {"foreign": 1},
        {},
        {"list": [], "tuple": []},
        [1],
    ],
)
def test_what_is_not_of_the_protocol_is_refused(tree):
    with pytest.raises(wire.WireError):
        wire.decode(tree)


@pytest.mark.parametrize(
    "raw",
    [
        b'[{"bytes": [0, 9]}]\0too few',
        b'[{"bytes": [1, 2]}]\0xx',
        b'[{"bytes": [0, 1]}, {"bytes": [0, 1]}]\0x',  # once named is enough
        b'[{"bytes": [0, -1]}]\0xx',
        b'[{"bytes": [0, true]}]\0xx',
        b'[{"bytes": [0, 1.0]}]\0xx',
        b'[{"bytes": "ab"}]\0xx',
        b'[{"bytes": 1}]\0xx',
        b'[{"bytes": [0]}]\0xx',
    ],
)
def test_a_message_that_misplaces_its_bytes_is_refused(raw):
    with pytest.raises(wire.WireError):
        wire.loads(raw)


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[" * 100_000, b"\0", b"[" * 100_000 + b"\0"])
def test_what_is_not_json_is_refused(raw):
    with pytest.raises(wire.WireError):
        wire.loads(raw)


@pytest.mark.parametrize("tree", [[], "text", {"value": 1, "gradients": []}, {"value": {"x": 1}}])
def test_a_reply_of_another_form_is_refused(tree):
    with pytest.raises(wire.WireError):
        decode_reply(tree)


def test_an_errors_texts_are_bounded():
    reply = decode_reply({"error": {"type": "E", "message": "x" * 10**6, "line": 3, "more": "y"}})
    assert set(reply["error"]) == {"type", "message", "line"}
    assert len(reply["error"]["message"]) <= 1000


def test_another_byte_order_keeps_the_values():
    big_endian = np.arange(3, dtype=">f8")
    np.testing.assert_array_equal(wire.decode(wire.encode(big_endian)), [0, 1, 2])
