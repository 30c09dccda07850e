"""One call of the student's function: inputs in, outputs out. It knows no answer and gives no verdict.

The trusted side runs the same driver on the instructor's solution and on the named misconceptions,
so all three are called in exactly the same way.
"""

import math
import traceback
from contextlib import nullcontext
from typing import Any

import numpy as np

from . import wire
from .held import Held
from .trap import noting


def call(namespace: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    """Call what `request` names in `namespace`; the reply is a JSON tree and never an exception.

    Request: `function`; `arguments` (name -> encoded value, given by position); `library` ("numpy" or
    "torch": what arrays become, those of a dictionary too); `strided` (arrays made non-contiguous); `iterators`
    (lists given as one-pass iterators); `construct` and `state` (a class is built and its weights
    loaded first, if there are any; without arguments its state is the value);
    `upstream` and `gradient_of` (ask for gradients of sum(upstream * output)); `forbidden` (full names
    of callables whose calls are reported); `measured` (ask for the bytes held beside the iterators).
    Reply: `value`, `changed` (the arguments, but for dictionaries, that are not as they were), `gradients`,
    `held`, or `error` with `type`, `message` and `line`; beside either, `forbidden` lists those that were called.
    """
    called: set[str] = set()
    try:
        reply = _call(namespace, request, called)
    except BaseException as error:
        reply = {"error": describe(error)}
    return {**reply, "forbidden": sorted(called)}


def _call(namespace: dict[str, Any], request: dict[str, Any], called: set[str]) -> dict[str, Any]:
    if request["function"] not in namespace:
        raise NameError(f"{request['function']} is not defined")
    arguments = {
        name: _prepare(name, wire.decode(tree), request)
        for name, tree in request["arguments"].items()
    }
    given, leaves = dict(arguments), dict(arguments)
    held = Held() if request.get("measured") else None
    for name in request.get("iterators", ()):
        arguments[name] = held.stream(arguments[name]) if held else iter(arguments[name])
    with noting(request.get("forbidden", ()), namespace, called), held or nullcontext():
        function = namespace[request["function"]]
        if request.get("construct") is not None:
            function = _construct(function, request)
            leaves |= dict(function.named_parameters())
        if request.get("construct") is None or arguments:
            value = function(*arguments.values())
        else:
            value = function.state_dict()
    reply = {"value": wire.encode(value), "held": held.bytes() if held else None}
    if request.get("upstream") is not None:
        reply["gradients"] = _gradients(value, leaves, request)
    # A dictionary holds a model's weights: too much to compare, and nobody's loss if they are changed.
    watched = {name: value for name, value in given.items() if not isinstance(value, dict)}
    after = {name: wire.encode(argument, most=math.inf) for name, argument in watched.items()}
    reply["changed"] = {
        name: tree for name, tree in after.items() if tree != request["arguments"][name]
    }
    return reply


def _construct(class_: Any, request: dict[str, Any]) -> Any:
    """A module of the class with the request's weights, or without any with its own, in evaluation mode."""
    import torch

    module = class_(*[wire.decode(tree) for tree in request["construct"]])
    state = {name: torch.from_numpy(wire.decode(tree)) for name, tree in request["state"].items()}
    if state:
        module.load_state_dict(state)
    module.eval()
    return module


def _prepare(name: str, value: Any, request: dict[str, Any]) -> Any:
    if isinstance(value, list):
        return [_prepare(name, item, request) for item in value]
    if isinstance(value, dict):
        return {key: _prepare(name, item, request) for key, item in value.items()}
    if not isinstance(value, np.ndarray):
        return value
    if name in request.get("strided", ()):
        value = _strided(value)
    if request.get("library") != "torch":
        return value
    import torch

    # from_numpy keeps the strides; only arrays that take part in the gradient become leaves of it.
    return torch.from_numpy(value).requires_grad_(name in request.get("gradient_of", ()))


def _strided(array: np.ndarray) -> np.ndarray:
    """The same values in a layout that neither `reshape` nor `view` can flatten without a copy."""
    if array.ndim < 2:
        return np.repeat(array, 2)[::2]
    return np.ascontiguousarray(array.swapaxes(-1, -2)).swapaxes(-1, -2)


def _gradients(value: Any, leaves: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    """The gradients by arguments and, of a module, by parameters; a name that is neither gives None."""
    import torch

    upstream = torch.from_numpy(wire.decode(request["upstream"]))
    names = [name for name in request["gradient_of"] if name in leaves]
    found = torch.autograd.grad(
        (value * upstream).sum(), [leaves[name] for name in names], allow_unused=True
    )
    return {name: wire.encode(gradient) for name, gradient in zip(names, found, strict=True)}


def describe(error: BaseException) -> dict[str, str]:
    """The exception as three texts: type, message, and the student's line that raised it."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__]
    line = next(
        (f.line for f in reversed(frames) if f.line and "site-packages" not in f.filename), ""
    )
    return {
        "type": type(error).__name__[:100],
        "message": str(error)[:1000],
        "line": (line or "")[:200],
    }
