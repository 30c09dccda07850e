"""Let a trained model write: `python -m attend.sample runs/modern-stdlib --prompt "The "`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from attend.checkpoints import WEIGHTS, load_model
from attend.devices import find_device
from attend.language_model import generate


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(
        prog="python -m attend.sample", description=__doc__.split(":")[0]
    )
    parser.add_argument("model", type=Path, help="a run's folder, or a model.safetensors")
    parser.add_argument("--prompt", default="\n", help="what the text begins with")
    parser.add_argument("--length", type=int, default=500, help="tokens to add")
    parser.add_argument(
        "--temperature", type=float, default=0.8, help="0 takes the likeliest each time"
    )
    parser.add_argument("--top-k", type=int, help="draw from so many of the likeliest tokens")
    parser.add_argument(
        "--top-p", type=float, help="draw from the likeliest tokens of this probability"
    )
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 where it worked, 1 after one sentence where it did not."""
    options = parse(arguments)
    path = options.model / WEIGHTS if options.model.is_dir() else options.model
    try:
        model, vocabulary = load_model(path)
        device = find_device()
        prompt = vocabulary.encode(options.prompt).long()[None].to(device)
        tokens = generate(
            model.to(device),
            prompt,
            options.length,
            generator=torch.Generator(device).manual_seed(options.seed),
            temperature=options.temperature,
            top_k=options.top_k,
            top_p=options.top_p,
        )
    except (ValueError, FileNotFoundError, ModuleNotFoundError) as error:
        print(f"attend.sample: {error}", file=sys.stderr)
        return 1
    print(vocabulary.decode(tokens[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
