"""The hidden tests in stock nbgrader's style: called and judged inside the student's own interpreter.

The text of this file is the helper part of the stock course's hidden tests; the bare run, which only makes
the calls, imports it.
"""

import copy
from contextlib import nullcontext

import numpy as np
import torch

from autograder.judge import alike, failure
from autograder.shell.inside.held import Held


def as_arrays(value):
    """The value with its tensors as arrays."""
    if isinstance(value, torch.Tensor):
        return value.detach().numpy()
    if isinstance(value, np.generic):
        return np.asarray(value)
    if isinstance(value, list | tuple):
        return [as_arrays(item) for item in value]
    return value


def prepare(case, name, value, library):
    """An argument as the function gets it."""
    if isinstance(value, list):
        return [prepare(case, name, item, library) for item in value]
    if not isinstance(value, np.ndarray):
        return value
    if name in case.strided:
        if value.ndim < 2:
            value = np.repeat(value, 2)[::2]
        else:
            value = np.ascontiguousarray(value.swapaxes(-1, -2)).swapaxes(-1, -2)
    if library == "torch":
        return torch.from_numpy(value).requires_grad_(name in case.gradient_of)
    return value


def call(function, case, library):
    """The function's value on a case, the gradients asked for, and the arguments after the call."""
    arguments = copy.deepcopy(case.arguments)
    arguments = {name: prepare(case, name, value, library) for name, value in arguments.items()}
    leaves = dict(arguments)
    if case.construct is not None:
        function = function(*case.construct)
        state = {name: torch.from_numpy(array) for name, array in case.state.items()}
        function.load_state_dict(state)
        leaves |= dict(function.named_parameters())
    held = Held() if case.held_bytes is not None else None
    stream = held.stream if held else iter
    given = {n: stream(v) if n in case.iterators else v for n, v in arguments.items()}
    with held or nullcontext():
        value = function(*given.values())
    reply = {"value": as_arrays(value), "gradients": {}, "held": held and held.bytes()}
    if case.upstream is not None:
        names = [name for name in case.gradient_of if name in leaves]
        total = (value * torch.from_numpy(case.upstream)).sum()
        found = torch.autograd.grad(total, [leaves[n] for n in names], allow_unused=True)
        reply["gradients"] = dict(zip(names, map(as_arrays, found), strict=True))
    after = {name: as_arrays(value) for name, value in arguments.items()}
    reply["changed"] = {n: a for n, a in after.items() if not alike(case.arguments[n], a)}
    return reply


def calls(function, question, cases):
    """The replies to all cases; an exception is a reply too."""
    replies = []
    for case in cases:
        try:
            replies.append(call(function, case, question.library))
        except Exception as error:
            told = {"type": type(error).__name__, "message": str(error), "line": ""}
            replies.append({"error": told})
    return replies


def points(question, function, reference):
    """The points of the aspects that hold, for nbgrader's partial credit."""
    cases = question.draw(0)
    expected, got = calls(reference, question, cases), calls(function, question, cases)
    return float(sum(a.points for a in question.aspects if holds(a, cases, expected, got)))


def holds(aspect, cases, expected, got):
    """Whether an aspect has no fault in any of its cases."""
    for case, want, have in zip(cases, expected, got, strict=True):
        concerned = not aspect.cases or case.name in aspect.cases
        if concerned and (failure(have) or aspect.judge(case, want, have)):
            return False
    return True
