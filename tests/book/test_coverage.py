"""What the course covers: every system has its row, and no row claims what is not there."""

import re
from pathlib import Path

import pytest

BOOK = Path(__file__).parents[2] / "book"
PAGE = (BOOK / "coverage.md").read_text()
ROWS = re.findall(r"^\| (\d+) \| (.+?) \| (.+?) \| (.+) \|$", PAGE, flags=re.M)


def test_all_systems_of_the_documents_are_listed():
    assert [int(number) for number, *_ in ROWS] == list(range(1, 35))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_names_a_page_or_says_that_it_is_planned(row):
    _, _, documents, where = row
    assert re.fullmatch(r"all|D[0-4](, D[0-4])*", documents)
    assert "](" in where or "planned" in where


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_the_section_that_a_row_names_is_on_its_page(row):
    for page, section in re.findall(r"\]\((\d\d-[\w-]+\.md)\), \*([^*]+)\*", row[3]):
        headings = re.findall(r"^#{2,4} (.+)$", (BOOK / page).read_text(), flags=re.M)
        if not headings:
            pytest.skip(f"{page} is not written yet")
        assert section in headings


def test_every_column_of_the_comparison_is_filled():
    for table in re.findall(r"(?:^\|.*\n){10,}", PAGE, flags=re.M)[1:]:
        widths = {line.count("|") for line in table.strip().splitlines()}
        assert widths == {8}
        assert "|  |" not in table.partition("---")[2]


def test_every_challenge_ends_with_what_is_open():
    challenges = PAGE.partition("(open-challenges)=")[2].partition("## Beside")[0]
    answers = re.split(r"^### .+$", challenges, flags=re.M)[1:]
    assert len(answers) == 8
    assert all("*Open*" in answer and "{cite:" in answer for answer in answers)
