"""How a text is cut into tokens: into characters, or into byte pairs learned from it. Written by hand.

A vocabulary has four members: `symbols`, a list of strings from which it can be made again and which is
stored beside a model; `encode`, `decode` and a length. `vocabulary_of` makes one from stored symbols.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import torch

__all__ = ["BytePairs", "Characters", "Vocabulary", "vocabulary_of"]

BLOCK = 500_000  # characters encoded at once: longer strings cost more time and memory for each character
# Before a line's first letter, where the line before ends with a letter, no token reaches across.
BOUNDARY = re.compile(r"(?<=\S\n)(?=\S)")


class Characters:
    """Each character a token."""

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


class BytePairs:
    """Byte-pair encoding of a text's UTF-8 bytes, so that no text is unknown to it.

    Tokens are the 256 bytes, and what arises where the most frequent pair of neighbours is merged into
    one, again and again; no pair reaches across the words that GPT-2's pattern finds.

    Args:
        symbols: the bytes as GPT-2 writes them (a space is Ġ), then each merged pair, as "left right".

    Raises:
        ModuleNotFoundError: the package tokenizers is not installed.
        ValueError: the symbols are no byte pairs.

    Source: Sennrich et al. 2016, algorithm 1, on bytes as in Radford et al. 2019, section 2.2.
    """

    def __init__(self, symbols: list[str]) -> None:
        library = _tokenizers()
        self.symbols = list(symbols)
        pairs = [tuple(symbol.split(" ")) for symbol in self.symbols if len(symbol) > 1]
        names = {symbol.replace(" ", ""): index for index, symbol in enumerate(self.symbols)}
        try:
            model = library.models.BPE(names, pairs)
        except Exception as error:  # the library raises nothing more exact
            raise ValueError(f"the symbols are no byte pairs: {error}") from None
        if set(library.pre_tokenizers.ByteLevel.alphabet()) - names.keys() or len(names) != len(
            self
        ):
            raise ValueError(
                "the symbols are no byte pairs: a byte is missing, or a token is there twice"
            )
        self._tokenizer = _byte_level(library, model)

    @classmethod
    def of(cls, text: str, size: int = 1024) -> "BytePairs":
        """Learn byte pairs from a text until there are so many tokens, or no pair occurs twice.

        Args:
            text: to learn from; leave out what shall be tested on.
            size: how many tokens there may be, the 256 bytes included.

        Raises:
            ValueError: the size leaves no room for a pair, or no pair occurs twice.
        """
        if size <= 256:
            raise ValueError(
                f"{size} tokens of byte pairs are too few: 256 are the bytes themselves"
            )
        library = _tokenizers()
        alphabet = library.pre_tokenizers.ByteLevel.alphabet()
        learner = _byte_level(library, library.models.BPE())
        trainer = library.trainers.BpeTrainer(
            vocab_size=size, min_frequency=2, show_progress=False, initial_alphabet=alphabet
        )
        learner.train_from_iterator(_blocks(text), trainer)
        # Kept are the pairs that make a new token: one that is made in a second way needs no second name.
        tokens = {symbol: symbol for symbol in sorted(alphabet)}
        for left, right in json.loads(learner.to_str())["model"]["merges"]:
            tokens.setdefault(left + right, f"{left} {right}")
        if len(tokens) == len(alphabet):
            raise ValueError(
                "the text is too short for byte pairs: no pair of letters occurs twice"
            )
        return cls(list(tokens.values()))

    def __len__(self) -> int:
        return len(self.symbols)

    def encode(self, text: str) -> torch.Tensor:
        """Tokens (n,) of a text, n at most its number of bytes.

        Raises:
            ValueError: it has characters that UTF-8 cannot write (halves of surrogate pairs).
        """
        try:
            pieces = [self._tokenizer.encode(block).ids for block in _blocks(text)]
        except TypeError:
            raise ValueError("the text has characters that UTF-8 cannot write") from None
        return torch.tensor([token for piece in pieces for token in piece], dtype=torch.int32)

    def decode(self, tokens: torch.Tensor) -> str:
        """The text of tokens (n,); bytes that are no UTF-8, as a model may write them, become �."""
        return self._tokenizer.decode(tokens.tolist())


Vocabulary = Characters | BytePairs


def vocabulary_of(symbols: list[str]) -> Vocabulary:
    """The vocabulary that has these symbols: those of characters are characters, byte pairs are longer.

    Raises:
        ModuleNotFoundError: they are byte pairs, and the package tokenizers is not installed.
        ValueError: they are neither.
    """
    if all(len(symbol) == 1 for symbol in symbols):
        return Characters(symbols)
    return BytePairs(symbols)


def _blocks(text: str) -> Iterator[str]:
    """The text in pieces whose tokens are those of the whole, one after another."""
    start = 0
    while start < len(text):
        cut = BOUNDARY.search(text, start + BLOCK)
        end = cut.start() if cut else len(text)
        yield text[start:end]
        start = end


def _byte_level(library: Any, model: Any) -> Any:
    tokenizer = library.Tokenizer(model)
    tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = library.decoders.ByteLevel()
    return tokenizer


def _tokenizers() -> Any:
    """The package that learns and applies byte pairs; raises one sentence where it is missing."""
    try:
        import tokenizers
    except ImportError:
        raise ModuleNotFoundError(
            "byte pairs need the package tokenizers, which is not installed: pip install tokenizers"
        ) from None
    return tokenizers
