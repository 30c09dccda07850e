"""A change asks again only the questions that it can have changed the verdict of."""

import re
from pathlib import Path

import pytest

from autograder import grading
from autograder.assignment import Paper
from autograder.autograded import to_text
from autograder.changes import engine_version, question_definitions, reached, statements
from autograder.checks import scores
from autograder.grading import Task, grade, seeds_for
from autograder.sample import solve

MODULE = """
import numpy as np
from math import sqrt

LIMIT = 3

def helper(x):
    return np.abs(x)

def judge(case):
    return helper(case) < LIMIT

one = Question(judge)
two = Question(None)

@one.misconception("Think again.")
def wrong(x):
    return sqrt(x)

QUESTIONS = [one, two]
"""


def texts(source, root):
    return "\n".join(reached(statements(source), root))


def test_a_question_reaches_what_it_names_and_what_enters_itself_into_it():
    found = texts(MODULE, "one")
    assert all(
        part in found for part in ("LIMIT", "def helper", "import numpy", "Think again", "sqrt")
    )
    assert texts(MODULE, "two") == "two = Question(None)"


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("LIMIT = 3", "LIMIT = 4", {"one"}),
        ("np.abs(x)", "np.abs(-x)", {"one"}),
        ("Think again.", "Think twice.", {"one"}),
        ("Question(None)", "Question(judge)", {"two"}),
        ("LIMIT = 3", "LIMIT = 3  # enough", set()),
        ("QUESTIONS = [one, two]", "QUESTIONS = [two, one]", set()),
        ("LIMIT = 3", "LIMIT = 3\nnp.seterr(all='raise')", {"one", "two"}),
        ("LIMIT = 3", "LIMIT = 3\nif LIMIT:\n    two = 1", {"one", "two"}),
    ],
)
def test_a_changed_statement_changes_those_that_reach_it(old, new, changed):
    edited = MODULE.replace(old, new)
    assert edited != MODULE
    assert {q for q in ("one", "two") if texts(MODULE, q) != texts(edited, q)} == changed


def test_a_decorator_from_elsewhere_ties_nothing_together():
    source = "import torch\n@torch.no_grad()\ndef one(x): return x\ndef two(x): return torch.abs(x)"
    assert "def one" not in texts(source, "two")


@pytest.fixture
def edit_checks(monkeypatch, tmp_path):
    """`edit_checks(old, new)` makes the checks' module read as if it had been edited."""
    original = Path(scores.__file__).read_text()

    def edit(old, new):
        assert old in original
        path = tmp_path / "scores.py"
        path.write_text(original.replace(old, new))
        monkeypatch.setattr(scores, "__file__", str(path))
        question_definitions.cache_clear()

    yield edit
    question_definitions.cache_clear()


@pytest.fixture
def regrade(assignment, right, monkeypatch):
    """`regrade(paper)` grades again what was graded once; returns the questions that were asked."""
    handed_in = to_text(solve(assignment, right)).encode()

    def task(paper, earlier=""):
        seeds = seeds_for("secret", "ada", paper)
        return Task("ada", handed_in, paper, seeds, "none", engine_version(), earlier)

    first = grade(task(assignment.paper))
    asked = []
    examine = grading.examine

    def told(session, paper, question, *others):
        asked.append(question.name)
        return examine(session, paper, question, *others)

    monkeypatch.setattr(grading, "examine", told)

    def again(paper):
        asked.clear()
        record = grade(task(paper, first.to_json()))
        assert record.verdicts.keys() == first.verdicts.keys()
        return asked

    return again


def test_only_what_a_change_affects_is_asked_again(assignment, regrade, edit_checks):
    paper = assignment.paper
    assert regrade(paper) == []
    edit_checks("You return plain dot products.", "These are plain dot products.")
    assert regrade(paper) == ["scaled_dot_scores"]
    edit_checks('"no d_q by d_k matrix", 0.5', '"no d_q by d_k matrix", 0.25')
    assert regrade(paper) == ["low_rank_bilinear_scores"]
    edit_checks(
        "(rng.normal(size=size) / np.sqrt(width))", "(np.sqrt(width) * rng.normal(size=size))"
    )
    assert regrade(paper) == [name for name in paper.questions if draws_with_normal(name)]


def draws_with_normal(name):
    cases = getattr(scores, name).cases
    return "_normal" in cases.__code__.co_names + tuple(
        part
        for code in cases.__code__.co_consts
        if hasattr(code, "co_names")
        for part in code.co_names
    )


def test_a_changed_solution_asks_its_own_question_and_changed_text_none(assignment, regrade):
    paper = assignment.paper

    def edited(old, new):
        assert paper.source.count(old) == 1
        return Paper(paper.name, paper.notebook, paper.source.replace(old, new), paper.release)

    heading = re.search(r"^# .*$", paper.source, re.MULTILINE)[0]
    assert regrade(edited(heading, heading + " (again)")) == []
    assert regrade(edited("math.sqrt(queries.shape[-1])", "queries.shape[-1] ** 0.5")) == [
        "scaled_dot_scores"
    ]
