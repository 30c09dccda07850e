"""Attacks on what runs in the student's own process: the interpreter, the libraries, the protocol."""

import builtins
import json
import os
import socket
import struct
import sys
import threading
import time

import numpy as np
import torch

from .attack import Attack, attack, register
from .prelude import attempt


@attack(
    "replaces what compares: allclose, equal, all, assert's exception, in NumPy, PyTorch and the built-ins"
)
def patches_comparisons():
    always = lambda *args, **kwargs: True  # noqa: E731
    for module in (np, np.testing, torch, torch.testing, builtins):
        for name in (
            "allclose",
            "isclose",
            "array_equal",
            "equal",
            "all",
            "any",
            "assert_allclose",
            "isinstance",
        ):
            if hasattr(module, name) and name not in ("isinstance", "any"):
                setattr(module, name, always)
    builtins.AssertionError = builtins.check = type("Quiet", (Exception,), {})
    globals()["check"] = always


@attack("replaces IPython from within: transformers, run_cell, displayhook, showtraceback, events")
def patches_ipython():
    import ast

    shell = get_ipython()  # noqa: F821

    class Pass(ast.NodeTransformer):
        def visit_Assert(self, node):
            return ast.copy_location(ast.Pass(), node)

    shell.ast_transformers.append(Pass())
    shell.input_transformers_cleanup.append(lambda lines: ["1.0\n"])
    shell.showtraceback = shell._showtraceback = lambda *args, **kwargs: None
    result = type("Result", (), {"success": True, "result": 1.0, "error_in_exec": None})()
    shell.run_cell = lambda *args, **kwargs: result
    sys.displayhook = sys.excepthook = lambda *args: None
    type(shell).run = lambda self, source, keep=True: {"outputs": [], "success": True, "score": 4}


@attack("replaces the libraries that the protocol is made of")
def patches_the_protocol():
    answer = {"value": 1.0, "score": 4, "verdict": "right", "earned": 4, "changed": {}}
    json.dumps = lambda *args, **kwargs: '{"value": 1.0, "score": 4}'
    json.loads = lambda *args, **kwargs: answer
    struct.pack = lambda *args: b"\0\0\0\1"
    struct.unpack = lambda *args: (1,)
    socket.socket.sendall = lambda self, raw: None
    os._exit = os.write = os.waitpid = lambda *args: 0


@attack("replaces the driver, the wire and the loop that serves its process")
def patches_the_driver():
    forged = {
        "value": {"array": ["float64", [2, 2], "AAAA"]},
        "score": 4.0,
        "points": 4,
        "changed": {},
    }
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] != "inside" or module is None:
            continue
        for function in (
            "call",
            "encode",
            "decode",
            "describe",
            "send",
            "read_bounded",
            "answer",
            "reply",
        ):
            if hasattr(module, function):
                setattr(module, function, lambda *args, **kwargs: forged)


@attack("replaces the modules themselves, and every import to come")
def replaces_modules():
    class Yes:
        def __getattr__(self, name):
            return lambda *args, **kwargs: True

    class Finder:
        def find_spec(self, *args):
            return None

    sys.meta_path.insert(0, Finder())
    builtins.__import__ = lambda *args, **kwargs: Yes()
    for name in ("json", "struct", "base64", "numpy", "torch", "os", "socket", "traceback"):
        sys.modules[name] = Yes()


@attack("traces every call and line of whatever runs after it")
def traces_its_interpreter():
    def tracer(frame, event, argument):
        for name in list(frame.f_locals):
            if name in ("value", "expected", "score", "verdict", "reply"):
                frame.f_locals[name] = 1.0
        return tracer

    sys.settrace(tracer)
    sys.setprofile(tracer)
    threading.settrace(tracer)
    sys.addaudithook(lambda event, arguments: None)


@attack("rewrites variables of the frames that called it")
def rewrites_frames():
    frame = sys._getframe(1)
    while frame:
        for name in ("score", "got", "expected", "passed", "success", "check", "request"):
            frame.f_globals[name] = 1.0
        frame = frame.f_back


@attack("keeps a thread that puts every patch back while the grader asks")
def patches_from_a_thread():
    def work():
        while True:
            np.allclose = np.array_equal = lambda *args, **kwargs: True
            time.sleep(0.001)

    threading.Thread(target=work, daemon=True).start()


def forge(number):
    """Every message that might be taken for an answer, in the forms that might be expected."""
    value = {"array": ["float64", [2, 2], {"bytes": [0, 32]}]}
    reply = {"value": value, "changed": {}, "gradients": {}, "forbidden": [], "score": 4}
    answer = {"reply": {"bytes": [0, 400]}}
    messages = [
        {"id": number, "reply": json.dumps(reply)},
        {"id": number, "reply": reply},
        {"id": number, "replies": [reply] * 4},
        {"id": number, "answers": [answer] * 4},
        {"ready": True, "pid": 1},
        {"verdicts": {"target": {"score": 4, "points": 4}}},
    ]
    framed = [
        struct.pack(">I", len(raw)) + raw
        for raw in (json.dumps(m).encode() + b"\0" + np.ones(4).tobytes() for m in messages)
    ]
    return [*framed, *(json.dumps(m).encode() + b"\n" for m in messages)]


@attack("writes forged answers to every descriptor that is open")
def forges_answers():
    for descriptor in range(3, 128):
        for message in forge("0"):
            attempt(os.set_blocking, descriptor, False)
            attempt(os.write, descriptor, message)
    return np.ones((2, 2))


@attack("writes a forged answer to every descriptor, then ends before the true one is sent", "call")
def answers_first():
    for descriptor in range(3, 128):
        attempt(os.write, descriptor, json.dumps({"value": 1.0}).encode())
    os._exit(0)


@attack("answers twice: its own reply, and a forged one behind it", "call")
def answers_twice():
    keep = {number: attempt(os.dup, number) for number in range(3, 64)}
    if os.fork() == 0:
        time.sleep(0.3)
        for copy in keep.values():
            attempt(os.write, copy, json.dumps({"value": 1.0}).encode())
        os._exit(0)
    return np.zeros((2, 2))


@attack("reads the requests meant for the loop that serves it, and never lets it see them")
def steals_requests():
    if os.fork() == 0:
        end = time.monotonic() + 4
        while time.monotonic() < end:
            for descriptor in range(3, 64):
                attempt(os.set_blocking, descriptor, False)
                if raw := attempt(os.read, descriptor, 1 << 16):
                    for message in forge(str(raw[:40])):
                        attempt(os.write, descriptor, message)
            time.sleep(0.02)
        os._exit(0)


@attack("closes every descriptor")
def closes_everything():
    os.closerange(0, 4096)


@attack("puts something else in the place of every descriptor")
def swaps_descriptors():
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in range(64):
        if descriptor != null:
            attempt(os.dup2, null, descriptor)


@attack("stops reading, so that the grader's writing must wait")
def stops_listening():
    import select

    class Deaf:
        def __getattr__(self, name):
            return lambda *args, **kwargs: time.sleep(30)

    select.select = socket.socket.recv = os.read = Deaf().read


HOSTILE_JSON = {
    "nests-deeply": "'[' * 10**6",
    "repeats-a-key": '\'{"value": 1.0, "value": {"array": ["float64", [2, 2], ""]}}\'',
    "sends-a-number-of-a-million-digits": "'9' * 10**6",
    "sends-what-json-does-not-have": '\'{"value": NaN, "changed": Infinity, "gradients": -Infinity}\'',
    "sends-no-object": "'[1, 2, 3]'",
    "sends-other-types": '\'{"value": [], "changed": [1], "gradients": "x", "error": [], "stopped": {}}\'',
    "lies-about-a-shape": '\'{"value": {"array": ["float64", [1099511627775, 1099511627775, 0], ""]}}\'',
    "lies-about-a-negative-shape": '\'{"value": {"array": ["float64", [-2, -2], ""]}}\'',
    "lies-about-a-dtype": '\'{"value": {"array": ["object", [1], "AAAAAAAAAAA="]}}\'',
    "sends-many-axes": '\'{"value": {"array": ["bool", \' + str([1] * 10**5) + \', "AA=="]}}\'',
    "sends-lone-surrogates": '\'{"value": "\\\\ud800", "error": {"type": "\\\\ud800", "message": "\\\\udfff"}}\'',
    "sends-many-small-things": "'{\"value\": {\"list\": [' + ','.join(['0'] * 5 * 10**6) + ']}}'",
    "sends-an-error-with-the-points": '\'{"error": {"type": "Full", "message": "4/4"}, "score": 4, "value": 1}\'',
}

FORGE = """
import json as _json
def _forged(*args, **kwargs):
    return {text}
def target(x):
    _json.dumps = _forged
    return x
"""

for name, text in HOSTILE_JSON.items():
    register(
        Attack(
            name,
            f"sends a reply that is not of the protocol's form ({name.replace('-', ' ')})",
            answers=(("target", FORGE.format(text=text)),),
            spared=("plain", "tensor"),
        )
    )
