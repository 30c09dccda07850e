"""What to train and how, in plain values: the baseline, what the modern recipe changes, three sizes.

The modern recipe is the baseline and all `CHANGES`, one after another, so that a table can show what each
of them is worth.
"""

from dataclasses import dataclass, fields
from typing import Any

from attend.language_model import Configuration

__all__ = ["CHANGES", "PRESETS", "RECIPES", "Settings", "recipe"]


@dataclass(frozen=True)
class Settings:
    """How to train, in plain values.

    Args:
        steps, batch: how many updates; how many windows each sees, over all processes.
        micro_batch: windows computed at once: lower it where memory is short, the result stays the same.
        optimizer: "adamw" (Loshchilov and Hutter 2019), or "muon" for the matrices and AdamW for the rest.
        rate, matrix_rate: the highest learning rate of AdamW; of Muon.
        beta1, beta2, momentum: how much of the past AdamW's two means and Muon's mean keep.
        weight_decay: of the matrices; norms, biases and embeddings have none.
        clip: gradients are scaled down to this norm over all parameters; 0 leaves them alone.
        schedule: "cosine", or "stable" (after the warm-up constant, then a linear fall; Hägele et al. 2024).
        warmup: steps in which the rates rise. floor: their last value as a share of the highest.
        decay: the share of the steps that the fall of "stable" takes.
        seed: of the windows and of dropout.
        log_every, eval_every, save_every: steps between two looks at the loss, validations, checkpoints.
        eval_windows: windows of a validation.
        patience: stop after so many validations without a new best loss; 0 never.
    """

    steps: int = 2000
    batch: int = 12
    micro_batch: int = 64
    optimizer: str = "adamw"
    rate: float = 1e-3
    matrix_rate: float = 0.02
    beta1: float = 0.9
    beta2: float = 0.99
    momentum: float = 0.95
    weight_decay: float = 0.1
    clip: float = 1.0
    schedule: str = "cosine"
    warmup: int = 100
    floor: float = 0.1
    decay: float = 0.5
    seed: int = 0
    log_every: int = 10
    eval_every: int = 250
    eval_windows: int = 256
    save_every: int = 500
    patience: int = 0


# Each row: what it is called, and what it changes in the configuration or in the settings.
CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("rotary positions", {"positions": "rotary"}),
    ("RMSNorm, no biases", {"norm": "rms", "bias": False}),
    ("query-key norm", {"query_key_norm": True}),
    ("squared ReLU", {"activation": "squared_relu"}),
    ("zero-initialised outputs", {"zero_output": True}),
    ("token shift", {"token_shift": True}),
    ("Muon for the matrices, without decay", {"optimizer": "muon", "weight_decay": 0.0}),
    ("less momentum in Muon", {"momentum": 0.85}),
    ("ten times the rate for all else", {"rate": 0.01}),
    ("short warm-up", {"warmup": 10}),
    ("late linear decay to 0", {"schedule": "stable", "floor": 0.0}),
    ("logit soft-cap", {"soft_cap": 15.0}),
]

RECIPES: dict[str, dict[str, Any]] = {
    "gpt2": {},
    "modern": {name: value for _, change in CHANGES for name, value in change.items()},
}

# Sizes and budgets; the GPU's are untested where there is none.
PRESETS: dict[str, dict[str, Any]] = {
    "cpu": {"layers": 4, "heads": 4, "width": 128, "context": 64, "batch": 16, "steps": 1200},
    "t4": {
        "layers": 6,
        "heads": 6,
        "width": 384,
        "context": 256,
        "batch": 64,
        "micro_batch": 32,
        "steps": 3000,
        "dropout": 0.2,
    },
    "gpu": {
        "layers": 6,
        "heads": 6,
        "width": 384,
        "context": 256,
        "batch": 64,
        "steps": 5000,
        "dropout": 0.2,
    },
}


def recipe(
    name: str, vocabulary: int, preset: str = "cpu", **changes: Any
) -> tuple[Configuration, Settings]:
    """The configuration and the settings of a recipe at a preset's size.

    Args:
        name: "gpt2" or "modern".
        vocabulary: how many different tokens the text has.
        preset: "cpu", "t4" or "gpu".
        changes: fields of either that shall have other values.
    """
    values = {"vocabulary": vocabulary, **PRESETS[preset], **RECIPES[name], **changes}
    kinds = (Configuration, Settings)
    names = [{field.name for field in fields(kind)} for kind in kinds]
    if unknown := values.keys() - names[0] - names[1]:
        raise TypeError(f"neither a model's configuration nor the settings have {sorted(unknown)}")
    parts = [{key: values[key] for key in values.keys() & own} for own in names]
    return Configuration(**parts[0]), Settings(**parts[1])
