"""The syllabus says what the notebooks say, and the notebooks what nbgrader counts."""

from pathlib import Path

import nbformat
import pytest

from book._ext.syllabus import Assignment, Question, assignments, details, hours, overview, read

ROOT = Path(__file__).parents[2]
FOUND = assignments(ROOT)


def test_every_assignment_is_there():
    assert [f"{assignment.path}.ipynb" for assignment in FOUND] == sorted(
        path.relative_to(ROOT).as_posix() for path in ROOT.glob("exercises/*/*.ipynb")
    )
    assert len(FOUND) == len(list(ROOT.glob("solutions/*/")))


@pytest.mark.parametrize("assignment", FOUND, ids=lambda assignment: assignment.path)
def test_points_are_those_that_nbgrader_counts(assignment):
    cells = nbformat.read(ROOT / f"{assignment.path}.ipynb", as_version=4).cells
    counted = [cell.metadata.nbgrader for cell in cells if "nbgrader" in cell.metadata]
    graded = [data for data in counted if data.grade]
    assert [data.points for data in graded] == [q.points for q in assignment.questions]
    assert [data.solution for data in graded] == [q.by_a_person for q in assignment.questions]
    assert [q.number for q in assignment.questions] == list(range(1, len(graded) + 1))


def test_the_page_shows_all_of_it(site):
    html = (site / "book/syllabus.html").read_text()
    for assignment in FOUND:
        assert f'href="../{assignment.path}.html"' in html
        assert all(question.title.split("`")[0] in html for question in assignment.questions)
        assert hours(assignment.minutes) in html


def test_sums_are_sums():
    one = Assignment("exercises/01/one", "One", [Question(1, "A", 1, 40, 3, False)] * 2)
    assert overview([one, one], "../")[2:] == [
        "| [01](../exercises/01/one) | One | 2 | 1 h 20 min | 6 |",
        "| [01](../exercises/01/one) | One | 2 | 1 h 20 min | 6 |",
        "| **all** | | **4** | **2 h 40 min** | **12** |",
    ]
    assert details(one)[2] == "| 1 | A | ★ | 40 | 3 |"


def test_a_notebook_without_questions_is_refused(tmp_path):
    nbformat.write(
        nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# One")]),
        tmp_path / "one.ipynb",
    )
    with pytest.raises(ValueError, match="has no line such as"):
        read(tmp_path / "one.ipynb", tmp_path)
