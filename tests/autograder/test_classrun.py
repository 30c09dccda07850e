"""A class run: nothing done twice, nothing lost by a kill, and each hand-in's trouble its own."""

import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from nbgrader.api import Gradebook

from autograder import classrun, grading
from autograder.assignment import Assignment
from autograder.checks import scores
from autograder.classrun import grade_class, problems, records
from autograder.course import CourseError
from autograder.crew import Crew
from autograder.gradebook import Writer
from autograder.grading import NobodyGraded
from autograder.handin import read_bytes
from autograder.journal import Done, Journal
from autograder.sample import mistaken, put_first, solve
from autograder.store import record_path, task_for
from autograder.work import work

STUDENTS = ("ada", "ben", "cy")
PLACES = 26  # before and after two files, a gradebook entry and a journal line for each, and the problems
TIMESTAMP = "2026-01-31 23:59:00 UTC\n"


class Killed(BaseException):
    """As a kill -9 would end the process: nothing catches it."""


@pytest.fixture(scope="module")
def handed_in(new_course, hand_in, right):
    """A released course with three hand-ins, a secret and a gradebook without submissions, to be copied."""
    assignment = Assignment.named(new_course(), "02-scores")
    hand_in(assignment, "ada", solve(assignment, right | {"choose_a_score": "Additive."}))
    path = hand_in(assignment, "ben", solve(assignment, right | mistaken(assignment)[0]))
    path.with_name("timestamp.txt").write_text(TIMESTAMP)
    hand_in(assignment, "cy", solve(assignment, {}))
    assert assignment.course.secret
    with ExitStack() as stack:
        classrun._writer(assignment, stack)
    return assignment


def grade_class_here(assignment, **options):
    """A class run whose tasks are done in this process, and once for each content: nothing waits."""
    return grade_class(assignment, InThisProcess(), sandbox="none", **options)


FINISHED = {}


class InThisProcess(Crew):
    def get_ready(self, sandbox):
        """There are no workers."""

    def grade(self, tasks, started):
        for student, task in tasks:
            started(student)
            if (student, task.handed_in) not in FINISHED:
                FINISHED[student, task.handed_in] = work(task)
            yield student, FINISHED[student, task.handed_in]


@pytest.fixture
def small(handed_in, tmp_path):
    """The three hand-ins in a class folder of the test's own; nothing is graded yet."""
    folder = tmp_path / "class"
    shutil.copytree(handed_in.course.class_folder, folder)
    return Assignment(type(handed_in.course)(handed_in.course.root, folder), handed_in.name)


def state(assignment):
    """All that a class run leaves, but for how long it took and how the gradebook numbers its rows."""
    kept = records(assignment)
    for record in kept.values():
        record.seconds = 0
    autograded = assignment.course.step("autograded")
    with Gradebook(assignment.course.database_url) as gradebook:
        rows = {
            (submission.student.id, str(submission.timestamp), grade.name): (
                grade.auto_score,
                grade.manual_score,
                grade.needs_manual_grade,
            )
            for submission in gradebook.assignment_submissions(assignment.name)
            for notebook in submission.notebooks
            for grade in notebook.grades
        }
    return (
        {student: record.to_json() for student, record in kept.items()},
        {p.relative_to(autograded): p.read_bytes() for p in autograded.rglob("*") if p.is_file()},
        rows,
        problems(assignment),
    )


@pytest.fixture(scope="module")
def undisturbed(handed_in, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "class"
    shutil.copytree(handed_in.course.class_folder, folder)
    assignment = Assignment(type(handed_in.course)(handed_in.course.root, folder), handed_in.name)
    result = grade_class_here(assignment)
    assert (sorted(result.graded), result.problems) == (list(STUDENTS), {})
    return state(assignment)


def test_what_is_left_is_what_was_found(small, undisturbed):
    grade_class_here(small)
    texts, notebooks, rows, _ = state(small)
    assert sorted(texts) == list(STUDENTS)
    assert [str(path) for path in sorted(notebooks)] == [
        f"{student}/02-scores/scores.ipynb" for student in STUDENTS
    ]
    totals = {
        student: sum(auto or 0 for (s, *_), (auto, *_) in rows.items() if s == student)
        for student in STUDENTS
    }
    assert totals["ada"] == 26 and 0 < totals["ben"] < 13 and totals["cy"] == 0
    assert {s for (s, *_), (*_, waits) in rows.items() if waits} == {"ada"}
    assert {time for (s, time, _) in rows if s == "ben"} == {"2026-01-31 23:59:00"}
    path = small.course.step("autograded") / "ben/02-scores/scores.ipynb"
    assert path.stat().st_mode & 0o777 == 0o444
    assert (texts, notebooks, rows) == undisturbed[:3]


@pytest.mark.parametrize("point", range(PLACES))
def test_killed_anywhere_the_next_run_comes_to_the_same_end(small, undisturbed, point, monkeypatch):
    """Every place where something reaches the disk or the gradebook, just before and just after it."""
    left = [point]

    def dying(function):
        def wrapped(*arguments, **options):
            count_down(left)
            found = function(*arguments, **options)
            count_down(left)
            return found

        return wrapped

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", dying(Path.replace))
        patch.setattr(Writer, "enter", dying(Writer.enter))
        patch.setattr(Journal, "add", dying(Journal.add))
        with pytest.raises(Killed):
            grade_class_here(small)
    grade_class_here(small)
    assert state(small) == undisturbed
    assert not list(small.course.class_folder.rglob("*.part"))


def count_down(left):
    left[0] -= 1
    if left[0] == -1:
        raise Killed


def test_a_run_that_is_done_draws_no_task(small):
    assert grade_class_here(small).problems == {}
    FINISHED.clear()
    again = grade_class_here(small)
    assert (again.graded, again.unchanged) == ([], list(STUDENTS))
    assert not FINISHED


@pytest.mark.parametrize(
    "torn", ['{"student": "ada", "key": "', "[]\n", "\x00\xff\n", '{"student": 1}\n']
)
def test_a_torn_line_of_the_journal_is_passed_over(tmp_path, torn):
    path = tmp_path / "journal.jsonl"
    done = Done("ben", "k", "r", "n")
    with Journal(path) as journal:
        journal.add(done)
    with path.open("a") as file:
        file.write(torn)
    with Journal(path) as journal:
        assert (journal.get("ben"), journal.get("ada")) == (done, None)
        journal.add(Done("ada", "k", "r", "n"))
    assert len(Journal(path)._done) == 2
    assert len(path.read_text().splitlines()) == 2


def spoil(path, content=b"{"):
    path.chmod(0o644)
    path.write_bytes(content)


def test_what_is_damaged_on_disk_is_made_anew(small, undisturbed):
    grade_class_here(small)
    text = record_path(small, "ada").read_text()
    spoil(record_path(small, "ada"), text.replace('"score": 3', '"score": 1', 1).encode())
    assert "ada" not in records(small)
    assert "damaged" in problems(small)["ada"]
    spoil(small.course.step("autograded") / "ben/02-scores/scores.ipynb")
    record_path(small, "cy").unlink()
    FINISHED.clear()
    assert sorted(grade_class_here(small).graded) == list(STUDENTS)
    assert state(small) == undisturbed


def test_a_lost_gradebook_is_filled_again_and_nothing_runs_for_it(small, undisturbed, monkeypatch):
    grade_class_here(small)
    (small.course.class_folder / "gradebook.db").unlink()
    FINISHED.clear()
    monkeypatch.setattr(grading, "run_cells", None)
    assert sorted(grade_class_here(small).graded) == list(STUDENTS)
    assert state(small) == undisturbed


def test_force_grades_all_again(small, undisturbed):
    grade_class_here(small)
    FINISHED.clear()
    assert sorted(grade_class_here(small, force=True).graded) == list(STUDENTS)
    assert len(FINISHED) == 3
    assert state(small) == undisturbed


def test_a_changed_timestamp_is_entered_and_nothing_runs_for_it(small, monkeypatch):
    grade_class_here(small)
    FINISHED.clear()
    monkeypatch.setattr(grading, "run_cells", None)
    folder = small.course.step("submitted") / "ben" / small.name
    (folder / "timestamp.txt").write_text("2026-02-01 00:30:00 UTC")
    assert grade_class_here(small).graded == ["ben"]
    assert {time for (s, time, _) in state(small)[2] if s == "ben"} == {"2026-02-01 00:30:00"}
    (folder / "timestamp.txt").write_text("yesterday")
    assert "timestamp.txt says “yesterday”" in grade_class_here(small).problems["ben"]


def test_a_hand_in_replaced_by_a_damaged_one_is_a_problem_of_its_own(small, hand_in):
    grade_class_here(small)
    hand_in(small, "ada", "<html>")
    linked = small.course.step("submitted") / "eve" / small.name / "scores.ipynb"
    linked.parent.mkdir(parents=True)
    linked.symlink_to(small.course.step("submitted") / "ben" / small.name / "scores.ipynb")
    (small.course.step("submitted") / "new\nline" / small.name).mkdir(parents=True)
    result = grade_class_here(small)
    assert sorted(result.problems) == ["ada", "eve", "new\nline"]
    assert "not a notebook" in result.problems["ada"]
    assert "a link" in result.problems["eve"]
    assert problems(small) == result.problems
    assert result.unchanged == ["ben", "cy"]


def test_a_check_that_fails_is_the_graders_fault_and_gives_no_score(small, monkeypatch):
    FINISHED.clear()
    seed = grading.seeds_for(small.course.secret, "ben", small.paper)["additive_scores"]
    drawn = scores.additive_scores.cases

    def cases(rng):
        if rng.bit_generator.seed_seq.entropy == seed:
            raise ZeroDivisionError("of the checks")
        return drawn(rng)

    with monkeypatch.context() as patch:
        patch.setattr(scores.additive_scores, "cases", cases)
        result = grade_class_here(small)
    FINISHED.clear()
    assert sorted(result.graded) == ["ada", "cy"]
    for told in ("fault of the grader", "additive_scores", "ZeroDivisionError: of the checks"):
        assert told in result.problems["ben"]
    assert "ben" not in records(small)
    assert {student for student, *_ in state(small)[2]} == {"ada", "cy"}
    assert grade_class_here(small).graded == ["ben"]


def test_a_judge_that_fails_on_the_right_answer_is_the_graders_fault(small, monkeypatch):
    def judge(case, expected, got):
        raise KeyError("of the judge")

    aspect = scores.additive_scores.aspects[0]
    monkeypatch.setattr(scores.additive_scores, "aspects", (type(aspect)("a", 4, judge),))
    FINISHED.clear()
    result = grade_class_here(small)
    FINISHED.clear()
    assert result.graded == ["cy"]  # who gave no answer is judged by nobody
    assert all("KeyError: 'of the judge'" in why for why in result.problems.values())


def test_a_solution_that_does_not_run_ends_it_before_anyone_is_graded(small):
    paper = replace(small.paper, source=small.paper.source.replace("math.sqrt(", "math.squirt(", 1))
    task = task_for(small, paper, "ada", read_bytes(hand_in_of(small, "ada")), "none")
    found = work(task)
    assert isinstance(found, NobodyGraded)
    assert "The solution of 02-scores does not run (test_scaled_dot_scores: AttributeError" in str(
        found
    )
    with pytest.MonkeyPatch.context() as patch, pytest.raises(CourseError, match="does not run"):
        patch.setattr(
            InThisProcess, "grade", lambda _, tasks, __: ((student, found) for student, _ in tasks)
        )
        grade_class_here(small)
    assert not records(small)


def hand_in_of(assignment, student):
    return assignment.course.step("submitted") / student / assignment.name / "scores.ipynb"


def command_line(assignment, *options):
    course = assignment.course
    arguments = [
        "grade",
        "--class",
        course.class_folder,
        "--sandbox",
        "none",
        "--jobs",
        "2",
        *options,
    ]
    return subprocess.Popen(
        [sys.executable, "-m", "autograder", *map(str, arguments)],
        cwd=course.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job ignores Ctrl-C, and so would what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def until_somebody_is_done(assignment):
    journal = assignment.course.class_folder / "records" / assignment.name / "journal.jsonl"
    deadline = time.monotonic() + 300
    while not (journal.exists() and journal.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def processes_below(pid):
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children] + [p for c in children for p in processes_below(c)]


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_a_command_that_is_ended_leaves_no_process_and_goes_on(small, undisturbed, ending, hand_in):
    slow = solve(small, {})
    slow = put_first(slow, "import time\ntime.sleep(8)")
    for student in ("slow-1", "slow-2", "slow-3"):
        hand_in(small, student, slow)
    command = command_line(small)
    until_somebody_is_done(small)
    below = processes_below(command.pid)
    assert len(below) >= 2
    command.send_signal(ending)
    _, said = command.communicate(timeout=60)
    if ending == signal.SIGINT:
        assert command.returncode == 130
        assert "the same command goes on from here" in said
        assert "Traceback" not in said
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in below):
        assert time.monotonic() < deadline, below
        time.sleep(0.1)
    for student in ("slow-1", "slow-2", "slow-3"):
        shutil.rmtree(small.course.step("submitted") / student)
    grade_class_here(small)
    assert state(small)[0] | undisturbed[0] == state(small)[0]
    assert state(small)[2].items() >= undisturbed[2].items()


def test_a_cluster_gives_the_same_records_and_gradebook(small, undisturbed):
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(processes=True, **options) as cluster:
        crew = Crew(dask=cluster.scheduler_address)
        result = grade_class(small, crew, sandbox="none")
    assert sorted(result.graded) == list(STUDENTS)
    assert state(small) == undisturbed
