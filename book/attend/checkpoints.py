"""Models and training states on disk, whole or not at all. Written by hand.

What is written goes to a temporary name first, is forced onto the disk and only then renamed, which file
systems do at once: whoever is killed in the middle leaves the previous checkpoint untouched.
"""

import hashlib
import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import nn

from attend.language_model import Configuration, LanguageModel
from attend.vocabularies import Vocabulary, vocabulary_of

__all__ = [
    "DamagedFile",
    "checkpoints",
    "load_checkpoint",
    "load_model",
    "save_checkpoint",
    "save_model",
]

WEIGHTS, OPTIMIZERS, RECORD = "model.safetensors", "optimizers.pt", "record.json"


class DamagedFile(ValueError):
    """A file is not what was written."""


def require_safetensors() -> Any:
    """The package that reads and writes weights; raises one sentence where it is missing."""
    try:
        import safetensors.torch
    except ImportError:
        raise ModuleNotFoundError(
            "models are stored with the package safetensors, which is not installed: pip install safetensors"
        ) from None
    return safetensors.torch


def write_durably(path: Path, content: bytes) -> None:
    """Write a file so that it is on the disk, not only on its way there."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _rename(temporary: Path, final: Path) -> None:
    temporary.replace(final)
    if (
        os.name == "posix"
    ):  # the new name must reach the disk too; elsewhere a folder cannot be synchronised
        folder = os.open(final.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def weights_of(model: nn.Module, metadata: dict[str, str] | None = None) -> bytes:
    """A model's weights as a safetensors file."""
    tensors, seen = {}, set()
    for name, tensor in model.state_dict().items():
        # Two names of one tensor (tied weights): the format wants each to have numbers of its own.
        again = tensor.data_ptr() in seen
        seen.add(tensor.data_ptr())
        tensor = tensor.detach().cpu().contiguous()
        tensors[name] = tensor.clone() if again else tensor
    return require_safetensors().save(tensors, metadata)


def save_model(path: Path, model: nn.Module, vocabulary: Vocabulary) -> None:
    """Write weights, configuration and vocabulary into one safetensors file, as one step."""
    metadata = {"symbols": json.dumps(vocabulary.symbols)}
    if (configuration := configuration_of(model)) is not None:
        metadata["configuration"] = json.dumps(configuration)
    temporary = path.with_suffix(".tmp")
    try:
        write_durably(temporary, weights_of(model, metadata))
        _rename(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load_model(path: Path) -> tuple[LanguageModel, Vocabulary]:
    """The model and the vocabulary that `save_model` wrote.

    Raises:
        FileNotFoundError, DamagedFile: one sentence that says what is wrong with the file.
        ModuleNotFoundError: a package that it takes is not installed.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no model at {path}: train one with `python -m attend.train`"
        )
    require_safetensors()
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        model = LanguageModel(Configuration(**json.loads(metadata["configuration"])))
        model.load_state_dict(tensors)
        vocabulary = vocabulary_of(json.loads(metadata["symbols"]))
        if len(vocabulary) != model.configuration.vocabulary:
            raise ValueError(
                f"{len(vocabulary)} symbols for {model.configuration.vocabulary} tokens"
            )
        return model, vocabulary
    except KeyError as error:
        raise DamagedFile(f"{path} holds no {error}: it was not written by attend.train") from None
    except (SafetensorError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise DamagedFile(f"{path} cannot be read as a model: {error}") from None


def configuration_of(model: nn.Module) -> dict[str, Any] | None:
    """A model's configuration as plain values, where it has one."""
    configuration = getattr(model, "configuration", None)
    return None if configuration is None else vars(configuration).copy()


def checkpoints(folder: Path) -> list[Path]:
    """The whole checkpoints in a run's folder, oldest first."""
    return sorted(path for path in folder.glob("step-*") if path.suffix != ".tmp")


def save_checkpoint(
    folder: Path, step: int, model: nn.Module, optimizers: dict[str, Any], record: dict[str, Any]
) -> None:
    """Write all that a run needs to go on after so many steps; the last two are kept.

    Args:
        folder: the run's.
        step: how many steps were made.
        model: its weights go to model.safetensors.
        optimizers: their state, tensors and plain values only, goes to optimizers.pt.
        record: plain values, to record.json, with a checksum of the other two.
    """
    final = folder / f"step-{step:08d}"
    temporary = final.with_suffix(".tmp")
    for left_over in folder.glob("step-*.tmp"):  # of a run that was killed while it wrote
        shutil.rmtree(left_over)
    state = io.BytesIO()
    torch.save(optimizers, state)
    files = {WEIGHTS: weights_of(model), OPTIMIZERS: state.getvalue()}
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    files[RECORD] = json.dumps({**record, "step": step, "sha256": sums}).encode()
    try:
        temporary.mkdir(parents=True)
        for name, content in files.items():
            write_durably(temporary / name, content)
        if final.exists():  # the same step saved twice: it is the same state
            shutil.rmtree(final)
        _rename(temporary, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for old in checkpoints(folder)[:-2]:  # renamed first: a half-deleted one would look damaged
        shutil.rmtree(old.rename(old.with_suffix(".tmp")))


def load_checkpoint(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any], dict[str, Any]]:
    """The weights, the optimisers' state and the record that `save_checkpoint` wrote.

    Raises:
        DamagedFile: one sentence that names the file and what to do.
    """
    try:
        record = json.loads((path / RECORD).read_bytes())
        files = {name: (path / name).read_bytes() for name in (WEIGHTS, OPTIMIZERS)}
        for name, content in files.items():
            if hashlib.sha256(content).hexdigest() != record["sha256"][name]:
                raise ValueError(f"{name} is not what was written")
    except (OSError, ValueError, KeyError) as error:
        raise DamagedFile(
            f"the checkpoint {path} is damaged ({error}): delete that folder, and training goes on "
            "from the checkpoint before it, or from the start where there is none"
        ) from None
    weights = require_safetensors().load(files[WEIGHTS])
    state = torch.load(io.BytesIO(files[OPTIMIZERS]), map_location="cpu", weights_only=True)
    return weights, state, record


def difference(name: str, theirs: Any, ours: Any) -> str:
    """In words, how a stored value differs from the one that is asked for."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        changed = [
            key for key in sorted(theirs.keys() | ours.keys()) if theirs.get(key) != ours.get(key)
        ]
        return ", ".join(f"its {key} is {theirs.get(key)}, not {ours.get(key)}" for key in changed)
    if isinstance(theirs, list) and isinstance(ours, list):
        new = "".join([symbol for symbol in ours if symbol not in theirs][:20])
        return f"its {name} has {len(theirs)} symbols, not {len(ours)}" + (
            f" (new: {new!r})" * bool(new)
        )
    return f"its {name} differs"
