"""The assignment that is attacked: small, so that a class of it is quick. Canaries are written into it."""

WRONG = "def target(x):\n    return -x"
RIGHT = {
    "target": "def target(x):\n    return np.tanh(x) @ np.swapaxes(x, -1, -2)",
    "plain": "def plain(x):\n    return 2 * x + 1",
    "tensor": "def tensor(x):\n    return torch.tanh(x) * 3",
}
POINTS = {"target": 4, "plain": 2, "tensor": 2}

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
from autograder.question import Aspect, Case, Question
from autograder.shell.limits import Limits

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


@target.misconception("The sign is wrong.")
def negative(x):
    return -x


QUESTIONS = [target, plain, tensor]
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
