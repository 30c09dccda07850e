"""From replies to points, faults and named misconceptions, on a question small enough to follow."""

import numpy as np
import pytest

from autograder.assignment import replies
from autograder.judge import dtype, shape, untouched, values
from autograder.question import Aspect, Case, Question, seed_for
from autograder.report import with_code
from autograder.report.feedback import verdict_html, verdict_text
from autograder.shell.inside.wire import Foreign
from autograder.verdict import decide, show_inputs


def cases(rng):
    yield Case("small", {"x": rng.normal(size=2)})
    yield Case("float32", {"x": rng.normal(size=(3, 4)).astype(np.float32)})


ASPECTS = (
    Aspect("shape", 1, shape()),
    Aspect("values", 2, values()),
    Aspect("dtype", 1, dtype(), cases=("float32",)),
    Aspect("leaves its argument alone", 1, untouched()),
)
DOUBLE = Question("double", "Double it", cases, ASPECTS)


@DOUBLE.misconception("You squared: doubling is adding the number to itself.")
def squares(x):
    return x * x


def right(x):
    return 2 * x


def judge(program, seed=1):
    drawn = DOUBLE.draw(seed)
    expected = replies({"double": right}, DOUBLE, drawn)
    return decide(DOUBLE, drawn, expected, replies({"double": program}, DOUBLE, drawn))


def lost(verdict):
    return [aspect.title for aspect in verdict.aspects if aspect.earned < aspect.points]


@pytest.mark.parametrize(
    "program", [right, lambda x: x + x, lambda x: (x + x).copy(), lambda y: y * np.float32(2)]
)
def test_right_programs_get_full_marks(program):
    verdict = judge(program)
    assert (verdict.score, lost(verdict), verdict.misconception) == (5, [], "")


def test_a_misconception_is_named_and_loses_points():
    verdict = judge(squares)
    assert verdict.misconception == "squares"
    assert "You squared" in verdict_html(verdict)
    assert 0 < verdict.score < 5


def test_another_style_of_the_same_misconception_is_named_too():
    assert judge(lambda x: np.power(x, 2)).misconception == "squares"


def test_a_wrong_program_that_is_no_known_misconception_is_not_named():
    verdict = judge(lambda x: 3 * x)
    assert (verdict.misconception, verdict.advice) == ("", "")
    assert "values" in lost(verdict)


def test_only_the_lost_dtype_costs_points():
    assert lost(judge(lambda x: 2 * x.astype(np.float64))) == ["dtype"]


def test_a_changed_argument_costs_its_aspect():
    def in_place(x):
        x *= 2
        return x

    verdict = judge(in_place)
    assert lost(verdict) == ["leaves its argument alone"]
    assert "changed its argument x" in verdict.aspects[-1].sentence


def test_a_constant_of_the_right_shape_earns_nothing():
    assert judge(lambda x: np.zeros_like(x)).score == 0


@pytest.mark.parametrize(
    "value",
    [None, "5 of 5 points", True, 1.0, np.nan, [1, 2], {"score": 5}, np.array(["x"]), object()],
)
def test_values_of_another_kind_earn_nothing_and_break_nothing(value):
    assert judge(lambda x: value).score == 0


def test_an_error_is_told_with_its_line():
    verdict = judge(lambda x: x @ np.ones(7))
    assert verdict.score == 0
    assert "matmul" in verdict.aspects[0].got


def test_the_smallest_failing_example_shows_inputs_expected_and_got():
    first = judge(lambda x: 3 * x).aspects[1]
    assert first.case == "small"
    assert "x: float64 (2,)" in first.inputs
    assert "shape (2,)" in first.expected
    assert "shape (2,)" in first.got


def test_a_wrong_shape_is_told_before_values():
    first, second, *_ = judge(lambda x: (2 * x)[None]).aspects
    assert (first.expected, first.got) == ("shape (2,)", "shape (1, 2)")
    assert second.sentence == "The result has another shape."
    assert not second.expected, "one example is shown"


def test_hostile_text_is_escaped_in_the_feedback():
    def shout(x):
        raise ValueError("<script>alert(1)</script>")

    html = verdict_html(judge(shout))
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_nan_where_none_is_expected_is_said():
    assert "NaN" in judge(lambda x: x * np.nan).aspects[1].sentence


@pytest.mark.parametrize("value", [Foreign("x"), 10**400, [[[]]], {"a": 1}])
def test_a_reply_that_breaks_a_judge_loses_the_aspect_only(value):
    drawn = DOUBLE.draw(1)
    expected = replies({"double": right}, DOUBLE, drawn)
    hostile = [{"value": value, "changed": {}, "gradients": {}}] * 2
    assert decide(DOUBLE, drawn, expected, hostile).score == 0


def test_the_text_version_says_the_same():
    text = verdict_text(judge(squares))
    assert "You squared" in text
    assert "values: 0 of 2" in text


def test_inputs_differ_by_student_and_stay_the_same_for_one():
    seeds = {seed_for("secret", student, "02-scores", "double") for student in ("ada", "alan")}
    assert len(seeds) == 2
    assert seed_for("secret", "ada", "a", "q") == seed_for("secret", "ada", "a", "q")
    assert seed_for("secret", "ada", "a", "q") != seed_for("other", "ada", "a", "q")
    # The parts cannot run into each other.
    assert seed_for("s", "ab", "c", "q") != seed_for("s", "a", "bc", "q")


def test_code_in_a_sentence_is_set_as_code_and_escaped_once():
    assert with_code("a `>=` b > <c>") == "a <code>&gt;=</code> b &gt; &lt;c&gt;"


def test_a_coarser_dtype_buys_no_wider_tolerance():
    assert lost(judge(lambda x: (2 * x).astype(np.float32))) == []
    assert "values" in lost(judge(lambda x: (2.002 * x).astype(np.float16)))


def test_the_example_of_a_module_says_what_it_was_constructed_with():
    case = Case("small", {"x": np.zeros(1)}, construct=(2, 7), state={"w": np.ones(1)})
    assert show_inputs(case).splitlines()[0] == "constructed with: (2, 7)"
