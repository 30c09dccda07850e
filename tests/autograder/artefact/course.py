"""A small assignment about a trained model, for tests: a class `Trained`, a training cell, one question."""

import json
from pathlib import Path

import numpy as np
import safetensors.torch
import torch

from autograder.assignment import Assignment
from autograder.course import Course

NAME, NOTEBOOK = "07-lab-train", "lab_train"
SIZES = [96, 1, 1, 8, 64]
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

# Trained

```{code-cell}
---
nbgrader: {grade: false, grade_id: imports, locked: true, schema_version: 3, solution: false, task: false}
---
import torch
```

```{code-cell}
:tags: [not-graded]

training_ran = True
raise SystemExit("a grader does not train")
```

"""
# Pairs of characters: the logits of the next one are a row of a matrix.
PROGRAM = """class Trained(torch.nn.Module):
    def __init__(self, vocabulary, layers, heads, width, context):
        super().__init__()
        self.context = context
        self.embedding = torch.nn.Embedding(vocabulary, vocabulary)

    def forward(self, tokens):
        return self.embedding(tokens)


def next_logits(weights, sizes, prefixes):
    model = Trained(*sizes)
    model.load_state_dict(weights)
    model.eval()
    with torch.no_grad():
        return model(prefixes[:, -model.context:])[:, -1]
"""
QUESTION = """```{code-cell}
---
nbgrader: {grade: false, grade_id: next_logits, locked: false, schema_version: 3, solution: true, task: false}
---
### BEGIN SOLUTION
%s### END SOLUTION
```

```{code-cell}
---
nbgrader:
  {grade: true, grade_id: test_next_logits, locked: true, points: 6, schema_version: 3, solution: false, task: false}
---
assert "training_ran" not in globals()
### BEGIN HIDDEN TESTS
check("next_logits")
### END HIDDEN TESTS
```
"""
SOURCE = HEAD + QUESTION % PROGRAM


def write_course(root: Path, config: Path) -> Assignment:
    """A course with this assignment, not released yet."""
    (root / "solutions" / NAME).mkdir(parents=True)
    (root / "solutions" / NAME / f"{NOTEBOOK}.md").write_text(SOURCE)
    (root / "exercises").mkdir()
    (root / "nbgrader_config.py").write_text(config.read_text())
    return Assignment(Course(root, root / "class"), NAME)


def pairs(strength: float = 1.0) -> torch.Tensor:
    """Logits of the next character (96, 96) from the held-out prefixes themselves: it can be only that good."""
    from autograder.checks.lab_train.trained import held_out

    prefixes, _ = held_out()
    counts = np.full((96, 96), 0.05)
    np.add.at(counts, (prefixes[:, :-1].ravel(), prefixes[:, 1:].ravel()), 1)
    return torch.tensor(
        strength * np.log(counts / counts.sum(1, keepdims=True)), dtype=torch.float32
    )


def model_bytes(weights: dict | None = None, sizes: object = SIZES, **metadata: str) -> bytes:
    """A model as it is handed in."""
    weights = {"embedding.weight": pairs()} if weights is None else weights
    told = (
        {} if sizes is None else {"sizes": sizes if isinstance(sizes, str) else json.dumps(sizes)}
    )
    return safetensors.torch.save(weights, {**told, **metadata})
