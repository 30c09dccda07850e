"""What the modern recipe is worth: time to the baseline's loss, each change by itself, what lowers overfitting.

The text is given by TINY_SHAKESPEARE=path, and nothing is downloaded.
"""

import os
import time
from pathlib import Path
from typing import Any

import torch
from attend.corpus import Corpus
from attend.language_model import LanguageModel
from attend.recipes import recipe
from attend.training import Trainer

from .figures import Absent, Measured, of_repeats

SEEDS = (0, 1, 2)
# Of the issue that asked for the figures; what is left out is in `attend.recipes.Settings`.
CPU = {"layers": 4, "heads": 4, "width": 128, "context": 64, "batch": 12, "steps": 2000}
GPU = {"layers": 6, "heads": 6, "width": 384, "context": 256, "batch": 64, "steps": 5000}
# How the modern recipe runs the same race: chosen on a tenth of the training text, held out from it.
MODERN_CPU = {"batch": 8, "steps": 260, "matrix_rate": 0.015}
MODERN_GPU = {"batch": 64, "steps": 600}
# GPT-2 small (Radford et al. 2019), for utilisation; tokens as many as its vocabulary, in a batch of 16.
SMALL = {"vocabulary": 50304, "layers": 12, "heads": 12, "width": 768, "context": 1024, "batch": 16}
PEAK = {
    "H200": 989e12,
    "H100": 989e12,
    "A100": 312e12,
    "T4": 65e12,
}  # dense bf16 (T4: fp16), makers' data sheets


def shakespeare() -> str:
    """The text, or Absent."""
    path = os.environ.get("TINY_SHAKESPEARE", "")
    if not Path(path).is_file():
        raise Absent("give the text's path: make bench ONLY=lm-cpu TINY_SHAKESPEARE=path")
    return Path(path).read_text(encoding="utf-8")


def trainer(text: str, name: str, held_out: float = 0.1, **changes: Any) -> Trainer:
    """A recipe at the start of its training; unless told otherwise all of the held-out text is looked at."""
    corpus = Corpus(text, changes["context"], held_out=held_out)
    configuration, settings = recipe(
        name, len(corpus.vocabulary), **{"eval_windows": 10**6, "eval_every": 10**9} | changes
    )
    torch.manual_seed(settings.seed)
    return Trainer(LanguageModel(configuration), corpus, settings, quiet=True)


def race(text: str, seed: int, baseline: dict, modern: dict) -> tuple[float, float, float, float]:
    """The loss and the seconds of a whole baseline run, the modern recipe's seconds to that loss, and its end's loss.

    Seconds are of training, without validation. Raises RuntimeError where the loss is not reached.
    """
    first = trainer(text, "gpt2", seed=seed, **baseline)
    first.run()
    goal = first.best
    every = max(1, modern["steps"] // 28)
    second = trainer(text, "modern", seed=seed, eval_every=every, **baseline | modern)
    second.run()
    for row in second.curves.rows:
        if row["validation_loss"] is not None and row["validation_loss"] <= goal:
            return goal, first.seconds, row["seconds"], second.best
    raise RuntimeError(
        f"seed {seed}: the modern recipe ended at {second.best:.4f}, above {goal:.4f}"
    )


def races(baseline: dict, modern: dict) -> tuple[Measured, list[tuple[float, float, float, float]]]:
    """The ratio of times over all seeds, and what each race found."""
    text = shakespeare()
    found = [race(text, seed, baseline, modern) for seed in SEEDS]
    note = "; ".join(
        f"seed {seed}: {goal:.4f} nats after {slow:.1f} s and {fast:.1f} s, best {best:.4f}"
        for seed, (goal, slow, fast, best) in zip(SEEDS, found, strict=True)
    )
    return of_repeats([fast / slow for _, slow, fast, _ in found], note), found


def cpu() -> dict[str, Measured]:
    """The race on the processor, with as many threads as there are cores."""
    if torch.cuda.is_available():
        raise Absent(
            "there is a GPU, which the trainer would take: hide it (CUDA_VISIBLE_DEVICES=)"
        )
    return {"lm-cpu": races(CPU, MODERN_CPU)[0]}


def gpu() -> dict[str, Measured]:
    """The race on a CUDA device, the best losses' difference, and the utilisation at 124 million parameters."""
    if not torch.cuda.is_available():
        raise Absent("there is no CUDA device")
    ratio, found = races(GPU | {"dropout": 0.2}, MODERN_GPU)
    gains = [best - goal for goal, _, _, best in found]
    return {"lm-gpu": ratio, "lm-gpu-loss": of_repeats(gains), "lm-utilisation": utilisation()}


def peak(device: str) -> float:
    """The arithmetic that a device's maker promises, FLOP/s."""
    known = [flops for name, flops in PEAK.items() if name in device]
    if not known:
        raise Absent(f"the peak of {device} is not known here: add it to PEAK")
    return known[0]


def utilisation() -> Measured:
    """Model FLOP of training over the device's peak, with tokens/s and memory in the note."""
    name = torch.cuda.get_device_name()
    seconds, flops, tokens = speed(SMALL)
    memory = torch.cuda.max_memory_allocated() / 1e9
    note = f"{name}: {tokens / seconds:,.0f} tokens/s, {memory:.1f} GB at most"
    return Measured(flops / seconds / peak(name), note=note)


class RandomTokens:
    """As much of a `Corpus` as single steps need: the time of a step does not depend on its text."""

    def __init__(self, vocabulary: int, context: int) -> None:
        self.vocabulary, self.context = range(vocabulary), context

    def batch(self, size: int, seed: int, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets (size, context)."""
        chance = torch.Generator().manual_seed(seed + step)
        rows = torch.randint(len(self.vocabulary), (size, self.context + 1), generator=chance)
        return rows[:, :-1], rows[:, 1:]


def speed(sizes: dict[str, int], warm_up: int = 10, steps: int = 30) -> tuple[float, float, int]:
    """Seconds, model FLOP and tokens of some steps of the modern recipe, after some that are not counted."""
    configuration, settings = recipe("modern", micro_batch=sizes["batch"], **sizes)
    corpus = RandomTokens(configuration.vocabulary, configuration.context)
    run = Trainer(LanguageModel(configuration), corpus, settings, quiet=True)
    run.plain.train()
    for run.step in range(warm_up + steps):
        if run.step == warm_up:
            wait(run.device)
            began = time.perf_counter()
        run.accumulate()
        run.update()
    wait(run.device)
    tokens = steps * settings.batch * configuration.context
    return time.perf_counter() - began, run.plain.flops_per_token() * tokens, tokens


def wait(device: torch.device) -> None:
    """Until all that was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
