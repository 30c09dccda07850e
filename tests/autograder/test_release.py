"""What students get: nothing of the solution, nothing of the checks, nothing beside the notebook."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from autograder.assignment import NOT_GRADED, Assignment, Reference, flag, grade_id, is_run
from autograder.course import Course, CourseError
from autograder.release import check_release, release
from autograder.sample import bank, bank_programs, solve

ROOT = Path(__file__).parents[2]
NAMES = Course.find(start=ROOT).assignments()


@pytest.fixture(params=NAMES)
def committed(request):
    """Each assignment as it is in the repository, read only."""
    return Assignment(Course(ROOT, ROOT / "nowhere"), request.param)


def solution_lines(assignment):
    """The lines of solutions and mark schemes that are long enough to be told from anything else."""
    regions = re.findall(
        r"### BEGIN (?:SOLUTION|MARK SCHEME)\n(.*?)### END (?:SOLUTION|MARK SCHEME)",
        assignment.source.read_text(),
        re.DOTALL,
    )
    lines = {line.strip() for region in regions for line in region.splitlines()}
    return {line for line in lines if len(line) > 15 and not line.startswith(("def ", "class "))}


def test_the_release_is_what_the_source_gives(course):
    for name in course.assignments():
        check_release(Assignment(course, name))


def test_an_edited_release_is_noticed(assignment):
    text = assignment.release.read_text()
    assignment.release.write_text(text.replace("Hint 1", "Hint one", 1))
    with pytest.raises(CourseError, match="is not what solutions/02-scores gives"):
        check_release(assignment)


def test_a_solution_edited_without_releasing_is_noticed(assignment):
    assignment.source.write_text(
        assignment.source.read_text().replace("10 minutes", "11 minutes", 1)
    )
    with pytest.raises(CourseError, match="is not what solutions"):
        check_release(assignment)


def test_releasing_twice_changes_nothing(assignment):
    before = assignment.release.read_bytes()
    assert not release(assignment)
    assert assignment.release.read_bytes() == before


def test_a_failed_release_leaves_the_old_one(assignment):
    before = assignment.release.read_bytes()
    text = assignment.source.read_text()
    assignment.source.write_text(text.replace("### END SOLUTION", "### END", 1))
    with pytest.raises(CourseError):
        release(assignment)
    assert assignment.release.read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('check("scaled_dot_scores")', "pass", "needs one check"),
        ("points: 3", "points: 7", "7 points"),
    ],
)
def test_a_source_that_disagrees_with_its_checks_is_refused(assignment, old, new, why):
    text = assignment.source.read_text()
    assert old in text
    assignment.source.write_text(text.replace(old, new, 1))
    with pytest.raises(CourseError, match=why):
        release(Assignment(assignment.course, assignment.name))


def test_stray_files_beside_the_source_are_not_released(assignment):
    for name in ("checks.py", "answers.md.bak", "scores-old.txt"):
        (assignment.source.parent / name).write_text("the answer is 42")
    release(assignment)
    assert [path.name for path in assignment.release.parent.iterdir()] == ["scores.ipynb"]


def test_two_sources_in_one_folder_are_refused(assignment):
    (assignment.source.parent / "notes.md").write_text("# notes")
    with pytest.raises(CourseError, match=r"exactly one \.md file"):
        Assignment(assignment.course, assignment.name).source  # noqa: B018


def test_the_folder_holds_the_notebook_and_nothing_else(committed):
    assert [path.name for path in committed.release.parent.iterdir()] == [committed.release.name]


def test_the_release_holds_no_solution_and_no_check(committed):
    text = "\n".join(cell.source for cell in committed.released.cells)
    for word in ("BEGIN SOLUTION", "HIDDEN TESTS", "MARK SCHEME", "check(", "autograder"):
        assert word not in text
    # A line of a solution may also stand in a statement or a faulty listing that students are meant to see.
    visible = re.sub(
        r"### BEGIN (SOLUTION|MARK SCHEME|HIDDEN TESTS).*?### END \1",
        "",
        committed.source.read_text(),
        flags=re.DOTALL,
    )
    leaked = {line for line in solution_lines(committed) if line in text and line not in visible}
    assert not leaked
    for question in committed.questions.values():
        for misconception in question.misconceptions:
            assert misconception.sentence not in text


def test_the_release_holds_no_output_and_nobodys_metadata(committed):
    assert set(committed.released.metadata) == {"kernelspec", "language_info"}
    for cell in committed.released.cells:
        assert set(cell.metadata) <= {"id", "nbgrader", "deletable", "editable", "tags"}
        assert cell.metadata.get("tags", [NOT_GRADED]) == [NOT_GRADED]
        assert cell.get("outputs", []) == []


def test_every_cell_carries_both_ids(committed):
    identities = [cell.id for cell in committed.released.cells]
    assert len(set(identities)) == len(identities)
    assert identities == [cell.metadata.id for cell in committed.released.cells]


def test_every_automatic_question_has_its_cells_points_and_hints(committed):
    cells = {grade_id(cell): cell for cell in committed.released.cells}
    assert 5 <= len(committed.checks) <= 9
    for name, question in committed.checks.items():
        assert name == f"test_{question.name}"
        assert flag(cells[question.name], "solution")
        assert "NotImplementedError" in cells[question.name].source
        assert "assert" in cells[name].source
    texts = "\n".join(c.source for c in committed.released.cells if c.cell_type == "markdown")
    assert texts.count("<summary>Hint") >= len(committed.checks)
    assert len(re.findall(r"★+ · \d+ minutes · \d+ points", texts)) >= len(committed.checks)


def test_the_solved_notebook_runs_with_numpy_torch_and_matplotlib_alone(committed, tmp_path):
    """As in a stock Colab: every other package is hidden from it. What the grader does not run may need more."""
    style = sorted((bank(committed) / "right").glob("*.py"))[0]
    solved = solve(committed, bank_programs(committed, style))
    cells = [cell.source for cell in solved.cells if is_run(cell)]
    hidden = [
        "attend",
        "autograder",
        "nbgrader",
        "jupytext",
        "nbformat",
        "sphinx",
        "joblib",
        "rich",
        "typer",
    ]
    script = tmp_path / "run.py"
    script.write_text(
        f"import sys\nfor name in {hidden!r}: sys.modules[name] = None\n" + "\n".join(cells)
    )
    done = subprocess.run(
        [sys.executable, "-I", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_solution_itself_runs(committed):
    reference = Reference(committed)
    assert set(committed.questions) <= set(reference.namespace)


def test_the_paired_notebook_of_jupyterlab_is_the_same_and_untracked(assignment):
    release(assignment)
    paired = assignment.source.with_suffix(".ipynb")
    assert [c.source for c in nbformat.read(paired, 4).cells] == [
        c.source for c in assignment.solution.cells
    ]
    if shutil.which("git") and (ROOT / ".git").exists():
        done = subprocess.run(
            ["git", "check-ignore", "-q", f"solutions/{assignment.name}/{paired.name}"],
            cwd=ROOT,
            check=False,
        )
        assert done.returncode == 0


def test_the_release_is_json_that_colab_opens(committed):
    notebook = json.loads(committed.release.read_text())
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    nbformat.validate(nbformat.from_dict(notebook))


def test_an_instructors_own_settings_of_nbgrader_hold(course):
    """What a release shows in the place of a solution, said in nbgrader_config.py."""
    with (course.root / "nbgrader_config.py").open("a") as file:
        file.write(
            '\nget_config().ClearSolutions.code_stub = {"python": "raise NotImplementedError(1)"}\n'
        )
    assignment = Assignment.named(course, "02-scores")
    assert release(assignment)
    assert "NotImplementedError(1)" in assignment.release.read_text()
