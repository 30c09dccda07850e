"""The page of lab 1: what every chapter has, and a reader of measurements that trusts no broken file."""

import csv
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import jupytext
import pytest
from attend.recipes import CHANGES

PAGE = Path(__file__).parents[2] / "book/labs/train.md"
TEXT = PAGE.read_text(encoding="utf-8")
COLUMNS = "change seed loss"
HEADER = "change,seed,loss\n"


@pytest.fixture
def measured(tmp_path, monkeypatch) -> Callable:
    """The page's own function, in a folder of its own."""
    cells = jupytext.read(PAGE, fmt="md:myst").cells
    (source,) = (cell.source for cell in cells if "def measured(" in cell.source)
    package = SimpleNamespace(__file__=str(tmp_path / "__init__.py"))
    names = {"csv": csv, "defaultdict": defaultdict, "Path": Path, "attend": package}
    exec(source.partition("\n\n\n")[0], names)
    monkeypatch.chdir(tmp_path)
    Path("measured").mkdir()
    return names["measured"]


def test_rows_are_gathered_by_change_in_their_order(measured):
    Path("measured/a.csv").write_text(HEADER + 'b,0,1.5\n"a, too",0,2\nb,1,2.5\n')
    rows = measured("a.csv", COLUMNS)
    assert list(rows) == ["b", "a, too"]
    assert [row["loss"] for row in rows["b"]] == [1.5, 2.5]


def test_a_missing_file_is_named(measured):
    with pytest.raises(FileNotFoundError, match=r"measured/a\.csv is not here"):
        measured("a.csv", COLUMNS)


@pytest.mark.parametrize(
    "content",
    ["", HEADER, "change,seed\na,0\n", HEADER + "a,0,1\nb,0\n", HEADER + "a, too,0,1\n"],
    ids=["empty", "no rows", "a column less", "a short row", "a comma without quotes"],
)
def test_a_file_of_another_form_is_refused(measured, content):
    Path("measured/a.csv").write_text(content)
    with pytest.raises(ValueError, match="other columns than change seed loss"):
        measured("a.csv", COLUMNS)


@pytest.mark.parametrize("change", [name for name, _ in CHANGES])
def test_every_change_of_the_recipe_is_explained(change):
    assert f"- **{change}**" in TEXT


def test_the_page_has_the_sections_of_a_chapter_in_order():
    sections = [
        "What you will be able to do",
        "What you need first",
        "The idea in a picture",
        "Quiz",
        "Exercises",
        "Summary",
        "Further reading",
    ]
    outside_code = re.sub(r"^```\{code-cell\}.*?^```$", "", TEXT, flags=re.M | re.S)
    headings = re.findall(r"^## (.+)$", outside_code, flags=re.M)
    assert [heading for heading in headings if heading in sections] == sections
    assert "](../../exercises/07-lab-train/lab_train)" in outside_code


def test_every_choice_of_the_quiz_is_explained():
    questions = re.findall(r"^:::\{quiz\}\n(.*?)^:::$", TEXT, flags=re.M | re.S)
    assert len(questions) >= 5
    for question in questions:
        choices = re.findall(r"^- \[([ x])\] .+?\n\n(.*?)(?=^- |\Z)", question, flags=re.M | re.S)
        assert len(choices) >= 3, question
        assert [tick for tick, _ in choices].count("x") == 1, question
        assert all(len(explanation.split()) > 5 for _, explanation in choices), question
