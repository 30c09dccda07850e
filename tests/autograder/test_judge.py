"""The judge's tolerances: another order of operations is within them, another precision is not."""

import math

import numpy as np
import pytest

from autograder.assignment import replies
from autograder.judge import TOLERANCE, alike, dtype, gradients
from autograder.question import Aspect, Case, Question
from autograder.verdict import decide

TERMS = 1000
PRECISIONS = ("float32", "float64")


def one_by_one(terms):
    """The sum from left to right, rounded at each step."""
    total = terms.dtype.type(0)
    for term in terms:
        total += term
    return total


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("seed", range(10))
def test_any_order_of_a_thousand_terms_is_within_the_tolerance(precision, seed):
    rng = np.random.default_rng(seed)
    terms = (rng.normal(size=TERMS) / TERMS).astype(
        precision
    )  # their absolute values add up to 0.8
    exact = np.array(math.fsum(terms.astype(float)), dtype=precision)
    orders = [terms, terms[::-1], np.sort(terms), terms[np.argsort(-np.abs(terms))]]
    for found in [*map(one_by_one, orders), terms.sum(), terms @ np.ones_like(terms)]:
        assert alike(exact, np.array(found))


def test_the_bound_on_rounding_lies_below_the_tolerance():
    for precision, tolerance in TOLERANCE.items():
        unit_roundoff = np.finfo(precision).eps / 2
        assert TERMS * unit_roundoff < tolerance < 1e-3


@pytest.mark.parametrize(("precision", "detour"), [("float32", "float16"), ("float64", "float32")])
@pytest.mark.parametrize("seed", range(10))
def test_a_detour_through_less_precision_is_noticed(precision, detour, seed):
    right = np.random.default_rng(seed).normal(size=(2, 3, 5)).astype(precision)
    assert alike(right, right.copy())
    assert not alike(right, right.astype(detour).astype(precision))


def pairs(rng):
    yield Case("small", {"x": rng.normal(size=3).astype("float32")})


@pytest.mark.parametrize(
    ("program", "scores"),
    [
        (lambda x: (x, 2 * x), (1, 1, 1)),
        (lambda x: (x, 2 * x.astype(float)), (1, 0, 0)),
        (lambda x: (x, 3 * x), (1, 0, 0)),
        (lambda x: x, (0, 0, 0)),
    ],
)
def test_the_dtype_of_one_part_of_a_result_can_be_asked_for(program, scores):
    aspects = tuple(Aspect(f"dtype of {index}", 1, dtype(index)) for index in (0, 1, None))
    question = Question("both", "Both", pairs, aspects)
    cases = question.draw(0)
    right, got = (
        replies({"both": function}, question, cases) for function in (lambda x: (x, 2 * x), program)
    )
    earned = tuple(row.earned for row in decide(question, cases, right, got).aspects)
    assert earned == scores


def test_several_gradients_can_be_asked_for_at_once():
    case = Case("any", {})
    right, other = {"a": np.ones(2), "b": np.ones(3)}, {"a": np.ones(2), "b": np.zeros(3)}
    judge = gradients("a", "b")
    assert judge(case, {"gradients": right}, {"gradients": dict(right)}) is None
    assert "gradient by b" in judge(case, {"gradients": right}, {"gradients": other}).sentence
    assert (
        "reaches a" in judge(case, {"gradients": right}, {"gradients": {"b": right["b"]}}).sentence
    )
