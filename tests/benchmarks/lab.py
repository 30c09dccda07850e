"""`python -m tests.benchmarks.lab [changes] [overfitting]`: measure the tables of the book's page on training.

They go to book/attend/measured/; the text is tiny Shakespeare, given by TINY_SHAKESPEARE=path. Each training
has one core, and as many run at once as there are cores.
"""

import csv
import sys
from collections.abc import Callable
from itertools import chain
from typing import Any

import torch
from attend.recipes import CHANGES
from joblib import Parallel, delayed
from rich.progress import track

from .figures import ROOT
from .language import CPU, SEEDS, shakespeare, trainer

MEASURED = ROOT / "book" / "attend" / "measured"
STEPS = 300
OVERFITTING_STEPS = 800
# Little text, so that a model of the size of the others learns it by heart.
LITTLE = 60_000
OVERFITTING: dict[str, dict[str, Any]] = {
    "nothing": {},
    "dropout 0.2": {"dropout": 0.2},
    "weight decay 1": {"weight_decay": 1.0},
    "half the width": {"width": 64},
    "four times the text": {},
}
Row = dict[str, Any]


def recipes() -> list[tuple[str, dict[str, Any]]]:
    """The table's rows: the baseline, then one change more each time."""
    rows, changes = [("GPT-2-style baseline", {})], {}
    for name, change in CHANGES:
        changes = changes | change
        rows.append((name, changes))
    return rows


def changed(text: str, name: str, changes: dict[str, Any], seed: int) -> list[Row]:
    """What a recipe reaches in as many steps as every other."""
    torch.set_num_threads(1)
    run = trainer(text, "gpt2", seed=seed, **CPU | {"steps": STEPS} | changes)
    run.run()
    loss = f"{run.best:.4f}"
    return [
        {"change": name, "seed": seed, "steps": STEPS, "seconds": f"{run.seconds:.1f}", "validation_loss": loss}
    ]  # fmt: skip


def overfitted(text: str, name: str, changes: dict[str, Any], seed: int) -> list[Row]:
    """How well the modern recipe knows a little text, and another; the latter is the end of the whole."""
    torch.set_num_threads(1)
    held_out = len(text) // 10
    size = LITTLE * (4 if name == "four times the text" else 1)
    part = text[:size] + text[-held_out:]
    sizes = CPU | {"steps": OVERFITTING_STEPS, "eval_every": 40, "eval_windows": 400}
    run = trainer(part, "modern", held_out=held_out / len(part), seed=seed, **sizes | changes)
    run.run()
    steps, losses = run.curves.column("validation_loss")
    # Not the curve's training loss, which dropout raises: the finished model's, as for held-out text.
    run.corpus.validation = run.corpus.training
    return [
        {
            "change": name,
            "seed": seed,
            "steps": steps[-1],
            "training_loss": f"{run.validate():.4f}",
            "validation_loss": f"{losses[-1]:.4f}",
            "best_validation_loss": f"{min(losses):.4f}",
            "best_step": steps[losses.index(min(losses))],
        }
    ]


TABLES: dict[str, tuple[Callable[..., list[Row]], Callable[[], list]]] = {
    "changes": (changed, recipes),
    "overfitting": (overfitted, lambda: list(OVERFITTING.items())),
}


def main(names: list[str]) -> int:
    """Measure the named tables, or both."""
    text = shakespeare()
    for name in names or TABLES:
        measure, rows = TABLES[name]
        jobs = [delayed(measure)(text, *row, seed) for seed in SEEDS for row in rows()]
        done = Parallel(n_jobs=-1, return_as="generator")(jobs)
        found = chain.from_iterable(track(done, name, total=len(jobs)))
        write(name, list(found))
    return 0


def write(name: str, rows: list[Row]) -> None:
    """Put a table in the place of the old one, whole."""
    MEASURED.mkdir(parents=True, exist_ok=True)
    part = MEASURED / f"{name}.part"
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    part.replace(MEASURED / f"{name}.csv")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
