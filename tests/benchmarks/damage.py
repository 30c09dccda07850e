"""Ways in which hand-ins come damaged: from a notebook's JSON to what is found in the folder."""

import codecs
import copy
import json
from collections.abc import Callable
from typing import Any


def _named(notebook: dict, name: str) -> dict:
    [cell] = [cell for cell in notebook["cells"] if cell["id"] == name]
    return cell


def _copied(notebook: dict, name: str) -> dict:
    notebook["cells"].append(copy.deepcopy(_named(notebook, name)))
    return notebook


def _deleted(notebook: dict, name: str) -> dict:
    notebook["cells"] = [cell for cell in notebook["cells"] if cell["id"] != name]
    return notebook


def _retyped(notebook: dict) -> dict:
    cell = _named(notebook, "test_additive_scores")
    cell["cell_type"] = "markdown"
    del cell["outputs"], cell["execution_count"]
    return notebook


def _flagged(notebook: dict) -> dict:
    for cell in notebook["cells"]:
        nbgrader = cell["metadata"].get("nbgrader", {})
        nbgrader |= {"grade": False, "solution": True, "locked": False, "points": 100}
    return notebook


def _nothing_in(notebook: dict, key: str) -> dict:
    notebook["cells"][3]["metadata"][key] = None
    return notebook


def _bloated(notebook: dict) -> dict:
    text = "x" * 40_000_000
    output = {"output_type": "stream", "name": "stdout", "text": text}
    _named(notebook, "setup")["outputs"] = [output]
    return notebook


def _plain(notebook: dict) -> dict:
    for cell in notebook["cells"]:
        cell["metadata"].pop("nbgrader", None)
    return notebook


DAMAGES: dict[str, Callable[[dict], Any]] = {
    "empty-folder": lambda _: None,
    "empty-file": lambda _: "",
    "sign-in-page": lambda _: "<html>Sign in to download</html>",
    "json-but-no-notebook": lambda _: "[1, 2, 3]",
    "truncated": lambda nb: json.dumps(nb)[: len(json.dumps(nb)) // 2],
    "zeroes": lambda _: bytes(1000),
    "byte-order-mark": lambda nb: codecs.BOM_UTF8 + json.dumps(nb).encode(),
    "utf-16": lambda nb: json.dumps(nb).encode("utf-16"),
    "latin-1": lambda nb: json.dumps(nb, ensure_ascii=False).encode("latin-1", "replace"),
    "huge-output": _bloated,
    "nested-too-deep": lambda _: "[" * 100_000,
    "copied-cell": lambda nb: _copied(nb, "text_scaled_dot_scores"),
    "copied-check": lambda nb: _copied(nb, "test_additive_scores"),
    "deleted-check": lambda nb: _deleted(nb, "test_scaled_dot_scores"),
    "deleted-text": lambda nb: _deleted(nb, "text_scaled_dot_scores"),
    "retyped-check": _retyped,
    "flags-changed": _flagged,
    "no-nbgrader-metadata": _plain,
    "null-metadata": lambda nb: _nothing_in(nb, "nbgrader"),
    "cells-of-numbers": lambda nb: nb | {"cells": [1, 2, 3]},
    "no-cells": lambda nb: {key: nb[key] for key in nb if key != "cells"},
    "lone-surrogate": lambda nb: json.dumps(nb).replace("import math", r"import math  # \ud83d", 1),
}
