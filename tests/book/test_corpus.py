"""Text as tokens: what `--data` names, how it is cut, which windows are drawn."""

import json
import math
import subprocess
import sys

import pytest
import torch
from attend import checkpoints, vocabularies
from attend.checkpoints import DamagedFile, load_model, save_model
from attend.corpus import Corpus, split, text_of
from attend.language_model import Configuration, LanguageModel
from attend.training import TrainingError
from attend.vocabularies import BytePairs, Characters, vocabulary_of

from tests.book.small_runs import TEXT, trainer_of


class TestCorpus:
    def test_targets_are_the_inputs_shifted_by_one(self):
        cut = Corpus("abcdefghijklmnopqrstuvwxyz" * 10, 6)
        for x, y in (cut.batch(50, seed=0, step=3), cut.held_out(4)):
            assert x.shape == y.shape and x.shape[1] == 6
            assert torch.equal(y[:, :-1], x[:, 1:])
            assert torch.equal(y[:, -1], (x[:, -1] + 1) % 26)

    def test_batches_depend_on_seed_and_step_alone(self):
        cut = Corpus(TEXT, 6)
        first, _ = cut.batch(8, seed=1, step=2)
        cut.batch(8, seed=1, step=3)
        assert torch.equal(cut.batch(8, seed=1, step=2)[0], first)
        assert not torch.equal(cut.batch(8, seed=1, step=3)[0], first)
        assert not torch.equal(cut.batch(8, seed=2, step=2)[0], first)

    def test_batches_reach_both_ends_of_the_training_text_and_no_further(self):
        cut = Corpus("".join(map(chr, range(100, 170))), 6)  # every token tells its place
        x, y = cut.batch(2000, seed=0, step=0)
        assert x.min() == 0 and y.max() == 62 and len(cut.training) == 63

    def test_held_out_windows_do_not_overlap_and_are_always_the_same(self):
        cut = Corpus("".join(map(chr, range(100, 400))), 6)
        x, y = cut.held_out(1000)
        assert x.min() == 270 and len(set(x.flatten().tolist())) == x.numel() == 4 * 6
        assert torch.equal(cut.held_out(1000)[1], y) and len(cut.held_out(2)[0]) == 2

    def test_characters_come_back(self):
        characters = Characters.of(TEXT)
        assert characters.decode(characters.encode("cat, log.")) == "cat, log."
        with pytest.raises(ValueError, match="never seen the characters 'Z'"):
            characters.encode("Zat")

    def test_paragraphs_of_the_documentation_are_there_once(self):
        paragraphs = text_of("stdlib").split("\n\n")
        assert len(paragraphs) == len(set(paragraphs)) > 1000

    def test_a_text_shorter_than_the_context(self):
        with pytest.raises(
            ValueError, match="validation text has 5 tokens, and one window of the context 6"
        ):
            Corpus("x" * 50, 6)

    def test_a_missing_file(self, tmp_path):
        with pytest.raises(
            FileNotFoundError, match=r"data file .*none.txt cannot be read .*stdlib"
        ):
            text_of(str(tmp_path / "none.txt"))

    def test_a_file_that_is_no_text(self, tmp_path):
        (tmp_path / "picture").write_bytes(b"\x89PNG\xff")
        with pytest.raises(ValueError, match="is not UTF-8 text"):
            text_of(str(tmp_path / "picture"))

    def test_a_file_that_some_editor_began_with_a_mark(self, tmp_path):
        (tmp_path / "text").write_bytes(b"\xef\xbb\xbfabc")
        assert text_of(str(tmp_path / "text")) == "abc"


ODD = [
    "",
    "\n",
    " leading and trailing \n\n\t ",
    "naïve Straße — “quotes” … 中文字 ελληνικά עברית",
    "👩‍👩‍👧‍👦 \U0001f1e9\U0001f1ea \U0010ffff",
    "\x00\x01\x7f\x1c\x85\u2028\ufeff\ufffd",
    "é vs e\u0301, K vs \u212a, ﬁ",  # must not be normalised
    "Ġ Ċ Ā <|endoftext|> <s> [UNK]",  # what the library uses for itself
    "a\r\nb\r\n  c\rd",
]


@pytest.fixture(scope="module")
def pairs() -> BytePairs:
    pytest.importorskip(
        "tokenizers", reason="the Python package tokenizers is absent: run `make env`"
    )
    return BytePairs.of(text_of("stdlib"), 600)


class TestBytePairs:
    @pytest.mark.parametrize("text", ODD)
    def test_every_text_comes_back(self, text, pairs):
        tokens = pairs.encode(text)
        assert pairs.decode(tokens) == text
        assert len(tokens) <= len(text.encode()) and tokens.dtype == torch.int32

    def test_each_of_the_bytes_is_a_token(self, pairs):
        every = "".join(map(chr, [*range(0x250), 0x800, 0xFFFF, 0x10FFFF]))
        assert pairs.decode(pairs.encode(every)) == every
        assert len(pairs) == 600 and sum(len(symbol) == 1 for symbol in pairs.symbols) == 256

    def test_bytes_that_are_no_text_are_shown_as_such(self, pairs):
        tokens = pairs.encode("é")
        cut = tokens[:1] if len(tokens) > 1 else torch.tensor([pairs.symbols.index("Ã")])
        assert pairs.decode(cut) == "\ufffd"

    def test_a_text_that_utf_8_cannot_write_is_one_sentence(self, pairs):
        with pytest.raises(ValueError, match="UTF-8 cannot write"):
            pairs.encode("a\ud800")

    def test_the_most_frequent_pair_is_merged_first(self):
        pairs = BytePairs.of(
            "hum hush hut hub " * 5 + "lot low", 258
        )  # hu 20 times, then " hu" 19 times
        assert pairs.symbols[256:] == ["h u", "Ġ hu"]
        assert pairs.decode(pairs.encode("hush")[:1]) == "hu"

    def test_it_is_made_again_from_its_symbols(self, pairs):
        again = vocabulary_of(json.loads(json.dumps(pairs.symbols)))
        assert isinstance(again, BytePairs) and again.symbols == pairs.symbols
        text = text_of("stdlib")[:20_000]
        assert torch.equal(again.encode(text), pairs.encode(text))
        assert isinstance(vocabulary_of(sorted(set(text))), Characters)

    def test_learning_twice_gives_the_same(self, pairs):
        """In another process too, where strings have other hashes: a resumed run compares."""
        code = (
            "from attend.corpus import text_of; from attend.vocabularies import BytePairs; import json; "
            "print(json.dumps(BytePairs.of(text_of('stdlib'), 600).symbols))"
        )
        printed = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        assert json.loads(printed) == pairs.symbols

    def test_blocks_do_not_change_the_tokens(self, pairs, monkeypatch):
        text = text_of("stdlib")[:50_000] + "\n\n x\n y\nz" + "".join(ODD) * 3
        whole = pairs.encode(text)
        monkeypatch.setattr(vocabularies, "BLOCK", 10)
        assert len(list(vocabularies._blocks(text))) > 300
        assert "".join(vocabularies._blocks(text)) == text
        assert torch.equal(pairs.encode(text), whole)

    @pytest.mark.parametrize(
        ("text", "size", "sentence"),
        [
            ("abc" * 9, 256, "256 are the bytes"),
            ("abc", 300, "too short for byte pairs"),
            ("", 300, "short"),
        ],
    )
    def test_what_cannot_be_learned_is_one_sentence(self, text, size, sentence):
        with pytest.raises(ValueError, match=sentence):
            BytePairs.of(text, size)

    @pytest.mark.parametrize("change", ["byte gone", "unknown part", "twice", "three parts"])
    def test_symbols_that_are_none_are_refused(self, change, pairs):
        symbols = list(pairs.symbols)
        if change == "byte gone":
            del symbols[symbols.index("Ā")]
        else:
            symbols.append(
                {"unknown part": "中 文", "twice": symbols[-1], "three parts": "a b c"}[change]
            )
        with pytest.raises(ValueError, match="no byte pairs"):
            BytePairs(symbols)

    def test_without_the_library_one_sentence(self, pairs, monkeypatch):
        monkeypatch.setitem(sys.modules, "tokenizers", None)
        for use in (lambda: BytePairs.of(TEXT), lambda: vocabulary_of(pairs.symbols)):
            with pytest.raises(ModuleNotFoundError, match=r"pip install tokenizers$"):
                use()


class TestBitsPerByte:
    def test_a_uniform_guess_costs_the_logarithm_of_the_alphabet(self):
        cut = Corpus("abcd" * 100, 6)
        assert cut.bits_per_byte(math.log(4)) == pytest.approx(2)

    def test_bytes_are_those_of_the_validation_text(self):
        cut = Corpus("a" * 90 + "é" * 10, 6)  # é has two bytes in UTF-8
        assert cut.bytes_per_token == 2
        assert cut.bits_per_byte(math.log(2)) == pytest.approx(0.5)

    def test_every_cutting_is_tested_on_the_same_text(self, pairs):
        text = text_of("stdlib")
        one, other = Corpus(text, 16), Corpus(text, 16, pairs)
        tested = [cut.vocabulary.decode(cut.validation) for cut in (one, other)]
        assert tested[0] == tested[1] == split(text)[1]
        sizes = [len(cut.validation) * cut.bytes_per_token for cut in (one, other)]
        assert sizes[0] == pytest.approx(sizes[1]) == len(tested[0].encode())
        assert 1.9 < other.bytes_per_token < 3.5


class TestStored:
    @pytest.fixture
    def path(self, pairs, tmp_path):
        torch.manual_seed(0)
        size = Configuration(len(pairs), layers=1, heads=2, width=8, context=4)
        save_model(tmp_path / "model.safetensors", LanguageModel(size), pairs)
        return tmp_path / "model.safetensors"

    def test_a_model_brings_its_byte_pairs(self, path, pairs):
        model, vocabulary = load_model(path)
        assert isinstance(vocabulary, BytePairs) and vocabulary.symbols == pairs.symbols
        assert model.configuration.vocabulary == 600

    def test_without_the_library_it_says_so(self, path, monkeypatch):
        monkeypatch.setitem(sys.modules, "tokenizers", None)
        with pytest.raises(ModuleNotFoundError, match="pip install tokenizers"):
            load_model(path)

    def test_symbols_of_another_number_are_damage(self, path, pairs, monkeypatch):
        monkeypatch.setattr(checkpoints, "vocabulary_of", lambda symbols: Characters(list("abc")))
        with pytest.raises(DamagedFile, match="3 symbols for 600 tokens"):
            load_model(path)

    def test_a_run_does_not_go_on_with_other_pairs(self, tmp_path):
        pytest.importorskip("tokenizers")
        trainer_of(tmp_path, vocabulary=BytePairs.of(TEXT, 270)).run()
        assert trainer_of(tmp_path, vocabulary=BytePairs.of(TEXT, 270)).resume()
        for other in (BytePairs.of(TEXT, 272), Characters.of(TEXT)):
            with pytest.raises(TrainingError, match=r"its vocabulary has 270 symbols, not \d+"):
                trainer_of(tmp_path, vocabulary=other).resume()
