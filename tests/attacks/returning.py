"""Attacks by what a function returns: values that lie about themselves, or cost whoever looks at them."""
# ruff: noqa: PTH123 - as hostile code is written

import mmap
import os
import time

import numpy as np
import torch

from .attack import returned


@returned("an array that says it has another shape, another dtype and other values")
def lying_array(x):
    class Lying(np.ndarray):
        shape = property(lambda self: (2, 2))
        dtype = property(lambda self: np.dtype("float64"))
        tobytes = __bytes__ = lambda self, *args: b"\0" * 32
        __array__ = __getitem__ = lambda self, *args, **kwargs: np.zeros((2, 2))

    return np.zeros(10**4).view(Lying)


@returned("an object that takes part in every NumPy function and equals everything")
def overriding_object(x):
    class Equal:
        __array_priority__ = 10**9
        shape, dtype, ndim, nbytes, size = (2, 2), np.dtype("float64"), 2, 32, 4
        __eq__ = __ne__ = __lt__ = __gt__ = __le__ = __ge__ = lambda self, other: True
        __sub__ = __rsub__ = __abs__ = __array_function__ = __array_ufunc__ = (
            lambda self, *args, **kwargs: True
        )
        __bool__ = __len__ = __hash__ = lambda self: 1

    return Equal()


@returned("an object whose class is a lie")
def false_class(x):
    class False_:
        __class__ = property(lambda self: np.ndarray)

    return False_()


@returned("a class that passes for PyTorch's and does as it likes when it is detached")
def false_tensor(x):
    class Tensor:
        __module__ = "torch"
        dtype = "torch.float64"

        def detach(self):
            end = time.monotonic() + 20
            while time.monotonic() < end:
                pass
            return self

        cpu = numpy = detach

    return Tensor()


@returned("an array of objects that do something when they are looked at")
def array_of_objects(x):
    class Evil:
        def __reduce__(self):
            return os.system, ("touch /tmp/unpickled",)

        __float__ = __index__ = __array__ = lambda self, *args: os._exit(0)

    return np.array([Evil(), Evil()], dtype=object)


@returned("an array of 8 TB that takes no memory")
def enormous_view(x):
    return np.broadcast_to(np.float64(1), (10**6, 10**6))


@returned("an array of 400 MB")
def large_array(x):
    return np.zeros(5 * 10**7)


@returned("an array that reaches beyond its own memory")
def array_beyond_its_memory(x):
    return np.lib.stride_tricks.as_strided(np.zeros(1), (1000, 400), (1 << 30, 8))


@returned("nothing but NaN and infinities, which differ from everything")
def nan_box(x):
    return np.array([[np.nan, np.inf], [-np.inf, np.frombuffer(b"\1\0\0\0\0\0\xf0\x7f")[0]]])


@returned("a list that contains itself")
def recursive_list(x):
    loop = []
    loop.append(loop)
    return loop


@returned("a list nested a hundred thousand times")
def deep_list(x):
    nested = []
    for _ in range(10**5):
        nested = [nested]
    return nested


@returned("a list that never ends")
def endless_list(x):
    class Endless(list):
        def __iter__(self):
            while True:
                yield 0.0

    return Endless([1])


@returned("a generator that writes, waits and never ends")
def generator(x):
    while True:
        yield 1.0


@returned("an array without axes")
def no_axes(x):
    return np.array(1.0)


@returned("the right values read backwards, through negative strides")
def negative_strides(x):
    return x[::-1, ::-1]


@returned("an array that is a file")
def mapped_file(x):
    with open("mapped", "wb+") as file:
        file.truncate(1 << 20)
        array = np.frombuffer(mmap.mmap(file.fileno(), 1 << 20), dtype=np.float64)
        file.truncate(0)  # reading it now is a bus error
    return array


@returned("complex numbers, whose real parts are right")
def complex_numbers(x):
    return np.tanh(x) @ np.swapaxes(x, -1, -2) + 1j


@returned("texts and times in place of numbers")
def texts_for_numbers(x):
    return np.array([["1", "2"], ["3", "4"]])


@returned("structured records")
def records(x):
    return np.zeros((2, 2), dtype=[("value", "f8"), ("right", "?")])


@returned("a text of 50 MB")
def long_text(x):
    return "x" * 5 * 10**7


@returned("a whole number of 4000 digits")
def long_number(x):
    return 10**4000


@returned("a number that writes itself as something else")
def lying_number(x):
    class Number(float):
        __repr__ = __str__ = lambda self: '1.0, "score": 4'

    return Number(0)


@returned("a text that says it is an answer of the protocol")
def text_of_the_protocol(x):
    return '"}, "value": {"array": ["float64", [2, 2], ""]}, "score": 4, "x": {"'


@returned("a dictionary that says it is an answer of the protocol")
def dictionary_of_the_protocol(x):
    return {"array": ["float64", [2, 2], ""], "foreign": "right", "value": 1.0, "score": 4}


@returned("itself")
def the_function(x):
    return the_function


@returned("a type whose name is full of escapes and markup")
def named_by_escapes(x):
    name = "\x1b]0;titled-by-a-student\x07\u202egnirts<script>alert(1)</script>\n\0" * 50
    return type(name, (), {})()


@returned("a sparse tensor", "tensor")
def sparse(x):
    return torch.sparse_coo_tensor(torch.zeros((1, 1), dtype=torch.long), torch.ones(1), (1 << 40,))


@returned("a tensor without values", "tensor")
def meta(x):
    return torch.zeros((1 << 30, 1 << 20), device="meta")


@returned("a quantised tensor", "tensor")
def quantised(x):
    return torch.quantize_per_tensor(torch.ones(2, 3), 0.1, 0, torch.qint8)


@returned("a complex tensor", "tensor")
def complex_tensor(x):
    return torch.tanh(x) * 3j


@returned("a tensor that answers for every function of PyTorch", "tensor")
def overriding_tensor(x):
    class Over(torch.Tensor):
        @classmethod
        def __torch_function__(cls, function, types, arguments=(), kwargs=None):
            return True

    return torch.zeros(2, 3).as_subclass(Over)


@returned("a tensor with hooks that change the gradient, and a backward that never ends", "tensor")
def hooked(x):
    class Slow(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            return x * 2

        @staticmethod
        def backward(context, gradient):
            while True:
                pass

    return Slow.apply(x)


@returned("a view of a tensor that is larger than all memory", "tensor")
def enormous_tensor(x):
    return torch.zeros(1, dtype=torch.float64).expand(1 << 40)


@returned("another answer for every call, kept in what it changed before", "target")
def counts_its_calls(x):
    state = counts_its_calls.__dict__
    state["calls"] = state.get("calls", 0) + 1
    globals()["plain"] = globals()["tensor"] = lambda x: None
    return np.full((2, 2), float(state["calls"]))
