"""A change asks again only the questions that it can have changed the verdict of."""

import re
import sys

import pytest

from autograder import changes, grading
from autograder.assignment import Paper
from autograder.autograded import to_text
from autograder.changes import engine_version, question_definitions, reached, statements, text_of
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


def test_what_comes_from_another_module_of_checks_is_followed_there_by_name(edit_checks):
    def found():
        source = "from autograder.checks.draw import normal, rounded\none = normal\ntwo = rounded"
        return [texts(source, root) for root in ("one", "two", "three")]

    before = found()
    edit_checks("draw", "integers(1, 20,", "integers(1, 10,")
    assert [old != new for old, new in zip(before, found(), strict=True)] == [False, True, False]


@pytest.mark.parametrize(
    "source",
    [
        "from autograder.checks.draw import *",
        "from autograder.checks import draw\none = draw",
        "import autograder.checks.draw as draw\none = draw",
        "from .draw import normal as one",
    ],
)
def test_every_form_of_import_leads_to_the_other_module(source):
    assert "def normal" in texts(source, "one")


@pytest.fixture
def edit_checks(monkeypatch):
    """`edit_checks(file, old, new)` makes a module of checks read as if it had been edited, and no other."""

    def edit(file, old, new):
        name = f"autograder.checks.{file}"
        assert old in text_of(name)
        edited = text_of(name).replace(old, new)
        monkeypatch.setattr(changes, "text_of", lambda m: edited if m == name else text_of(m))
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
    edit_checks("scores.scaled_dot", "You return plain dot products.", "These are dot products.")
    assert regrade(paper) == ["scaled_dot_scores"]
    edit_checks("scores.low_rank", '"no d_q by d_k matrix", 0.5', '"no d_q by d_k matrix", 0.25')
    assert regrade(paper) == ["low_rank_bilinear_scores"]
    edit_checks("scores", "additive_scores,\n    location", "location")  # in the list of questions
    assert regrade(paper) == []
    edit_checks("draw", "rng.choice([-1, 1], size=size)", "rng.choice([1, -1], size=size)")
    drawing = [name for name in paper.questions if draws_rounded(paper.questions[name])]
    assert 1 < len(drawing) < len(paper.questions)
    assert regrade(paper) == drawing


def draws_rounded(question):
    return "rounded" in vars(sys.modules[question.cases.__module__])


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
