"""Text as tokens: where it comes from, how it is cut, how batches are drawn. Written by hand."""

import math
from pathlib import Path

import numpy as np
import torch

from attend.data import documentation
from attend.download import DOWNLOADS, fetch
from attend.vocabularies import BytePairs, Characters, Vocabulary

__all__ = ["BytePairs", "Characters", "Corpus", "split", "text_of"]


def text_of(name: str) -> str:
    """The text that a name stands for.

    Args:
        name: "stdlib" (Python's own documentation, already on the machine), "shakespeare" (1.1 MB) or
            "tinystories" (19 MB; both are downloaded once and checked), or the path of a UTF-8 file.

    Raises:
        FileNotFoundError, ValueError: one sentence that says what is missing.
    """
    if name == "stdlib":
        # Topics quote each other; a paragraph kept twice could be learned by heart and then tested.
        return "\n\n".join(dict.fromkeys(documentation().split("\n\n")))
    if name in DOWNLOADS:
        text = fetch(DOWNLOADS[name]).decode("utf-8")
        return text.replace("<|endoftext|>", "")  # leaves an empty line between two stories
    try:
        return Path(name).read_text(encoding="utf-8-sig")  # some editors begin a file with a mark
    except UnicodeDecodeError as error:
        raise ValueError(f"the data file {name} is not UTF-8 text: {error}") from None
    except OSError as error:
        raise FileNotFoundError(
            f"the data file {name} cannot be read ({error.strerror}); "
            "give a path, or 'stdlib', which every machine with Python has"
        ) from None


def split(text: str, held_out: float = 0.1) -> tuple[str, str]:
    """A text's beginning to learn from, and this share of it, its end, to be tested on."""
    cut = len(text) - round(held_out * len(text))
    return text[:cut], text[cut:]


class Corpus:
    """A text cut into tokens, most of it to learn from and its end to be tested on.

    Args:
        text: all of it.
        context: the length n of the windows.
        vocabulary: how it is cut; into the text's own characters by default.
        held_out: the share at the end that is for validation.

    The validation text is the same for every vocabulary, and `bits_per_byte` turns its loss into a figure
    that can be compared between them.

    Raises:
        ValueError: a part of the text is shorter than one window and the token after it.
    """

    def __init__(
        self,
        text: str,
        context: int,
        vocabulary: Vocabulary | None = None,
        held_out: float = 0.1,
    ) -> None:
        self.context = context
        self.vocabulary = vocabulary or Characters.of(text)
        texts = split(text, held_out)
        self.training, self.validation = map(self.vocabulary.encode, texts)
        for name, part in (("training", self.training), ("validation", self.validation)):
            if len(part) <= context:
                raise ValueError(
                    f"the {name} text has {len(part)} tokens, and one window of the context {context} "
                    f"takes {context + 1}: give a longer text or lower the context"
                )

        self.bytes_per_token = len(texts[1].encode()) / len(self.validation)

    def bits_per_byte(self, loss: float) -> float:
        """A validation loss in nats per token as bits for each byte of the validation text (UTF-8)."""
        return loss / math.log(2) / self.bytes_per_token

    def batch(self, size: int, seed: int, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets (size, context) of a step: windows at random, targets one token later.

        They depend on seed and step alone, so that a resumed run goes on with the very batches that it
        would have seen, and several processes can each take their share of one batch.
        """
        chance = np.random.default_rng([seed, step])
        starts = chance.integers(len(self.training) - self.context, size=size)
        return self._windows(self.training, torch.from_numpy(starts))

    def held_out(self, windows: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets (windows, context) for validation: always the same ones, spread evenly."""
        # Each takes context + 1 tokens, of which the last is target only and may begin the next window.
        most = (len(self.validation) - 1) // self.context
        at = torch.linspace(0, most - 1, min(windows, most)).round().long()
        return self._windows(self.validation, at * self.context)

    def _windows(self, tokens: torch.Tensor, starts: torch.Tensor):
        rows = tokens[starts[:, None] + torch.arange(self.context + 1)].long()
        return rows[:, :-1], rows[:, 1:]
