"""The command line: help for a first-time instructor, one sentence for what is wrong, nothing lost."""

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from autograder.sample import sample_class, solve
from autograder.shell.sandbox import available

COMMANDS = ["release", "sample", "grade", "feedback", "export", "report", "check", "doctor"]


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def refused(command, course, *arguments) -> str:
    """Run a command that must fail: one sentence on stderr, no file made or changed; the sentence."""
    before = files(course.root)
    done = command(course, "autograder", *arguments, succeeds=False)
    assert files(course.root) == before
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == 2
    return lines[0]


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(command, course, name):
    assert "Usage: autograder" in command(course, "autograder", name, "--help").stdout


def test_the_commands_are_these(command, course):
    text = command(course, "autograder", "--help").stdout
    assert all(f" {name} " in text for name in COMMANDS)


@pytest.mark.parametrize("name", ["release", "sample", "grade", "feedback", "export", "report"])
def test_an_unknown_assignment_is_one_sentence(command, course, name):
    sentence = refused(command, course, name, "02-score")
    assert "Unknown assignment 02-score: did you mean 02-scores?" in sentence


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("grade", "No hand-ins for 01-background"),
        ("feedback", "No hand-ins for 01-background"),
        ("export", "No gradebook"),
        ("report", "Nothing is graded yet"),
    ],
)
def test_an_empty_class_is_one_sentence(command, course, name, says):
    assert says in refused(command, course, name)


@pytest.mark.parametrize("name", ["release", "grade", "doctor"])
def test_a_missing_configuration_is_one_sentence(command, course, name):
    (course.root / "nbgrader_config.py").unlink()
    assert "No nbgrader_config.py" in refused(command, course, name)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("<html></html>", "not the JSON of one"),
        ('{"cells": 3}', "not the JSON of one"),
        ("", "not the JSON of one"),
        (b"\xff\xfe\x00", "not UTF-8 text"),
        (nbformat.writes(nbformat.v4.new_notebook()), "not an exercise of this course"),
    ],
)
def test_check_says_what_is_wrong_with_a_file(command, course, content, says):
    path = course.root / "mine.ipynb"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert says in refused(command, course, "check", "mine.ipynb")


def test_check_of_a_missing_file_is_one_sentence(command, course):
    assert "no such file" in refused(command, course, "check", "nowhere.ipynb")


def test_check_tells_a_student_what_passed(command, course, assignment, right):
    some = {name: right[name] for name in list(right)[:2]}
    some["location_features"] = "def location_features(a, b):\n    return a"
    nbformat.write(solve(assignment, some), course.root / "mine.ipynb")
    all_right = solve(assignment, right)
    shutil.rmtree(course.solutions)  # a student has none
    text = command(course, "autograder", "check", "mine.ipynb", succeeds=False).stdout
    assert text.count("✓ passed") == 2
    assert text.count("not written yet") == 4
    nbformat.write(all_right, course.root / "mine.ipynb")
    assert command(course, "autograder", "check", "mine.ipynb").stdout.count("✓ passed") == 7


def test_a_class_goes_through_all_commands_and_damage_costs_only_itself(
    command, course, assignment, right, hand_in
):
    hand_in(assignment, "ada", solve(assignment, right))
    hand_in(assignment, "eve", "no notebook")
    done = command(course, "autograder", "grade", succeeds=False)
    assert done.returncode == 1
    assert "1 graded, 0 unchanged, 1 need you" in done.stdout.replace("\n", " ")
    *_, progress, problem = done.stderr.splitlines()
    assert progress.startswith("grading 02-scores: 2 of 2 done")
    assert "1 need you" in progress
    assert problem.startswith("eve: ")
    command(course, "autograder", "feedback")
    command(course, "autograder", "export", "--to", "out.csv")
    command(course, "autograder", "report")
    assert ",ada," in (course.root / "out.csv").read_text()
    assert "eve" in (course.class_folder / "report-02-scores.html").read_text()
    assert "no such folder" in refused(command, course, "export", "--to", "nowhere/out.csv")


def test_doctor_names_what_is_missing(command, course):
    assert "packages of requirements.txt" in command(course, "autograder", "doctor").stdout
    requirements = course.root / "requirements.txt"
    requirements.write_text(requirements.read_text() + "a-package-nobody-has==1.0\n")
    done = command(course, "autograder", "doctor", succeeds=False)
    assert "a-package-nobody-has 1.0" in done.stdout
    assert "make env" in done.stdout


def test_a_name_cannot_command_the_terminal():
    from io import StringIO

    from rich.console import Console

    from autograder.cli import _say

    printed = StringIO()
    _say("eve\x1b]0;title\x07\u202e: a link\nwritten – as it is", Console(file=printed))
    assert printed.getvalue() == "eve\\x1b]0;title\\x07\\x202e: a link\nwritten – as it is\n"


@pytest.mark.skipif(bool(available("bwrap")), reason=available("bwrap"))
def test_without_a_sandbox_only_the_sample_class_is_graded(assignment, environment):
    """A machine without bubblewrap: one line says so, and nobody else's code runs."""
    sample = sample_class(assignment)
    for student in ("right-einsum", "blank"):
        folder = assignment.course.step("submitted") / student / assignment.name
        folder.mkdir(parents=True)
        (folder / "scores.ipynb").write_text(sample[student])

    # bubblewrap itself makes a machine without it: the same one, with nothing where it lies.
    hidden = ["bwrap", "--dev-bind", "/", "/", "--ro-bind", "/dev/null", shutil.which("bwrap")]

    def grade(*options: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [*hidden, Path(sys.executable).with_name("autograder"), "grade", *options],
            cwd=assignment.course.root,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    release = [Path(sys.executable).with_name("autograder"), "release", assignment.name]
    subprocess.run(release, cwd=assignment.course.root, env=environment, check=True)
    named = grade("--sandbox", "bwrap")
    assert named.returncode == 2 and "bwrap is not installed" in named.stderr
    assert not list(assignment.course.class_folder.glob("records/*/*/*.json"))

    by_default = grade()
    assert by_default.returncode == 0, by_default.stderr
    assert "This is the sample class: it is graded under limits only." in by_default.stderr
    assert "2 graded" in by_default.stdout

    folder = assignment.course.step("submitted") / "somebody" / assignment.name
    folder.mkdir(parents=True)
    (folder / "scores.ipynb").write_text(sample["right-einsum"])
    refused = grade()
    assert refused.returncode == 2 and "bwrap is not installed" in refused.stderr
    assert len(list(assignment.course.class_folder.glob("records/*/*/*.json"))) == 2
