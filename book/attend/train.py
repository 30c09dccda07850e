"""Train a language model: `python -m attend.train --preset cpu --recipe modern --data stdlib`.

On several GPUs or hosts: `torchrun --nproc-per-node 4 -m attend.train …`. The same command goes on where a
run was stopped. The options are read by argparse of the standard library, because the package `attend`
needs nothing but NumPy, PyTorch and Matplotlib to be imported, in Colab too.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.distributed as dist

from attend import checkpoints
from attend.corpus import BytePairs, Corpus, split, text_of
from attend.devices import find_device, out_of_memory
from attend.language_model import LanguageModel, generate
from attend.recipes import PRESETS, RECIPES, recipe
from attend.training import Trainer, TrainingError

# Values of the preset and of the recipe that can be changed one by one: type, least value, meaning.
OPTIONS: dict[str, tuple[type, float, str]] = {
    "steps": (int, 1, "updates of the weights"),
    "batch": (int, 1, "windows in a step, over all processes"),
    "micro_batch": (int, 1, "windows computed at once; lower it where memory is short"),
    "layers": (int, 1, "blocks"),
    "heads": (int, 1, "heads in each block"),
    "width": (int, 1, "features of each token"),
    "context": (int, 1, "tokens that the model sees at once"),
    "dropout": (float, 0, "share of activations set to 0 in training"),
    "rate": (float, 0, "highest learning rate of AdamW"),
    "matrix_rate": (float, 0, "highest learning rate of Muon"),
    "warmup": (int, 0, "steps in which the rates rise"),
    "seed": (int, 0, "of the first weights, of the windows and of dropout"),
    "log_every": (int, 1, "steps between two looks at the loss"),
    "eval_every": (int, 1, "steps between two validations"),
    "save_every": (int, 1, "steps between two checkpoints"),
    "patience": (int, 0, "stop after so many validations without a better one; 0: never"),
}


def at_least(least: float, kind: type) -> Callable[[str], float]:
    """A type for argparse: a number that is not less than this one."""

    def number(text: str) -> float:
        if (value := kind(text)) < least:
            raise argparse.ArgumentTypeError(f"{text} is less than {least}")
        return value

    number.__name__ = kind.__name__  # argparse says "invalid int value"
    return number


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(
        prog="python -m attend.train",
        description="Train a language model, or go on where the same command was stopped.",
        epilog="On several GPUs: torchrun --nproc-per-node 4 -m attend.train … (the same options).",
    )
    parser.add_argument("--preset", choices=PRESETS, help="size and budget (default: the device's)")
    parser.add_argument(
        "--recipe", choices=RECIPES, default="modern", help="how to train (default: modern)"
    )
    parser.add_argument(
        "--data",
        default="stdlib",
        metavar="NAME|FILE",
        help="stdlib (Python's own documentation, already here; the default), shakespeare (1 MB) or "
        "tinystories (19 MB), downloaded once and checked, or a UTF-8 text file",
    )
    parser.add_argument(
        "--tokens",
        choices=("characters", "byte-pairs"),
        default="characters",
        help="how the text is cut (default: characters)",
    )
    parser.add_argument(
        "--vocabulary",
        type=at_least(257, int),
        default=1024,
        metavar="N",
        help="how many byte pairs and bytes there may be (default: 1024)",
    )
    parser.add_argument("--out", type=Path, help="the run's folder (default: runs/RECIPE-DATA)")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    values = parser.add_argument_group("in place of the preset's and the recipe's values")
    for name, (kind, least, meaning) in OPTIONS.items():
        option = f"--{name.replace('_', '-')}"
        values.add_argument(option, type=at_least(least, kind), metavar="N", help=meaning)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 where it worked, 1 after one sentence where it did not."""
    options = parse(arguments)
    try:
        train_and_report(options)
    except (TrainingError, ValueError, FileNotFoundError, ModuleNotFoundError) as error:
        return complain(str(error))
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        return complain("out of memory outside of the steps: lower the layers, width or context")
    except KeyboardInterrupt:
        return complain("interrupted: the same command goes on from the last checkpoint")
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
    return 0


def complain(sentence: str) -> int:
    """Say why the command failed; returns its exit status."""
    print(f"\nattend.train: {sentence}", file=sys.stderr)
    return 1


def train_and_report(options: argparse.Namespace) -> None:
    """Train as the options say; print what was trained and a sample."""
    preset = options.preset or ("gpu" if find_device().type == "cuda" else "cpu")
    changes = {name: value for name in OPTIONS if (value := getattr(options, name)) is not None}
    checkpoints.require_safetensors()  # said now rather than after the first thousand steps
    corpus = read_corpus(options, changes.get("context", PRESETS[preset]["context"]))
    configuration, settings = recipe(options.recipe, len(corpus.vocabulary), preset, **changes)

    torch.manual_seed(settings.seed)  # the same initial weights each time, and in every process
    model = LanguageModel(configuration)
    trainer = Trainer(model, corpus, settings, folder_of(options), quiet=options.quiet)
    resumed = trainer.resume()
    if trainer.rank == 0:
        print(
            f"{options.recipe} recipe, {model.parameter_count():,} parameters, "
            f"{len(corpus.training):,} tokens of {options.data} ({len(corpus.vocabulary)} different "
            f"ones, {corpus.bytes_per_token:.2f} bytes each), on {trainer.device} "
            f"({str(trainer.precision).removeprefix('torch.')}), {trainer.processes} process(es)"
            + (f"; goes on from step {trainer.step}" if resumed else "")
        )
    trainer.run()
    if trainer.rank == 0:
        report(trainer)


def read_corpus(options: argparse.Namespace, context: int) -> Corpus:
    """The text that the options name, cut as they say."""
    text = text_of(options.data)
    if options.tokens == "characters":
        return Corpus(text, context)
    return Corpus(text, context, BytePairs.of(split(text)[0], options.vocabulary))


def folder_of(options: argparse.Namespace) -> Path:
    """Where the run is kept: each recipe, text and cutting has a folder of its own."""
    cut = f"-{options.vocabulary}" if options.tokens == "byte-pairs" else ""
    return options.out or Path("runs") / f"{options.recipe}-{Path(options.data).stem}{cut}"


def report(trainer: Trainer) -> None:
    """Print where the run stands, and what the model writes."""
    if trainer.step == trainer.settings.steps:
        why = ""
    else:
        why = ", stopped: run again to go on" if trainer.stop_asked else ", stopped early"
    print(f"step {trainer.step} after {trainer.seconds:.0f} s of training{why}")
    if trainer.best < float("inf"):
        path = trainer.folder / checkpoints.WEIGHTS
        print(
            f"best validation loss {trainer.best:.4f} nats per token, "
            f"{trainer.corpus.bits_per_byte(trainer.best):.4f} bits per byte, kept in {path}"
        )
        model, vocabulary = checkpoints.load_model(path)
        generator = torch.Generator().manual_seed(0)
        start = trainer.corpus.validation[None, :16].long()
        text = generate(model, start, 300, generator=generator, temperature=0.8)
        print("-" * 40, vocabulary.decode(text[0]), "-" * 40, sep=os.linesep)


if __name__ == "__main__":
    sys.exit(main())
