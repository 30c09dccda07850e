"""A file beside the notebook decides its own question, and nothing else; cells that train are not run."""

import os
import pickle
import shutil
from pathlib import Path

import nbformat
import pytest
import torch
from nbgrader.api import Gradebook

from autograder import grading
from autograder.assignment import Assignment, cells_to_run
from autograder.autograded import autograded
from autograder.changes import engine_version, fingerprints, whole_version
from autograder.checks.lab_train import QUESTIONS
from autograder.checks.lab_train.trained import next_logits
from autograder.classrun import grade_class, records
from autograder.crew import Crew
from autograder.grading import Task, grade, seeds_for
from autograder.handin import Attached, NotRead, read_file
from autograder.record import Record
from autograder.release import release
from autograder.report.classreport import question_row
from autograder.report.pages import page_path, write_pages
from autograder.sample import hand_in as sample_hand_in
from autograder.sample import is_sample, solve, write_class
from autograder.selfcheck import visible_results
from autograder.shell.inside import driver, wire
from autograder.shell.limits import Limits

from .course import NAME, NOTEBOOK, PROGRAM, model_bytes, pairs, write_course

ROOT = Path(__file__).parents[3]
FILE = "model.safetensors"
EARNED = 2.0  # by a model of pairs


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    assignment = write_course(tmp_path_factory.mktemp("lab"), ROOT / "nbgrader_config.py")
    release(assignment)
    return Assignment(assignment.course, NAME)


@pytest.fixture
def small(released, tmp_path):
    """The same assignment with a class folder of the test's own."""
    shutil.copytree(released.course.class_folder, tmp_path / "class")
    course = type(released.course)(released.course.root, tmp_path / "class")
    return Assignment(course, NAME)


def task(assignment, file=None, program=PROGRAM, earlier="", **changes):
    handed_in = nbformat.writes(solve(assignment, {"next_logits": program})).encode()
    paper = assignment.paper
    return Task(
        "ada",
        handed_in,
        paper,
        seeds_for("secret", "ada", paper),
        "none",
        engine_version(),
        earlier,
        files={} if file is None else {FILE: file},
        **changes,
    )


def result(assignment, raw=None, **options):
    file = None if raw is None else Attached(raw)
    return grade(task(assignment, file, **options)).verdicts["next_logits"]


def test_a_model_is_measured(released):
    verdict = result(released, model_bytes())
    assert verdict.score == EARNED and verdict.answered
    assert "nats per character" in verdict.remark


def test_without_a_file_the_question_is_unanswered_and_says_what_to_hand_in(released):
    verdict = result(released)
    assert (verdict.score, verdict.answered) == (0, False)
    assert "There is no `model.safetensors` beside the notebook" in verdict.remark


def test_a_file_that_cannot_be_used_earns_nothing_and_asks_nothing(released, monkeypatch):
    monkeypatch.setattr(grading.Session, "ask", None)
    verdict = result(released, model_bytes()[:-9])
    assert (verdict.score, verdict.answered) == (0, True)
    assert "cut short" in verdict.remark


def test_a_stub_is_unanswered_also_with_a_file(released):
    assert not result(released, model_bytes(), program="raise NotImplementedError").answered


def test_a_new_file_asks_its_own_question_again_and_no_other(released, course, monkeypatch):
    earlier = grade(task(released, Attached(model_bytes()))).to_json()
    asked = []
    examine = grading.examine_file
    monkeypatch.setattr(grading, "examine_file", lambda *a: asked.append(1) or examine(*a))
    same = grade(task(released, Attached(model_bytes()), earlier=earlier))
    assert not asked and same.to_json() == earlier
    weaker = grade(
        task(released, Attached(model_bytes({"embedding.weight": pairs(0.0)})), earlier=earlier)
    )
    assert asked == [1]
    assert weaker.run == Record.from_json(earlier).run
    assert weaker.verdicts["next_logits"].score == 0

    scores = Assignment(course, "02-scores").paper
    cells = scores.cells_to_run(scores.released)
    about = [scores, cells, seeds_for("secret", "ada", scores), Limits()]
    assert fingerprints(*about, {}) == fingerprints(*about, {FILE: Attached(b"any")})


def test_a_new_held_out_text_asks_the_question_again(released, tmp_path, monkeypatch):
    def prints():
        paper = released.paper
        return fingerprints(paper, [], seeds_for("secret", "ada", paper), Limits(), {})

    before = prints()
    other = tmp_path / "held_out.txt"
    other.write_text("Another text.")
    monkeypatch.setattr(next_logits, "reads", (other,))
    assert prints()[0] == before[0] and prints()[1] != before[1]


def test_a_task_travels_whole(released):
    """Pickled, as processes of this machine and Dask's workers get it."""
    cloudpickle = pytest.importorskip("cloudpickle")
    asked = task(released, Attached(model_bytes()))
    for module in (pickle, cloudpickle):
        sent = pickle.loads(module.dumps(asked))
        assert sent.files[FILE].digest == asked.files[FILE].digest
        assert grade(sent).verdicts["next_logits"].score == EARNED


def folder_of(assignment, student, program=PROGRAM):
    folder = assignment.course.step("submitted") / student / NAME
    folder.mkdir(parents=True)
    nbformat.write(solve(assignment, {"next_logits": program}), folder / f"{NOTEBOOK}.ipynb")
    return folder


def run(assignment):
    with Crew(jobs=1) as crew:
        return grade_class(assignment, crew, sandbox="none")


def remark(assignment, student):
    return records(assignment)[student].verdicts["next_logits"].remark


def test_a_class_run_reads_what_lies_beside_the_notebook(small):
    for student in ("ada", "ben", "cy", "dan", "eve", "fay"):
        folder_of(small, student)
    submitted = small.course.step("submitted")
    (submitted / "ada" / NAME / FILE).write_bytes(model_bytes())
    (submitted / "ben" / NAME / FILE).symlink_to(submitted / "ada" / NAME / FILE)
    os.mkfifo(submitted / "cy" / NAME / FILE)
    (submitted / "dan" / NAME / FILE).mkdir()
    with (submitted / "eve" / NAME / FILE).open("wb") as file:
        file.truncate(10**12)  # a hole, which takes no room
    done = run(small)
    assert sorted(done.graded) == ["ada", "ben", "cy", "dan", "eve", "fay"] and not done.problems
    kept = {
        student: record.verdicts["next_logits"].score for student, record in records(small).items()
    }
    assert kept == {"ada": EARNED, "ben": 0, "cy": 0, "dan": 0, "eve": 0, "fay": 0}
    assert "a link: hand in the file itself" in remark(small, "ben")
    assert "no regular file" in remark(small, "cy") and "no regular file" in remark(small, "dan")
    assert "larger than 61 MB" in remark(small, "eve")
    assert "There is no `model.safetensors`" in remark(small, "fay")

    assert run(small).graded == []
    (submitted / "fay" / NAME / FILE).write_bytes(model_bytes())
    assert run(small).graded == ["fay"]
    (submitted / "fay" / NAME / FILE).unlink()
    assert run(small).graded == ["fay"]
    (submitted / "fay" / NAME / "notes.txt").write_text("Nobody asks about these.")
    assert run(small).graded == []

    write_pages(small, jobs=1, progress=lambda: None)
    page = page_path(small, "eve").read_text()
    assert "larger than 61 MB" in page and "<code>model.safetensors</code> was not read" in page
    assert "not run by the grader" in page
    row = question_row(next_logits, records(small))
    assert row.unanswered == ["fay"] and not row.doubts


def test_what_is_exchanged_for_a_link_is_not_followed(tmp_path, monkeypatch):
    """Also where it happens between a look and the opening: nothing is looked at before."""
    (tmp_path / "secret").write_text("secret")
    (tmp_path / FILE).symlink_to(tmp_path / "secret")
    monkeypatch.setattr(Path, "is_symlink", lambda _: False)
    with pytest.raises(NotRead, match="a link"):
        read_file(tmp_path / FILE, 100)


def test_a_bound_on_bytes_holds(tmp_path):
    path = tmp_path / FILE
    path.write_bytes(bytes(100))
    assert read_file(path, 100) == bytes(100)
    with pytest.raises(NotRead, match="larger"):
        read_file(path, 99)


def test_nbgraders_own_command_grades_the_file_too(small, command):
    folder = folder_of(small, "ada")
    (folder / FILE).write_bytes(model_bytes())
    folder_of(small, "ben")
    command(small.course, "nbgrader", "autograde", NAME)
    with Gradebook(small.course.database_url, "attention") as gradebook:
        found = {s.student_id: s.score for s in gradebook.assignment_submissions(NAME)}
    assert found == {"ada": EARNED, "ben": 0}
    done = nbformat.read(small.course.step("autograded") / "ada" / NAME / f"{NOTEBOOK}.ipynb", 4)
    [cell] = [c for c in done.cells if "training_ran" in c.source and "raise" in c.source]
    assert "not run by the grader" in cell.outputs[0].text


def test_the_sample_class_hands_a_model_in_with_right_answers(small, monkeypatch):
    """The bank is one of the test's own: a right program and its file."""
    bank = small.course.root / "tests" / "bank" / NAME
    (bank / "right").mkdir(parents=True, exist_ok=True)
    others = [
        q.name for q in QUESTIONS if not q.artefact
    ]  # the sample class asks a style for all of them
    text = "".join(f"\n\ndef {name}(*_):\n    return None\n" for name in others)
    (bank / "right" / "plain.py").write_text(PROGRAM + text)
    (bank / FILE).write_bytes(model_bytes())
    write_class(small)
    submitted = small.course.step("submitted")
    assert (submitted / "right-plain" / NAME / FILE).read_bytes() == model_bytes()
    assert not (submitted / "blank" / NAME / FILE).exists()
    assert set(sample_hand_in(small, {"right-x": ""}, "right-x")) == {FILE, f"{NOTEBOOK}.ipynb"}
    assert is_sample(small)
    (submitted / "right-plain" / NAME / FILE).write_bytes(b"another")
    assert not is_sample(small)


# --- cells that are not run -------------------------------------------------------------------------


def training_cell(notebook):
    [cell] = [cell for cell in notebook.cells if "training_ran = True" in cell.source]
    return cell


def test_the_release_keeps_this_tag_and_no_other(small):
    cell = training_cell(small.released)
    assert cell.metadata.tags == ["not-graded"]
    tagged = small.source.read_text().replace(
        ":tags: [not-graded]", ":tags: [not-graded, hide-input]"
    )
    assert tagged != small.source.read_text()
    assert [c.metadata.get("tags") for c in small.released.cells].count(["not-graded"]) == 1


def by_source(notebook, assignment):
    return {cell.source: cell.run for cell in cells_to_run(notebook, assignment.released) if cell}


@pytest.mark.parametrize("kept", ["id", "metadata"])
def test_the_releases_tag_counts_whatever_the_hand_in_made_of_it(small, kept):
    """Colab drops a cell's own id or its tags; the student may have changed the text."""
    notebook = solve(small, {})
    cell = training_cell(notebook)
    cell.source = "training_ran = True  # with other settings"
    cell.metadata = nbformat.NotebookNode({"id": cell.id} if kept == "metadata" else {})
    if kept == "metadata":
        cell.id = "other"
    assert by_source(notebook, small)[cell.source] is False


def test_a_students_own_tag_means_nothing_and_a_copy_is_the_students_own(small):
    notebook = solve(small, {"next_logits": PROGRAM})
    for cell in notebook.cells:
        cell.metadata["tags"] = ["not-graded"]
    copy = nbformat.from_dict(training_cell(notebook).copy())
    copy.source = "a_helper = 1"
    notebook.cells.append(copy)
    ran = by_source(notebook, small)
    assert [source for source, runs in ran.items() if not runs] == [training_cell(notebook).source]
    assert ran["a_helper = 1"] is True and ran[PROGRAM] is True


def test_what_is_not_run_is_shown_and_said(released):
    record = grade(task(released, Attached(model_bytes())))
    done = autograded(task(released).notebook(), released.paper, record)
    cell = training_cell(done)
    assert (
        cell.outputs[0].text == "This cell was not run by the grader: what it makes is handed in.\n"
    )
    assert cell.metadata.tags == ["not-graded"]


def test_a_students_self_check_does_not_train_either(released, tmp_path):
    path = tmp_path / f"{NOTEBOOK}.ipynb"
    nbformat.write(solve(released, {"next_logits": PROGRAM}), path)
    [found] = visible_results(released.course, path)
    assert found.passed, found.reason


# --- weights as an argument -------------------------------------------------------------------------


def test_a_dictionary_of_arrays_arrives_as_tensors_and_is_not_watched():
    def program(weights, sizes):
        told = type(weights["w"]) is torch.Tensor and sizes == [1, 2]
        weights["w"] += 1
        return float(weights["w"].sum()) if told else 0.0

    large = torch.ones(1_500_000).numpy()  # six megabytes: more than a call may return
    request = {
        "function": "program",
        "library": "torch",
        "arguments": {"weights": wire.encode({"w": large}, most=1e9), "sizes": wire.encode([1, 2])},
    }
    reply = driver.call({"program": program}, request)
    assert (reply["value"], reply["changed"]) == (3_000_000.0, {})


def test_the_version_of_a_class_run_holds_the_held_out_text(small, monkeypatch):
    before = whole_version(small.paper)
    read = Path.read_text
    monkeypatch.setattr(
        Path, "read_text", lambda p, **o: read(p, **o) + "x" * (p.name == "held_out.txt")
    )
    assert whole_version(small.paper) != before
