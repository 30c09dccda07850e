"""Text as tokens: where it comes from, how it is cut, how batches are drawn. Written by hand."""

import hashlib
import os
import urllib.request
from pathlib import Path

import numpy as np
import torch

from attend.data import documentation

__all__ = ["Characters", "Corpus", "text_of"]

SHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
SHAKESPEARE_ADDRESSES = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
    "https://storage.googleapis.com/download.tensorflow.org/data/shakespeare.txt",
)


def text_of(name: str) -> str:
    """The text that a name stands for.

    Args:
        name: "stdlib" (Python's own documentation, already on the machine), "shakespeare" (1.1 MB, downloaded
            once and checked), or the path of a UTF-8 file.

    Raises:
        FileNotFoundError, ValueError: one sentence that says what is missing.
    """
    if name == "stdlib":
        # Topics quote each other; a paragraph kept twice could be learned by heart and then tested.
        return "\n\n".join(dict.fromkeys(documentation().split("\n\n")))
    if name == "shakespeare":
        return _shakespeare().decode("utf-8")
    try:
        return Path(name).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"the data file {name} is not UTF-8 text: {error}") from None
    except OSError as error:
        raise FileNotFoundError(
            f"the data file {name} cannot be read ({error.strerror}); "
            "give a path, or 'stdlib', which every machine with Python has"
        ) from None


def _shakespeare() -> bytes:
    """Tiny Shakespeare from the cache, else from the first address whose answer has the right checksum."""
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    cached = home / "attention-course" / "tinyshakespeare.txt"
    if cached.is_file() and _is_shakespeare(content := cached.read_bytes()):
        return content
    problems = []
    for address in SHAKESPEARE_ADDRESSES:
        try:
            with urllib.request.urlopen(address, timeout=20) as answer:
                content = answer.read(2_000_000)
        except OSError as error:
            problems.append(f"{address.split('/')[2]}: {error}")
            continue
        if _is_shakespeare(content):
            cached.parent.mkdir(parents=True, exist_ok=True)
            cached.write_bytes(content)
            return content
        problems.append(f"{address.split('/')[2]}: another file than expected (SHA-256 differs)")
    raise FileNotFoundError(
        f"tiny Shakespeare could not be downloaded ({'; '.join(problems)}); "
        f"fetch {SHAKESPEARE_ADDRESSES[0]} elsewhere and give its path as data, or use 'stdlib'"
    )


def _is_shakespeare(content: bytes) -> bool:
    return hashlib.sha256(content).hexdigest() == SHAKESPEARE_SHA256


class Characters:
    """Each character a token.

    Any other cutting, byte-pair encoding for instance, is a class with the same four members: `symbols`,
    from which it can be made again, `encode`, `decode` and a length.
    """

    def __init__(self, symbols: list[str]) -> None:
        self.symbols = list(symbols)
        self._index = {symbol: index for index, symbol in enumerate(self.symbols)}

    @classmethod
    def of(cls, text: str) -> "Characters":
        """The characters that occur in a text, in the order of their code points."""
        return cls(sorted(set(text)))

    def __len__(self) -> int:
        return len(self.symbols)

    def encode(self, text: str) -> torch.Tensor:
        """Tokens (n,) of a text of n characters.

        Raises:
            ValueError: a character is not among the symbols.
        """
        unknown = sorted(set(text) - self._index.keys())
        if unknown:
            raise ValueError(f"the model has never seen the characters {''.join(unknown[:20])!r}")
        return torch.tensor([self._index[symbol] for symbol in text], dtype=torch.int32)

    def decode(self, tokens: torch.Tensor) -> str:
        """The text of tokens (n,)."""
        return "".join(self.symbols[token] for token in tokens.tolist())


class Corpus:
    """A text cut into tokens, most of it to learn from and its end to be tested on.

    Args:
        text: all of it.
        context: the length n of the windows.
        vocabulary: how it is cut; the text's own characters by default.
        held_out: the share at the end that is for validation.

    Raises:
        ValueError: a part of the text is shorter than one window and the character after it.
    """

    def __init__(
        self,
        text: str,
        context: int,
        vocabulary: Characters | None = None,
        held_out: float = 0.1,
    ) -> None:
        self.context = context
        self.vocabulary = vocabulary or Characters.of(text)
        tokens = self.vocabulary.encode(text)
        cut = len(tokens) - round(held_out * len(tokens))
        self.training, self.validation = tokens[:cut], tokens[cut:]
        for name, part in (("training", self.training), ("validation", self.validation)):
            if len(part) <= context:
                raise ValueError(
                    f"the {name} text has {len(part)} tokens, and one window of the context {context} "
                    f"takes {context + 1}: give a longer text or lower the context"
                )

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
