"""The assignment that is attacked: small, so that a class of it is quick. Canaries are written into it."""

import safetensors.torch
import torch

WRONG = "def target(x):\n    return -x"
RIGHT = {
    "target": "def target(x):\n    return np.tanh(x) @ np.swapaxes(x, -1, -2)",
    "plain": "def plain(x):\n    return 2 * x + 1",
    "tensor": "def tensor(x):\n    return torch.tanh(x) * 3",
    "rate": "def rate(weights, sizes, prefixes):\n    return weights['weight'][prefixes[:, -1]]",
}
POINTS = {"target": 4, "plain": 2, "tensor": 2, "rate": 2}

# Small enough that no bomb troubles the machine, large enough for honest work.
LIMITS = dict(
    cell_seconds=2,
    check_seconds=2,
    notebook_seconds=60,
    cpu_seconds=10,
    memory_bytes=500_000_000,
    processes=16,
    file_bytes=8_000_000,
    disk_bytes=16_000_000,
)

CHECKS = '''"""Hidden checks of the attacked assignment. {canary}"""

import numpy as np

from autograder.judge import dtype, shape, untouched, values
from autograder.question import Artefact, Aspect, Case, Fault, Question
from autograder.shell.limits import Limits
from autograder.weights import read_weights

LIMITS = Limits(**{limits!r})


def cases(rng):
    yield Case("small", {{"x": rng.integers(1, 9, (2, 3)) / 4}})
    yield Case("batch", {{"x": rng.normal(size=(2, 3, 4))}})
    yield Case("single", {{"x": rng.normal(size=(2, 3, 4)).astype("float32")}})
    yield Case("strided", {{"x": rng.normal(size=(3, 5))}}, strided=("x",))


def gradients(rng):
    yield Case("small", {{"x": rng.normal(size=(2, 3))}}, rng.normal(size=(2, 3)), ("x",))


target = Question("target", "Attacked", cases, (
    Aspect("shape", 1, shape()),
    Aspect("values", 2, values()),
    Aspect("dtype", 0.5, dtype(), ("single",)),
    Aspect("untouched", 0.5, untouched()),
))
plain = Question("plain", "Not attacked", cases, (Aspect("values", 2, values()),))
tensor = Question("tensor", "With gradients", gradients, (
    Aspect("values", 1, values()),
    Aspect("gradient", 1, values("gradients", "x")),
), library="torch")


# A text in which each of four symbols has one that follows it most often.
_draw = np.random.default_rng(7)
_text = [0]
for _ in range(4000):
    _text.append((3 * _text[-1] + 1) % 4 if _draw.random() < 0.9 else int(_draw.integers(4)))
TEXT = np.array(_text)
STARTS = np.arange(0, 3900, 40)


def prefixes_of(rng, raw):
    weights = read_weights(raw, 5)
    for name, starts in (("all", STARTS), ("some", rng.choice(STARTS, 4, replace=False))):
        prefixes = TEXT[starts[:, None] + np.arange(5)]
        arguments = {{"weights": weights.arrays, "sizes": weights.sizes, "prefixes": prefixes}}
        yield Case(name, arguments, target=(TEXT[starts + 5], np.searchsorted(STARTS, starts)))


def losses(case, reply):
    logits = np.asarray(reply["value"], float)
    logits = logits - logits.max(1, keepdims=True)
    targets = case.target[0]
    return np.log(np.exp(logits).sum(1)) - logits[np.arange(len(targets)), targets]


def rated(case, first, got):
    if first:
        among = {{**first, "value": first["value"][case.target[1]]}}
        same = np.abs(losses(case, among) - losses(case, got)).mean() < 0.02
        return None if same else Fault("It depends on the others.")
    return None if losses(case, got).mean() < 0.8 else Fault("It is no model.")


rate = Question("rate", "A file", prefixes_of, (Aspect("loss", 2, rated),), library="torch",
                artefact=Artefact("model.safetensors", 1_000_000, "Hand one in."))


@target.misconception("The sign is wrong.")
def negative(x):
    return -x


QUESTIONS = [target, plain, tensor, rate]
'''

CELL = """```{{code-cell}}
---
nbgrader:
  cell_type: code
  grade: {grade}
  grade_id: {name}
  locked: {locked}
{points}  schema_version: 3
  solution: {solution}
  task: false
---
{source}
```
"""

HEAD = """---
jupytext:
  formats: md:myst,ipynb
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# Attacked

"""

WRITTEN = """
+++ {"nbgrader": {"cell_type": "markdown", "grade": true, "grade_id": "written", "locked": false, \
"points": 1, "schema_version": 3, "solution": true, "task": false}}

### BEGIN SOLUTION
Nothing.
### END SOLUTION
"""


def model_bytes() -> bytes:
    """An honest model: the logits of what follows each symbol."""
    follows = torch.zeros(4, 4)
    follows[torch.arange(4), (3 * torch.arange(4) + 1) % 4] = 3.5
    return safetensors.torch.save({"weight": follows}, {"sizes": "[4, 1, 1, 4, 5]"})


def source(canary: str) -> str:
    """The instructor's MyST notebook; its solutions hold the canary."""
    cells = [_cell("imports", "import numpy as np\nimport torch", locked=True)]
    for name, program in RIGHT.items():
        head, body = program.split("\n", 1)
        hidden = f"    # {canary}\n{body}"
        answer = f"{head}\n    ### BEGIN SOLUTION\n{hidden}\n    ### END SOLUTION"
        check = f'assert callable({name})\n### BEGIN HIDDEN TESTS\ncheck("{name}")\n### END HIDDEN TESTS'
        cells += [
            _cell(name, answer, solution=True),
            _cell(f"test_{name}", check, locked=True, points=POINTS[name]),
        ]
    return HEAD + "\n".join(cells) + WRITTEN


def checks(canary: str) -> str:
    """The module of its hidden checks."""
    return CHECKS.format(canary=canary, limits=LIMITS)


def _cell(
    name: str, source: str, locked: bool = False, solution: bool = False, points: int = 0
) -> str:
    flags = {
        key: str(value).lower()
        for key, value in (("grade", bool(points)), ("locked", locked), ("solution", solution))
    }
    worth = f"  points: {points}\n" if points else ""
    return CELL.format(name=name, source=source, points=worth, **flags)
