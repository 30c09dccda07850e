"""Plain nbgrader on the same course: its own commands, run as an instructor would, give the same scores."""

import csv
import re
import shutil
from html import unescape

import nbformat
import pytest
from nbgrader.api import Gradebook

from autograder.assignment import Assignment, grade_id
from autograder.course import Course
from autograder.release import release
from autograder.sample import as_colab, mistaken, solve

NAME = "02-scores"
WRITTEN = "choose_a_score"
ANSWER = "I choose the **scaled dot product** in all three."
STUDENTS = ("blank", "mistaken", "right", "written")
BARE_CONFIG = """
c = get_config()
c.CourseDirectory.course_id = "attention"
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "exercises"
c.CourseDirectory.submitted_directory = "class/submitted"
c.CourseDirectory.autograded_directory = "class/autograded"
"""


def grades(course):
    """What the gradebook holds: by student, each cell's automatic score (None where a person gives it) and
    whether it waits for that person.
    """
    with Gradebook(course.database_url, "attention") as gradebook:
        return {
            submission.student_id: {
                grade.name: (grade.auto_score, grade.needs_manual_grade)
                for notebook in submission.notebooks
                for grade in notebook.grades
            }
            for submission in gradebook.assignment_submissions(NAME)
        }


def written_grade(gradebook):
    return gradebook.find_grade(WRITTEN, "scores", NAME, "written")


def page(course, student):
    """A feedback page as text, without what marks code up."""
    html = (course.step("feedback") / student / NAME / "scores.html").read_text()
    return unescape(re.sub(r"</?(span|code)\b[^>]*>", "", html))


@pytest.fixture(scope="module")
def graded(new_course, hand_in, command, right):
    """A class taken through nbgrader's commands alone, from the release to the grades."""
    course = new_course()
    assignment = Assignment(course, NAME)
    hand_in(assignment, "blank", solve(assignment, {}))
    hand_in(assignment, "mistaken", solve(assignment, right | mistaken(assignment)[0]))
    hand_in(assignment, "right", solve(assignment, right))
    # Through Colab: no cell ids, other metadata, somebody's name in every cell.
    hand_in(assignment, "written", as_colab(solve(assignment, right | {WRITTEN: ANSWER})))
    command(course, "nbgrader", "generate_assignment", NAME, "--force")
    command(course, "nbgrader", "autograde", NAME)
    return course


@pytest.fixture(scope="module")
def feedback(graded, command):
    """The same class with nbgrader's feedback pages."""
    command(graded, "nbgrader", "generate_feedback", NAME)
    return graded


def test_generate_assignment_gives_what_autograder_release_gives(course, assignment, command):
    """In a fresh clone, where neither the release's .ipynb source nor a class folder exists yet."""
    shutil.rmtree(course.exercises)
    assert not list(course.solutions.glob("*/*.ipynb"))
    assert not course.class_folder.exists()
    command(course, "nbgrader", "generate_assignment", NAME)
    by_nbgrader = assignment.release.read_bytes()
    shutil.rmtree(course.exercises)
    release(assignment)
    assert by_nbgrader == assignment.release.read_bytes()


def test_generate_assignment_sees_an_edit_of_the_source(course, assignment, command):
    """The .ipynb beside the source is only its twin: one left behind must not be released."""
    release(assignment)
    text = assignment.source.read_text()
    assignment.source.write_text(text.replace("Hint 1", "A first hint", 1))
    command(course, "nbgrader", "generate_assignment", NAME, "--force")
    assert "A first hint" in assignment.release.read_text()
    assert not release(Assignment(course, NAME))


def test_the_scores_are_those_of_autograder_grade(graded, command):
    other = Course(graded.root, graded.root / "other-class")
    shutil.copytree(graded.step("submitted"), other.step("submitted"))
    shutil.copy(graded.class_folder / "secret", other.class_folder / "secret")
    command(other, "autograder", "grade", NAME)
    assert grades(graded) == grades(other)


def test_the_scores_are_right(graded):
    totals = {
        student: sum(score or 0 for score, _ in cells.values())
        for student, cells in grades(graded).items()
    }
    assert tuple(sorted(totals)) == STUDENTS
    assert totals["right"] == totals["written"] == 26
    assert totals["blank"] == 0
    assert 0 < totals["mistaken"] < 13


def test_an_answered_written_question_waits_for_a_person_and_no_other(graded):
    waiting = {
        (student, cell)
        for student, cells in grades(graded).items()
        for cell, (_, needs_manual_grade) in cells.items()
        if needs_manual_grade
    }
    assert waiting == {("written", WRITTEN)}


def test_the_feedback_names_the_misconceptions_and_shows_the_points(feedback):
    assignment = Assignment(feedback, NAME)
    text = page(feedback, "mistaken")
    for question in assignment.questions.values():
        assert f'aria-label="Result of {question.title}"' in text
        assert question.misconceptions[0].sentence.replace("`", "") in text
    assert "The smallest failing example" in text
    text = page(feedback, "right")
    for question in assignment.questions.values():
        assert f"{question.title}: {question.points:g} of {question.points:g} points" in text
    assert "data-misconception" not in text
    assert "<strong>scaled dot product</strong>" in page(feedback, "written")


def test_the_feedback_holds_no_marker_and_no_solution(feedback):
    source = Assignment(feedback, NAME).source.read_text()
    lines = ("math.sqrt gives a Python float", "Location-aware.** Content alone")
    assert all(line in source for line in lines)
    for student in STUDENTS:
        text = page(feedback, student)
        for secret in ("HIDDEN TESTS", "BEGIN SOLUTION", 'check("', "Mark scheme", *lines):
            assert secret.replace("**", "") not in re.sub(r"\*\*|</?strong>", "", text)


def test_export_writes_one_row_per_student(graded, command, tmp_path):
    command(graded, "nbgrader", "export", f"--to={tmp_path / 'grades.csv'}")
    with (tmp_path / "grades.csv").open(newline="") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    assert tuple(sorted(rows)) == STUDENTS
    assert rows["right"]["max_score"] == "30.0"
    assert rows["right"]["test_additive_scores"] == "4.0"
    for student, cells in grades(graded).items():
        assert float(rows[student]["score"]) == sum(score or 0 for score, _ in cells.values())
    assert rows["written"]["status"] == "needs manual grading"


def test_manual_scores_survive_a_regrade_and_a_new_release(
    course, assignment, hand_in, command, right
):
    release(assignment)
    hand_in(assignment, "written", solve(assignment, right | {WRITTEN: ANSWER}))
    command(course, "autograder", "grade", NAME)
    with Gradebook(course.database_url, "attention") as gradebook:
        grade = written_grade(gradebook)
        grade.manual_score, grade.needs_manual_grade = 2.5, False
        gradebook.find_comment(WRITTEN, "scores", NAME, "written").manual_comment = "Say why."
        gradebook.db.commit()
    command(course, "nbgrader", "generate_assignment", NAME, "--force")
    command(course, "nbgrader", "autograde", NAME, "--student=written", "--force")
    with Gradebook(course.database_url, "attention") as gradebook:
        assert written_grade(gradebook).manual_score == 2.5
        assert gradebook.find_comment(WRITTEN, "scores", NAME, "written").comment == "Say why."
        assert gradebook.find_submission(NAME, "written").score == 28.5


def test_without_the_plugin_the_marker_fails_and_nothing_passes(
    course, assignment, command, right, hand_in
):
    """nbgrader's own steps run the hidden marker, which nobody defines, in the student's process."""
    release(assignment)
    hand_in(assignment, "right", solve(assignment, right))
    (course.root / "nbgrader_config.py").write_text(BARE_CONFIG)
    bare = [f"--db={course.database_url}"]
    command(course, "nbgrader", "generate_assignment", NAME, "--force", *bare)
    command(course, "nbgrader", "autograde", NAME, *bare)
    assert {score for score, _ in grades(course)["right"].values()} == {0}
    notebook = nbformat.read(course.step("autograded") / "right" / NAME / "scores.ipynb", 4)
    for cell in notebook.cells:
        if grade_id(cell) in assignment.checks:
            error = cell.outputs[-1]
            assert (error.ename, error.evalue) == ("NameError", "name 'check' is not defined")
