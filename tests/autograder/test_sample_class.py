"""A class as it comes: right answers in many styles and shapes, every mistake known, accidents, tricks."""

import json
import re
from html import unescape

import nbformat
import pytest

from autograder.assignment import Assignment
from autograder.classrun import ClassResult, grade_class, records
from autograder.crew import Crew
from autograder.report.classreport import student_rows, write_report
from autograder.report.pages import page_path, write_pages
from autograder.sample import (
    ACCIDENTS_AND_TRICKS,
    bank_programs,
    mistaken,
    put_first,
    sample_class,
    solve,
    write_class,
)

WRITTEN = 4  # points of the written question, which only a person can give


@pytest.fixture(scope="module")
def assignment(new_course):
    return Assignment.named(new_course(), "02-scores")


@pytest.fixture(scope="module")
def damaged(assignment, hand_in, right):
    """Three hand-ins beside the sample class: one that is no notebook, one empty, and two tricks."""
    hand_in(assignment, "not-a-notebook", "<html>Sign in to download</html>")
    (assignment.course.step("submitted") / "nothing" / assignment.name).mkdir(parents=True)
    wrong = {name: f"def {name}(*args, **kwargs):\n    return 1.0" for name in right}
    skipping = solve(assignment, wrong)
    for (
        cell
    ) in skipping.cells:  # stock nbgrader would pass these cells over, and count them as right
        cell.metadata["tags"] = ["skip-execution"]
    hand_in(assignment, "skips-execution", skipping)
    edited = solve(assignment, wrong)
    for cell in edited.cells:
        if cell.metadata.get("nbgrader", {}).get("grade") and cell.cell_type == "code":
            cell.source = "print('all passed')"
            cell.metadata.nbgrader.points = 100
    hand_in(
        assignment,
        "edits-the-checks",
        put_first(edited, ACCIDENTS_AND_TRICKS["redefines-allclose"]),
    )


@pytest.fixture(scope="module")
def mangled(assignment, hand_in, right):
    """Right answers in notebooks that editors or people have mangled; none may lose a point."""
    copied = solve(assignment, right)
    copied.cells.insert(9, nbformat.from_dict(copied.cells[6].copy()))
    doubled = next(c for c in copied.cells if c.id == "test_additive_scores")
    copied.cells.append(nbformat.from_dict(doubled.copy()))
    hand_in(assignment, "mangled-copied", copied)
    deleted = solve(assignment, right)
    deleted.cells = [c for c in deleted.cells if c.id != "test_scaled_dot_scores"]
    hand_in(assignment, "mangled-deleted", deleted)
    retyped = json.loads(nbformat.writes(solve(assignment, right)))
    for cell in retyped["cells"]:
        if cell["id"] == "test_additive_scores":
            cell["cell_type"] = "markdown"
            del cell["outputs"], cell["execution_count"]
    hand_in(assignment, "mangled-retyped", retyped)
    surrogate = put_first(solve(assignment, right), r'print("\ud83d")')
    hand_in(assignment, "mangled-surrogate", surrogate)
    broken = json.loads(nbformat.writes(solve(assignment, right)))
    broken["cells"][3]["metadata"]["nbgrader"] = None
    hand_in(assignment, "not-cells", broken)


@pytest.fixture(scope="module")
def graded(assignment, damaged, mangled) -> ClassResult:
    write_class(assignment)
    with Crew(jobs=2) as crew:
        result = grade_class(assignment, crew)
    write_pages(assignment, jobs=2, progress=lambda: None)
    return result


@pytest.fixture(scope="module")
def scores(assignment, graded):
    return {
        row.student: row.score for row in student_rows(assignment, assignment.course.class_folder)
    }


def page(assignment, student):
    return unescape(page_path(assignment, student).read_text())


def test_the_class_has_what_a_class_brings(assignment):
    class_ = sample_class(assignment)
    assert len(class_) >= 30
    assert sum(student.startswith("right-") for student in class_) >= 7
    assert {"blank", "right-from-colab", "right-from-vscode", *ACCIDENTS_AND_TRICKS} <= set(class_)
    assert json.loads(class_["right-from-colab"])["nbformat_minor"] == 0
    named = [(name, text) for programs in mistaken(assignment) for name, text in programs.items()]
    assert len(named) == sum(len(q.misconceptions) for q in assignment.questions.values())


def test_right_answers_get_full_marks_in_every_style_and_shape(assignment, scores):
    full = sum(question.points for question in assignment.checks.values())
    right = {s: score for s, score in scores.items() if s.startswith(("right-", "mangled-"))}
    assert len(right) >= 11
    assert right == dict.fromkeys(right, full)


def test_every_misconception_loses_points_and_is_named_in_the_feedback(assignment, graded):
    graded_records = records(assignment)
    for number, programs in enumerate(mistaken(assignment)):
        student = f"mistaken-{number + 1:02d}"
        text = page(assignment, student)
        for name in programs:
            misconception = assignment.questions[name].misconceptions[number]
            verdict = graded_records[student].verdicts[name]
            assert verdict.score < verdict.points, (student, name)
            assert verdict.misconception == misconception.name
            shown = re.search(
                f'data-misconception="{misconception.name}"(.*?)</p>', text, re.DOTALL
            )
            assert shown, f"{misconception.name} is not named in the feedback of {student}"
            sentence = re.sub("<.*?>", "", shown[1].split("</strong>")[1]).strip()
            assert sentence == misconception.sentence.replace("`", "")


@pytest.mark.parametrize("student", ["blank", *ACCIDENTS_AND_TRICKS])
def test_nothing_answered_and_tricks_alone_gain_nothing(scores, student):
    assert scores[student] == 0


@pytest.mark.parametrize("student", ["skips-execution", "edits-the-checks"])
def test_tricks_on_wrong_answers_gain_nothing(scores, student):
    assert scores[student] == 0


def test_the_released_checks_ran_whatever_the_hand_in_made_of_them(assignment, graded):
    text = page(assignment, "edits-the-checks")
    assert "all passed" not in text
    assert "assert" in text


def test_the_batch_goes_on_and_names_whom_it_could_not_grade(assignment, graded):
    assert set(graded.problems) == {"not-a-notebook", "nothing", "not-cells"}
    assert "not a notebook" in graded.problems["not-a-notebook"]
    assert len(graded.graded) == len(sample_class(assignment)) + 6


def test_an_endless_loop_is_told_in_words(assignment, graded):
    assert "stopped after 10 s" in page(assignment, "endless-loop")


def test_feedback_holds_no_marker_no_solution_and_no_account_of_colab(assignment, graded):
    for student in ("blank", "right-from-colab", "mistaken-01"):
        text = page(assignment, student)
        assert "HIDDEN TESTS" not in text
        assert "check(" not in text
        assert "BEGIN SOLUTION" not in text
        assert "Ada Example" not in text


def test_the_report_says_what_the_class_did_not_understand(assignment, graded):
    text = unescape(write_report(assignment).read_text())
    for question in assignment.checks.values():
        assert question.title in text
        first = question.misconceptions[0].sentence.replace("`", "")
        assert first in re.sub("</?code>", "", text)
    assert "not-a-notebook" in text
    assert "gave no answer" in text


def test_a_second_run_does_nothing_again(assignment, graded):
    again = grade_class(assignment, Crew())
    assert again.graded == []
    assert sorted(again.unchanged) == sorted(graded.graded)
    assert write_pages(assignment, jobs=2, progress=lambda: None) == 0


def test_a_damaged_record_is_made_anew(assignment, graded):
    path = assignment.course.record(assignment.name, "blank", assignment.notebook)
    path.write_text('{"fingerprint": "of an older grader"}')
    with Crew(jobs=1) as crew:
        again = grade_class(assignment, crew)
    assert again.graded == ["blank"]
    assert "blank" in records(assignment)


def test_one_changed_hand_in_is_the_only_one_graded_again(assignment, graded, hand_in, right):
    hand_in(assignment, "half-way-01", solve(assignment, right))
    with Crew(jobs=1) as crew:
        again = grade_class(assignment, crew)
    assert again.graded == ["half-way-01"]


def test_a_changed_written_answer_is_taken_in(assignment, graded, hand_in, right):
    notebook = solve(assignment, right | {"choose_a_score": "The second answer."})
    hand_in(assignment, "right-matmul", notebook)
    with Crew(jobs=1) as crew:
        again = grade_class(assignment, crew)
    assert again.graded == ["right-matmul"]
    graded_notebook = assignment.course.step("autograded") / "right-matmul/02-scores/scores.ipynb"
    assert "The second answer." in graded_notebook.read_text()


def test_inputs_are_the_students_own(assignment, graded):
    inputs = {
        student: record.verdicts["scaled_dot_scores"].aspects[1].inputs
        for student, record in records(assignment).items()
        if student in ("mistaken-01", "mistaken-02")
    }
    assert inputs["mistaken-01"] != inputs["mistaken-02"]


def test_a_program_of_the_bank_takes_its_helpers_along_whole(assignment, tmp_path):
    text = "from dataclasses import dataclass\n\n\n@dataclass\nclass Pair:\n    x: int\n\n\na = 1; b = 2\n"
    function = "def scaled_dot_scores(queries, keys):\n    return Pair(1)"
    (tmp_path / "own.py").write_text(f"{text}\n\n{function}\n")
    [program] = bank_programs(assignment, tmp_path / "own.py").values()
    assert "@dataclass\nclass Pair:\n    x: int" in program
    assert program.count("a = 1") == program.count("b = 2") == 1
    assert program.endswith(function)
