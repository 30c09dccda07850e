"""Runs of the training loop that take a fraction of a second, and how two of them are compared."""

import torch
from attend.corpus import Corpus
from attend.language_model import LanguageModel
from attend.recipes import recipe
from attend.training import Trainer

TEXT = "the cat sat on the mat, and the dog sat on the log. " * 12
SIZE = {"layers": 2, "heads": 2, "width": 12, "context": 6, "dropout": 0.1}
SHORT = {"steps": 11, "batch": 4, "warmup": 3, "log_every": 2, "eval_every": 4, "save_every": 3}


def trainer_of(folder=None, name="modern", text=TEXT, vocabulary=None, **changes) -> Trainer:
    cut = Corpus(text, changes.get("context", 6), vocabulary)
    configuration, settings = recipe(name, len(cut.vocabulary), **{**SIZE, **SHORT, **changes})
    torch.manual_seed(settings.seed)
    return Trainer(LanguageModel(configuration), cut, settings, folder, device="cpu", quiet=True)


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in trainer.plain.state_dict().items()}


def assert_same_run(ours: Trainer, theirs: Trainer) -> None:
    """Bit for bit: weights, optimisers and curves, but for the clock."""
    for name, tensor in weights(theirs).items():
        assert torch.equal(weights(ours)[name], tensor), name
    for one, other in zip(ours.optimizers, theirs.optimizers, strict=True):
        one, other = one.state_dict()["state"], other.state_dict()["state"]
        assert one.keys() == other.keys()
        for place in other:
            for name, tensor in other[place].items():
                assert torch.equal(one[place][name], tensor), (place, name)
    rows = [[{**row, "seconds": 0} for row in run.curves.rows] for run in (ours, theirs)]
    assert rows[0] == rows[1]


TINY = [
    "--layers=1",
    "--heads=2",
    "--width=12",
    "--context=6",
    "--batch=4",
    "--steps=8",
    "--log-every=1",
]
