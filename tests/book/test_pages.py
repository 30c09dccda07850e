"""What every page of the book must have, read from its source."""

import re
from pathlib import Path

import jupytext
import pytest
import yaml

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "book"
PAGES = sorted(BOOK.rglob("*.md"))
CHAPTERS = [page for page in PAGES if page.name[0].isdigit()]

SECTIONS = [
    "What you will be able to do",
    "What you need first",
    "The idea in a picture",
    "Quiz",
    "Exercises",
    "Summary",
    "Further reading",
]
PARTS_OF_A_SCORE = [
    "Intuition.",
    "Mathematics.",
    "Cost.",
    "When to use it.",
    "What the documents say.",
]

page_of_the_book = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
chapter_of_the_book = pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)


def sections(page: Path, level: int = 2) -> dict[str, str]:
    """The text under each heading of one level."""
    outside_code = re.sub(r"^```\{code-cell\}.*?^```$", "", page.read_text(), flags=re.M | re.S)
    pieces = re.split(rf"^{'#' * level} (.+)$", outside_code, flags=re.M)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def code_cells(page: Path):
    return [cell for cell in jupytext.read(page, fmt="md:myst").cells if cell.cell_type == "code"]


def test_there_are_chapters():
    assert CHAPTERS


@chapter_of_the_book
def test_a_chapter_has_its_sections_in_order(page):
    headings = list(sections(page))
    assert [heading for heading in headings if heading in SECTIONS] == SECTIONS
    assert all(sections(page)[heading].strip() for heading in SECTIONS)


@chapter_of_the_book
def test_a_chapter_states_objectives_and_leaves_its_time_to_be_measured(page):
    objectives = re.findall(r"^- \w", sections(page)["What you will be able to do"], flags=re.M)
    assert len(objectives) >= 3
    assert not re.search(r"\*\*Time:\*\*|minutes to read", page.read_text())  # page_facts.py


@chapter_of_the_book
def test_a_chapter_links_its_assignment(page):
    exercises = sections(page)["Exercises"]
    if (ROOT / "solutions" / page.stem).is_dir():
        assert re.search(rf"\]\(\.\./exercises/{page.stem}/\w+\)", exercises)
    else:  # until it has one: problems with their answers, folded
        assert exercises.count("{dropdown}") >= 3


@chapter_of_the_book
def test_every_choice_of_the_quiz_is_explained(page):
    quiz = sections(page)["Quiz"]
    questions = re.findall(r"^:::\{quiz\}\n(.*?)^:::$", quiz, flags=re.M | re.S)
    assert len(questions) >= 5
    for question in questions:
        choices = re.findall(r"^- \[([ x])\] .+?\n\n(.*?)(?=^- |\Z)", question, flags=re.M | re.S)
        assert len(choices) >= 3, question
        assert [tick for tick, _ in choices].count("x") == 1, question
        assert all(len(explanation.split()) > 5 for _, explanation in choices), question


@pytest.mark.parametrize(
    "score",
    ["Dot product", "Scaled dot product", "Bilinear (generalized)", "Additive", "Location-based"],
)
def test_every_score_has_every_part(score):
    text = sections(BOOK / "02-scores.md")[score]
    places = [text.index(f"**{part}**") for part in PARTS_OF_A_SCORE]
    assert places == sorted(places)


@page_of_the_book
def test_every_figure_has_an_alternative_text(page):
    for cell in code_cells(page):
        if re.search(r"\bplt\.(subplots|figure)\(", cell.source):
            text = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(text.split()) >= 8, cell.source
    for text in re.findall(r"!\[(.*?)\]\(", page.read_text()):
        assert len(text.split()) >= 3


@page_of_the_book
def test_no_image_comes_from_elsewhere(page):
    text = page.read_text()
    assert not re.search(r"!\[[^\]]*\]\(\s*(https?:)?//", text)
    assert not re.search(r"<img[^>]+src=[\"']?(https?:)?//", text)
    assert not re.search(r"\{(image|figure)\}\s*(https?:)?//", text)


@page_of_the_book
def test_no_cell_may_fail_or_hide_what_it_says(page):
    for cell in code_cells(page):
        tags = cell.metadata.get("tags", [])
        assert not set(tags) & {"raises-exception", "remove-stderr", "skip-execution"}


@page_of_the_book
def test_every_citation_is_in_the_bibliography(page):
    known = set(re.findall(r"^@\w+\{([^,]+),", (BOOK / "references.bib").read_text(), flags=re.M))
    cited = re.findall(r"\{cite[^}]*\}`([^`]+)`", page.read_text())
    assert {key.strip() for keys in cited for key in keys.split(",")} <= known


def test_every_source_of_the_bibliography_is_cited():
    text = "".join(page.read_text() for page in PAGES)
    keys = re.findall(r"^@\w+\{([^,]+),", (BOOK / "references.bib").read_text(), flags=re.M)
    assert keys and all(key in text for key in keys)


@chapter_of_the_book
def test_every_library_function_has_a_numpy_and_a_pytorch_version(page):
    defined = {"numpy": set(), "torch": set()}
    for cell in code_cells(page):
        tags = set(cell.metadata.get("tags", []))
        if "library" in tags and (kind := tags & set(defined)):
            names = re.findall(r"^def (\w+)\(.*?\) -> (.+?):$", cell.source, flags=re.M | re.S)
            defined[kind.pop()] |= {
                name for name, result in names if result in ("np.ndarray", "torch.Tensor")
            }
    assert defined["numpy"]
    assert {f"{name}_torch" for name in defined["numpy"]} == defined["torch"]


def test_every_page_of_the_book_is_in_the_table_of_contents():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    chapters = [entry["file"] for part in toc["parts"] for entry in part["chapters"]]
    listed = {toc["root"], *chapters}
    assert {str(page.relative_to(ROOT).with_suffix("")) for page in PAGES} <= listed
