"""Train a language model: `python -m attend.train --preset cpu --recipe modern --data stdlib`.

On several GPUs or hosts: `torchrun --nproc-per-node 4 -m attend.train …`. The same command goes on where a
run was stopped. The options are read by argparse of the standard library, because the package `attend`
needs nothing but NumPy, PyTorch and Matplotlib to be imported, in Colab too.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.distributed as dist

from attend import checkpoints
from attend.corpus import Corpus, text_of
from attend.language_model import LanguageModel, generate
from attend.recipes import PRESETS, RECIPES, recipe
from attend.training import Trainer, TrainingError

# The values that can be changed one by one; all others by their own names in Python.
OPTIONS = {
    "steps": int, "batch": int, "micro_batch": int, "layers": int, "heads": int, "width": int, "context": int,
    "dropout": float, "rate": float, "matrix_rate": float, "warmup": int, "seed": int, "log_every": int,
    "eval_every": int, "save_every": int, "patience": int,
}  # fmt: skip


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(
        prog="python -m attend.train", description=__doc__.split(":")[0]
    )
    parser.add_argument(
        "--preset", choices=PRESETS, help="size and budget; the device's by default"
    )
    parser.add_argument("--recipe", choices=RECIPES, default="modern")
    parser.add_argument(
        "--data", default="stdlib", help="stdlib, shakespeare, or the path of a text"
    )
    parser.add_argument("--out", type=Path, help="the run's folder; runs/RECIPE-DATA by default")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    for name, kind in OPTIONS.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=kind, help="in place of the preset's"
        )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 where it worked, 1 after one sentence where it did not."""
    options = parse(arguments)
    try:
        train_and_report(options)
    except (TrainingError, ValueError, FileNotFoundError, ModuleNotFoundError) as error:
        print(f"\nattend.train: {error}", file=sys.stderr)
        return 1
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
    return 0


def train_and_report(options: argparse.Namespace) -> None:
    """Train as the options say; print what was trained and a sample."""
    preset = options.preset or ("gpu" if torch.cuda.is_available() else "cpu")
    changes = {name: value for name in OPTIONS if (value := getattr(options, name)) is not None}
    context = changes.get("context", PRESETS[preset]["context"])
    corpus = Corpus(text_of(options.data), context)
    configuration, settings = recipe(options.recipe, len(corpus.vocabulary), preset, **changes)
    folder = options.out or Path("runs") / f"{options.recipe}-{Path(options.data).stem}"

    torch.manual_seed(settings.seed)  # the same initial weights each time, and in every process
    model = LanguageModel(configuration)
    trainer = Trainer(model, corpus, settings, folder, quiet=options.quiet)
    resumed = trainer.resume()
    first = trainer.rank == 0
    if first:
        checkpoints.require_safetensors()  # said now rather than after the first thousand steps
        print(
            f"{options.recipe} recipe, {model.parameter_count():,} parameters, "
            f"{len(corpus.training):,} tokens of {options.data}, on {trainer.device} "
            f"({str(trainer.precision).removeprefix('torch.')}), {trainer.processes} process(es)"
            + (f"; goes on from step {trainer.step}" if resumed else "")
        )
    trainer.run()
    if first:
        report(trainer, folder)


def report(trainer: Trainer, folder: Path) -> None:
    """Print where the run stands, and what the model writes."""
    ended = trainer.step == trainer.settings.steps
    why = (
        ""
        if ended
        else ", stopped early"
        if not trainer.stop_asked
        else ", stopped: run again to go on"
    )
    print(f"step {trainer.step} after {trainer.seconds:.0f} s of training{why}")
    if trainer.best < float("inf"):
        print(
            f"best validation loss {trainer.best:.4f} nats per token, kept in {folder / 'model.safetensors'}"
        )
        model, vocabulary = checkpoints.load_model(folder / checkpoints.WEIGHTS)
        generator = torch.Generator().manual_seed(0)
        start = trainer.corpus.validation[None, :16].long()
        text = generate(model, start, 300, generator=generator, temperature=0.8)
        print("-" * 40, vocabulary.decode(text[0]), "-" * 40, sep=os.linesep)


if __name__ == "__main__":
    sys.exit(main())
