"""The errata: no entry without its failure and its mend, and the Keras faults in Keras itself."""

import importlib
import os
import re
from pathlib import Path

import jupytext
import numpy as np
import pytest
import torch

BOOK = Path(__file__).parents[2] / "book"
PAGE = BOOK / "errata.md"
LABEL = re.compile(r"^\((errata-d[0-4]-[\w-]+)\)=\n### (D[0-4]: .+)$", flags=re.M)


class Entry:
    """What the page says under one label, as text and as cells."""

    def __init__(self, label: str, heading: str):
        self.label, self.heading, self.text, self.cells = label, heading, "", []


def entries() -> list[Entry]:
    """The entries in their order, read from the page's cells."""
    found, current = [], None
    for cell in jupytext.read(PAGE, fmt="md:myst").cells:
        if cell.cell_type == "code":
            if current:
                current.cells.append(cell)
            continue
        for piece in re.split(r"^(?=\(errata-)|^(?=## )", cell.source, flags=re.M):
            if match := LABEL.match(piece):
                current = Entry(*match.groups())
                found.append(current)
                piece = piece[match.end() :]
            elif piece.startswith(("## ", "(errata-")):
                current = None
            if current:
                current.text += piece
    return found


ENTRIES = entries()
every_entry = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.label)


def marked(entry: Entry) -> list[tuple[str, str]]:
    """The entry's cells that show a failure or a mend."""
    return [
        (tag, cell.source)
        for cell in entry.cells
        for tag in cell.metadata.get("tags", [])
        if tag in ("failure", "mend")
    ]


def test_every_label_of_the_page_is_an_entry():
    labels = re.findall(r"^\((errata-[\w-]+)\)=$", PAGE.read_text(), flags=re.M)
    assert labels == [entry.label for entry in ENTRIES] and len(set(labels)) == len(labels) >= 45


@every_entry
def test_an_entry_shows_the_failure_and_then_the_mend(entry):
    assert [tag for tag, _ in marked(entry)] == ["failure", "mend"]
    assert entry.text.index("**The failure.**") < entry.text.index("**The mend.**")


@every_entry
def test_both_cells_assert_what_they_show(entry):
    (_, failure), (_, mend) = marked(entry)
    assert "assert " in failure or "refusal(" in failure
    assert "assert " in mend


@every_entry
def test_an_entry_says_where_it_stands_and_who_teaches_it(entry):
    assert len(entry.text.split()) > 30
    assert re.search(r"\]\(0[1-5]-[\w-]+\.md\)", entry.text)
    assert entry.label.split("-")[1].upper() == entry.heading[:2]


def test_the_table_lists_every_entry_with_its_chapter():
    rows = re.findall(
        r"^\| \[(.+)\]\((errata-[\w-]+)\) \| (.+) \| \[(\d)\]\((.+\.md)\) \|$",
        PAGE.read_text(),
        flags=re.M,
    )
    assert [(text, label) for text, label, *_ in rows] == [
        (entry.heading, entry.label) for entry in ENTRIES
    ]
    for entry, (_, _, kind, number, chapter) in zip(ENTRIES, rows, strict=True):
        assert kind.strip() and chapter.startswith(f"0{number}-") and (BOOK / chapter).is_file()
        assert chapter in entry.text


def test_the_years_are_those_of_the_bibliography():
    """The only entry whose failure is a matter of record, not of computation."""
    entry = next(entry for entry in ENTRIES if entry.label == "errata-d4-alexnet")
    source = marked(entry)[0][1]
    bibliography = (BOOK / "references.bib").read_text()
    years = dict(re.findall(r"^@\w+\{(\w+),.*?year\s*= \{(\d+)\}", bibliography, flags=re.M | re.S))
    assert '("AlexNet", 2012' in source and years["krizhevsky2012imagenet"] == "2012"
    assert '("residual networks", 2015' in source and years["he2016deep"] == "2016"
    assert set(re.findall(r"\{cite:p\}`(\w+)`", entry.text)) <= set(years)


# The listings of D0 and D4 are Keras's: their faults, in Keras.

BATCH, N, M, D = 2, 3, 5, 4


@pytest.fixture(scope="module")
def keras():
    os.environ["KERAS_BACKEND"] = "torch"
    return importlib.import_module("keras")


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype("float32")


class TestTheClassifierOfD0:
    def test_an_input_of_unknown_width_has_no_dense_layer(self, keras):
        with pytest.raises(ValueError, match="fully-defined"):
            keras.layers.Dense(64)(keras.Input((None,)))
        assert keras.layers.Dense(64)(keras.Input((None, D))).shape == (None, None, 64)

    def test_without_a_position_axis_attention_mixes_the_examples(self, keras):
        attention = keras.layers.Attention()
        examples = draw(BATCH, D)
        before = attention([examples, examples]).numpy()
        examples[1] += 3
        assert not np.allclose(before[0], attention([examples, examples]).numpy()[0])

        sequences = draw(BATCH, M, D)
        before = attention([sequences, sequences]).numpy()
        sequences[1] += 3
        assert np.allclose(before[0], attention([sequences, sequences]).numpy()[0])

    def model(self, keras, pooled: bool):
        inputs = keras.Input((M, D))
        hidden = keras.layers.Attention()([inputs, inputs])
        if pooled:
            hidden = keras.layers.GlobalAveragePooling1D()(hidden)
        model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(hidden))
        model.compile("adam", "binary_crossentropy")
        return model

    def test_one_sigmoid_for_each_position_does_not_fit_one_label(self, keras):
        x, y = draw(BATCH, M, D), np.array([[0.0], [1.0]])
        with pytest.raises(ValueError, match="must have the same shape"):
            self.model(keras, pooled=False).fit(x, y, verbose=0)
        model = self.model(keras, pooled=True)
        model.fit(x, y, verbose=0)
        assert model(x).shape == (BATCH, 1)


class TestTheTranslatorOfD4:
    def test_the_query_comes_first(self, keras):
        attention = keras.layers.Attention(use_scale=True)
        encoded, queries = draw(BATCH, M, D), draw(BATCH, N, D)
        assert attention([encoded, queries]).shape == (BATCH, M, D)  # as printed
        right = attention([queries, encoded])
        assert right.shape == (BATCH, N, D)
        expected = torch.tensor(queries @ encoded.swapaxes(1, 2)).softmax(-1).numpy() @ encoded
        np.testing.assert_allclose(right.detach().numpy(), expected, atol=1e-5)

    def test_integers_that_are_not_embedded_are_refused(self, keras):
        words = np.array([[7, 8, 9], [10, 11, 12]])
        with pytest.raises(RuntimeError, match="cannot be multiplied"):
            keras.layers.Attention()([draw(BATCH, N, D), words])
        embedded = keras.layers.Embedding(20, D)(words)
        assert keras.layers.Attention()([embedded, draw(BATCH, M, D)]).shape == (BATCH, N, D)

    def test_the_loss_of_the_string_is_that_of_the_page(self, keras):
        entry = next(entry for entry in ENTRIES if entry.label == "errata-d4-loss")
        page = {"torch": torch}
        exec(marked(entry)[0][1], page)  # the cell that defines it
        loss = keras.losses.get("sparse_categorical_crossentropy")
        for outputs in ([-1.0, 2.0, 0.5], [3.0, 6.0, 4.5], [0.2, 0.3, 0.5]):
            outputs = torch.tensor(outputs, requires_grad=True)
            ours = page["loss_of_probabilities"](outputs, 0)
            theirs = loss(torch.tensor([0]), outputs[None])[0]
            torch.testing.assert_close(ours, theirs)
        logits = torch.tensor([[-1.0, 2.0, 0.5]], requires_grad=True)
        loss(torch.tensor([0]), logits).sum().backward()
        assert (logits.grad == 0).all()  # silent where the model is most wrong
        right = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        expected = torch.nn.functional.cross_entropy(logits, torch.tensor([0]))
        torch.testing.assert_close(right(torch.tensor([0]), logits), expected)

    def test_a_list_is_one_argument(self, keras):
        class TwoArguments(keras.Model):
            def call(self, encoder_input, decoder_input):
                return encoder_input + decoder_input

        class OneArgument(keras.Model):
            def call(self, inputs):
                encoder_input, decoder_input = inputs
                return encoder_input + decoder_input

        inputs = [draw(BATCH, N), draw(BATCH, N)]
        with pytest.raises(TypeError, match="decoder_input"):
            TwoArguments()(inputs)
        assert OneArgument()(inputs).shape == (BATCH, N)
