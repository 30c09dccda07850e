"""The gradebook's writer: the rows of `nbgrader autograde`, one commit each, on SQLite and on PostgreSQL."""

import gc
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import nbformat
import pytest
from nbformat import NotebookNode
from nbgrader.api import Base, Gradebook, SubmittedAssignment
from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import NbGraderPreprocessor
from sqlalchemy import Engine, create_engine, event, inspect, select, text
from sqlalchemy.exc import OperationalError

from autograder.assignment import Assignment, flag, grade_id
from autograder.course import COURSE_ID, Course, CourseError, checked_url
from autograder.gradebook import Entry, GradebookError, Writer, explained, open_gradebook
from autograder.release import generate
from autograder.report.classreport import student_rows
from autograder.report.export import export_grades
from autograder.sample import solve

NAME, NOTEBOOK, WRITTEN = "02-scores", "scores", "choose_a_score"
ROOT = Path(__file__).parents[2]
DUE = datetime(2026, 3, 1, 12)
SECRET = "p@ss/wörd%40"


@pytest.fixture(scope="module")
def root(new_course: Callable[[], Course]) -> Path:
    """A course in which who is late gets no points; due dates are set by the tests that need one."""
    root = new_course().root
    with (root / "nbgrader_config.py").open("a") as file:
        file.write('\nc.LateSubmissionPlugin.penalty_method = "zero"\n')
    return root


@pytest.fixture(scope="module")
def released(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite gradebook that knows the assignment and nobody."""
    course = Course(root, tmp_path_factory.mktemp("released"))
    generate(Assignment(course, NAME), tmp_path_factory.mktemp("release"))
    return course.class_folder / "gradebook.db"


@pytest.fixture(scope="module")
def released_on_server(root: Path, server: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a PostgreSQL database that knows the assignment and nobody, made by nbgrader itself."""
    url = checked_url(server.create("released"))
    course = Course(root, tmp_path_factory.mktemp("released"), url)
    generate(Assignment(course, NAME), tmp_path_factory.mktemp("release"))
    return "released"


@pytest.fixture
def new_class(root: Path, released: Path, tmp_path: Path) -> Course:
    """A class with a SQLite gradebook of this test's own."""
    folder = tmp_path / "class"
    folder.mkdir()
    shutil.copy(released, folder / "gradebook.db")
    return Course(root, folder)


@pytest.fixture
def class_on_server(root: Path, server: Any, released_on_server: str, tmp_path: Path) -> Course:
    """A class with a PostgreSQL gradebook of this test's own."""
    url = server.create(f"{tmp_path.name}", released_on_server)
    return Course(root, tmp_path / "class", checked_url(url))


@pytest.fixture(params=["sqlite", "postgresql"])
def course(request: pytest.FixtureRequest) -> Course:
    """A class on each kind of database."""
    return request.getfixturevalue(
        {"sqlite": "new_class", "postgresql": "class_on_server"}[request.param]
    )


@pytest.fixture(scope="module")
def checked(root: Path) -> list[str]:
    """The cells that the grader gives points for."""
    return list(Assignment(Course(root, root), NAME).checks)


@pytest.fixture(scope="module")
def entry(root: Path, checked: list[str]) -> Callable[..., Entry]:
    """`entry(student)` has 1.5 points for every checked cell, and every cell written but by default none by hand."""

    def make(student: str, timestamp: datetime | None = None, points: float = 1.5) -> Entry:
        cells = Assignment(Course(root, root), NAME).released.cells
        written = {
            str(grade_id(cell)): cell.cell_type == "code"
            for cell in cells
            if flag(cell, "solution")
        }
        return Entry(student, timestamp, dict.fromkeys(checked, points), written)

    return make


def rows(course: Course) -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables, with nbgrader's random ids replaced by names, in an order of their own."""
    engine = create_engine(course.database_url)
    with engine.connect() as connection:
        tables = {
            table.name: [dict(row._mapping) for row in connection.execute(select(table))]
            for table in Base.metadata.sorted_tables
        }
        assert set(inspect(engine).get_table_names()) == {*tables, "alembic_version"}
        version = connection.execute(text("SELECT version_num FROM alembic_version")).all()
    engine.dispose()
    named = ("assignment", "notebook", "base_cell", "source_cell")
    labels = {
        row["id"]: (name, row["name"], row.get("type")) for name in named for row in tables[name]
    }
    labels |= {row["id"]: row["student_id"] for row in tables["submitted_assignment"]}
    labels |= {row["id"]: labels[row["assignment_id"]] for row in tables["submitted_notebook"]}
    for name in ("grade", "comment"):
        for row in tables[name]:
            del row["id"]
    found = {
        name: sorted(
            ({key: labels.get(value, value) for key, value in row.items()} for row in content),
            key=repr,
        )
        for name, content in tables.items()
    }
    return {**found, "alembic_version": [{"version": list(map(tuple, version))}]}


def set_due_date(course: Course) -> None:
    with Gradebook(course.database_url, COURSE_ID) as gradebook:
        gradebook.find_assignment(NAME).duedate = DUE
        gradebook.db.commit()


def grade_by_hand(course: Course) -> None:
    """What a person leaves: scores on a written and on a checked cell, extra credit, a comment, a flag."""
    with Gradebook(course.database_url, COURSE_ID) as gradebook:
        written = gradebook.find_grade(WRITTEN, NOTEBOOK, NAME, "written")
        written.manual_score, written.needs_manual_grade = 2.5, False
        checked = gradebook.find_grade("test_additive_scores", NOTEBOOK, NAME, "right")
        checked.manual_score, checked.extra_credit = 1.0, 0.5
        gradebook.find_comment(WRITTEN, NOTEBOOK, NAME, "written").manual_comment = "Say why."
        gradebook.find_submission_notebook(NOTEBOOK, NAME, "written").flagged = True
        gradebook.find_submission(NAME, "late").extension = timedelta(hours=2)
        gradebook.db.commit()


class GivenVerdicts(NbGraderPreprocessor):
    """In the place of the step that runs and checks a hand-in."""

    points: ClassVar[float]

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        assignment = Assignment(Course(ROOT, ROOT), resources["nbgrader"]["assignment"])
        verdicts = dict.fromkeys(assignment.checks, SimpleNamespace(score=self.points))
        return nb, {**resources, "verdicts": verdicts}


def autograde(course: Course, student: str, points: float) -> None:
    """nbgrader's own path, as its command and formgrader's button take it."""
    config = course.nbgrader_config
    config.Autograde.autograde_preprocessors[0] = GivenVerdicts
    config.NbGraderAPI.log_level = "CRITICAL"
    GivenVerdicts.points = points
    api = NbGraderAPI(CourseDirectory(config=config), config=config)
    result = api.autograde(NAME, student, force=True)
    assert result["success"], result


def entered(course: Course, student: str, scores: dict[str, float]) -> Entry:
    """The entry for a hand-in, from its files."""
    folder = course.step("submitted") / student / NAME
    released = {grade_id(cell): cell for cell in Assignment(course, NAME).released.cells}
    notebook = nbformat.read(folder / f"{NOTEBOOK}.ipynb", as_version=4)
    written = {
        str(grade_id(cell)): cell.source != released[grade_id(cell)].source
        for cell in notebook.cells
        if flag(cell, "solution")
    }
    stamp = folder / "timestamp.txt"
    timestamp = datetime.fromisoformat(stamp.read_text()) if stamp.exists() else None
    return Entry(student, timestamp, scores, written)


@pytest.fixture(scope="module")
def by_nbgrader(
    root: Path,
    released: Path,
    checked: list[str],
    tmp_path_factory: pytest.TempPathFactory,
    hand_in: Callable,
    right: dict[str, str],
) -> list[tuple[list[Entry], dict]]:
    """What nbgrader's own path leaves of a class, and of the same class graded again after a person did."""
    course = Course(root, tmp_path_factory.mktemp("by-nbgrader"))
    shutil.copy(released, course.class_folder / "gradebook.db")
    set_due_date(course)
    assignment = Assignment(course, NAME)
    some = dict(list(right.items())[:3])
    without_a_cell = solve(assignment, right | {WRITTEN: "An answer."})
    without_a_cell.cells = [
        cell
        for cell in without_a_cell.cells
        if grade_id(cell) not in (WRITTEN, "test_additive_scores", "scaled_dot_scores")
    ]
    class_ = {
        "blank": solve(assignment, {}),
        "late": solve(assignment, right | {WRITTEN: "Late."}),
        "lost": without_a_cell,
        "right": solve(assignment, right),
        "written": solve(assignment, some | {WRITTEN: "The scaled product."}),
    }
    stamps = {
        "late": (DUE + timedelta(hours=1)).isoformat(),
        "right": "2026-03-01T13:59:59+02:00",  # a second early, elsewhere
    }
    for student, notebook in class_.items():
        hand_in(assignment, student, notebook)
    for student, stamp in stamps.items():
        (course.step("submitted") / student / NAME / "timestamp.txt").write_text(stamp)
    rounds = []
    for regrade in (False, True):
        if regrade:
            grade_by_hand(course)
            hand_in(assignment, "blank", class_["written"])
            hand_in(assignment, "lost", solve(assignment, some))
            (course.step("submitted") / "right" / NAME / "timestamp.txt").unlink()
        entries = []
        for number, student in enumerate(class_):
            points = number / 4 + regrade
            autograde(course, student, points)
            entries.append(entered(course, student, dict.fromkeys(checked, points)))
        rounds.append((entries, rows(course)))
    return rounds


def test_the_rows_are_those_of_nbgrader_autograde(course, by_nbgrader):
    """Also at a regrade, after a person graded, and where cells are lost or a hand-in is late."""
    set_due_date(course)
    first, second = by_nbgrader
    with Writer(course, NAME, NOTEBOOK) as writer:
        for entry in first[0]:
            writer.enter(entry)
    assert rows(course) == first[1]
    grade_by_hand(course)
    with Writer(course, NAME, NOTEBOOK) as writer:
        for entry in second[0]:
            writer.enter(entry)
    assert rows(course) == second[1]


def test_the_comparison_sees_what_it_should(by_nbgrader):
    """The class above holds a late penalty, an unanswered cell, and everything that a person leaves."""
    (_, first), (_, second) = by_nbgrader
    assert (
        sum(row["late_submission_penalty"] or 0 for row in first["submitted_notebook"]) == 7 * 0.25
    )
    assert {row["auto_comment"] for row in first["comment"]} == {None, "No response."}
    assert {row["manual_comment"] for row in second["comment"]} == {None, "Say why."}
    assert {row["manual_score"] for row in second["grade"]} == {None, 1.0, 2.5}
    assert {row["extra_credit"] for row in second["grade"]} == {None, 0.5}
    assert any(row["flagged"] for row in second["submitted_notebook"])
    assert not any(row["late_submission_penalty"] for row in second["submitted_notebook"])
    assert {row["needs_manual_grade"] for row in second["grade"]} == {True, False}
    stamps = {row["student_id"]: row["timestamp"] for row in second["submitted_assignment"]}
    assert stamps["right"] == datetime(2026, 3, 1, 11, 59, 59)


def test_a_submission_is_one_commit_and_entering_it_again_changes_nothing(course, entry):
    with Writer(course, NAME, NOTEBOOK) as writer:
        commits = []
        event.listen(writer._engine, "commit", commits.append)
        writer.enter(entry("ada", DUE))
        assert len(commits) == 1
        before = rows(course)
        assert len(before["grade"]) == 8
        writer.enter(entry("ada", DUE))
        assert len(commits) == 2
    assert rows(course) == before


def test_a_timestamp_with_an_offset_is_kept_in_utc(course, entry):
    east = DUE.replace(tzinfo=timezone(timedelta(hours=5)))
    with Writer(course, NAME, NOTEBOOK) as writer:
        writer.enter(entry("ada", east))
        assert writer.complete() == {"ada": DUE - timedelta(hours=5)}


def test_complete_tells_who_is_graded(course, entry, checked):
    with Gradebook(course.database_url, COURSE_ID) as gradebook:  # nbgrader, stopped in the middle
        gradebook.add_student("stopped")
        gradebook.add_submission(NAME, "stopped")
        gradebook.find_grade(checked[0], NOTEBOOK, NAME, "stopped").auto_score = 1.0
        gradebook.db.commit()
    with Writer(course, NAME, NOTEBOOK) as writer:
        assert writer.complete() == {}
        writer.enter(entry("ada", DUE))
        answered = entry("bob")
        writer.enter(replace(answered, written=dict.fromkeys(answered.written, True)))
        assert writer.complete() == {"ada": DUE, "bob": None}  # who waits for a person, too
        writer.enter(entry("stopped", points=0))
        assert writer.complete() == {"ada": DUE, "bob": None, "stopped": None}


def test_what_a_person_graded_meanwhile_is_seen(course, entry):
    """In formgrader, say, while a class run goes on."""
    with Writer(course, NAME, NOTEBOOK) as writer:
        gc.disable()  # whatever the writer might still hold of the first time is not collected
        try:
            writer.enter(entry("written"))
            writer.enter(entry("right"))
            writer.enter(entry("late", DUE))
            grade_by_hand(course)
            writer.enter(entry("right"))
        finally:
            gc.enable()
    marked = [row for row in rows(course)["grade"] if row["needs_manual_grade"]]
    assert [(row["notebook_id"], row["manual_score"]) for row in marked] == [("right", 1.0)]


def test_memory_does_not_grow_with_the_class(new_class, entry):
    with Writer(new_class, NAME, NOTEBOOK) as writer:
        for number in range(30):
            writer.enter(entry(f"student-{number}"))
        gc.collect()
        assert not [item for item in gc.get_objects() if type(item) is SubmittedAssignment]


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (
            {"scores": {"unknown": 1.0}},
            "knows no cell unknown of 02-scores: run `autograder release",
        ),
        ({"written": {"unknown": True}}, "knows no cell unknown of 02-scores"),
        ({"student": "a" * 129}, "is no name for a student"),
        ({"student": "a\0b"}, "is no name for a student"),
        ({"student": "\udcff"}, "is no name for a student"),
        ({"student": ""}, "is no name for a student"),
    ],
)
def test_an_entry_that_cannot_be_entered_stops_no_other(course, entry, broken, told):
    before = rows(course)
    with Writer(course, NAME, NOTEBOOK) as writer:
        with pytest.raises(CourseError, match=told) as raised:
            writer.enter(replace(entry("ada"), **broken))
        assert not isinstance(raised.value, GradebookError)
        assert rows(course) == before
        writer.enter(entry("bob"))
        assert writer.complete().keys() == {"bob"}


def test_an_assignment_that_is_not_released_is_one_sentence(course):
    with pytest.raises(
        CourseError, match=r"09-other is not released.*`autograder release 09-other`"
    ):
        Writer(course, "09-other", NOTEBOOK).__enter__()


def test_no_gradebook_yet_is_one_sentence_and_makes_none(root, tmp_path):
    course = Course(root, tmp_path)
    with pytest.raises(CourseError, match=r"No gradebook in .*gradebook.db yet"):
        Writer(course, NAME, NOTEBOOK).__enter__()
    with pytest.raises(CourseError, match="No gradebook"), open_gradebook(course):
        pass
    assert not list(tmp_path.iterdir())


def own_plugin(folder: Path, body: str) -> Path:
    """A course whose instructor has a late plug-in of their own beside nbgrader_config.py."""
    folder.mkdir()
    config = 'c = get_config()\nc.AssignLatePenalties.plugin_class = "own_late.Own"\n'
    (folder / "nbgrader_config.py").write_text(config)
    (folder / "own_late.py").write_text(
        "from nbgrader.plugins import BasePlugin\nclass Own(BasePlugin):\n"
        f"    def late_submission_penalty(self, student, score, seconds):\n        {body}\n"
    )
    return folder


@pytest.fixture
def forget_plugin() -> Iterator[None]:
    """Forget the plug-in's module and its folder afterwards."""
    path = list(sys.path)
    yield
    sys.path[:] = path
    sys.modules.pop("own_late", None)


@pytest.mark.parametrize(
    ("body", "penalty"),
    [
        ("return score / 4 + seconds", 10.5 / 4 + 5),
        ("return 1000", 10.5),
        ("return -1", 0),
        ("return None", None),
    ],
)
def test_a_late_plugin_of_the_instructor_is_asked(
    new_class, entry, tmp_path, forget_plugin, body, penalty
):
    set_due_date(new_class)
    course = Course(own_plugin(tmp_path / "own", body), new_class.class_folder)
    with Writer(course, NAME, NOTEBOOK) as writer:
        writer.enter(entry("ada", DUE + timedelta(seconds=5)))
    assert [row["late_submission_penalty"] for row in rows(course)["submitted_notebook"]] == [
        penalty
    ]


def test_a_late_plugin_that_fails_is_one_sentence_and_leaves_nothing(
    new_class, entry, tmp_path, forget_plugin
):
    set_due_date(new_class)
    before = rows(new_class)
    course = Course(own_plugin(tmp_path / "own", "return 1 / 0"), new_class.class_folder)
    with Writer(course, NAME, NOTEBOOK) as writer:
        with pytest.raises(GradebookError, match=r"late plug-in Own failed for ada.*ZeroDivision"):
            writer.enter(entry("ada", DUE + timedelta(seconds=5)))
        assert rows(course) == before
        writer.enter(entry("bob", DUE))
    assert [row["id"] for row in rows(course)["student"]] == ["bob"]


def test_a_late_plugin_that_is_not_there_is_one_sentence(new_class, tmp_path, forget_plugin):
    course = Course(own_plugin(tmp_path / "own", ""), new_class.class_folder)
    (course.root / "own_late.py").unlink()
    with pytest.raises(CourseError, match=r"late plug-in of nbgrader_config.py is not usable"):
        Writer(course, NAME, NOTEBOOK).__enter__()


def test_a_configuration_that_cannot_be_read_is_one_sentence(new_class, tmp_path, monkeypatch):
    monkeypatch.delenv("AUTOGRADER_CLASS", raising=False)
    (tmp_path / "nbgrader_config.py").write_text("c = get_config(")
    with pytest.raises(CourseError, match=r"nbgrader_config.py cannot be read \(SyntaxError"):
        Writer(Course(tmp_path, new_class.class_folder), NAME, NOTEBOOK).__enter__()
    assert "AUTOGRADER_CLASS" not in os.environ


def test_an_extension_without_a_due_date_is_not_late(new_class, entry):
    """nbgrader itself fails there."""
    with Writer(new_class, NAME, NOTEBOOK) as writer:
        writer.enter(entry("ada", DUE))
        with Gradebook(new_class.database_url, COURSE_ID) as gradebook:
            gradebook.find_submission(NAME, "ada").extension = timedelta(days=1)
            gradebook.db.commit()
        writer.enter(entry("ada", DUE))


# --- what can go wrong with a database


@contextmanager
def on_connect(*statements: str) -> Iterator[None]:
    """Every connection made meanwhile begins with these statements."""

    def begin(connection: Any, _: Any) -> None:
        for statement in statements:
            connection.execute(statement)

    event.listen(Engine, "connect", begin)
    yield
    event.remove(Engine, "connect", begin)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("PRAGMA query_only = ON", "gradebook.db cannot be used: it is read-only"),
        (
            "PRAGMA max_page_count = 1",
            "the disk is full: make room, then run the same command again",
        ),
    ],
)
def test_a_file_that_takes_nothing_is_one_sentence_and_stays_whole(
    new_class, entry, statement, told
):
    before = rows(new_class)
    with (
        on_connect(statement),
        Writer(new_class, NAME, NOTEBOOK) as writer,
        pytest.raises(GradebookError, match=told),
    ):
        for number in range(100):
            writer.enter(entry(f"student-{number}"))
    found = rows(new_class)
    students = len(found["student"])
    assert len(found["grade"]) == 8 * students
    assert len(found["comment"]) == 8 * students
    if "query_only" in statement:
        assert found == before


def test_a_locked_file_is_one_sentence_and_free_again_goes_on(new_class, entry):
    with on_connect("PRAGMA busy_timeout = 20"), Writer(new_class, NAME, NOTEBOOK) as writer:
        before = rows(new_class)
        other = create_engine(new_class.database_url).raw_connection()
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(GradebookError, match="another program is writing to it"):
            writer.enter(entry("ada"))
        other.rollback()
        assert rows(new_class) == before
        writer.enter(entry("ada"))
        assert writer.complete().keys() == {"ada"}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"Some text that is no database." * 100, "the file is not a gradebook"),
        (b"", "No gradebook in .*gradebook.db yet"),
    ],
)
def test_a_file_that_is_no_gradebook_is_one_sentence(new_class, content, told):
    (new_class.class_folder / "gradebook.db").write_bytes(content)
    with pytest.raises(CourseError, match=told):
        Writer(new_class, NAME, NOTEBOOK).__enter__()


def test_a_gradebook_of_an_older_nbgrader_is_one_sentence(course, entry):
    engine = create_engine(course.database_url)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE submitted_assignment DROP COLUMN extension"))
    engine.dispose()
    with (
        Writer(course, NAME, NOTEBOOK) as writer,
        pytest.raises(GradebookError, match="older nbgrader: run `nbgrader db upgrade`"),
    ):
        writer.enter(entry("ada"))


def test_a_grader_killed_in_a_submission_leaves_the_ones_before_it(new_class, entry):
    """The rows are written and not yet committed when the process dies."""
    child = os.fork()
    if child == 0:
        with Writer(new_class, NAME, NOTEBOOK) as writer:
            writer.enter(entry("ada"))
            die = lambda _: os.kill(os.getpid(), signal.SIGKILL)  # noqa: E731
            event.listen(writer._engine, "commit", die)
            writer.enter(entry("bob"))
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    with Writer(new_class, NAME, NOTEBOOK) as writer:
        assert writer.complete().keys() == {"ada"}
        assert [row["id"] for row in rows(new_class)["student"]] == ["ada"]
        writer.enter(entry("bob"))
        assert writer.complete().keys() == {"ada", "bob"}


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("/folder/gradebook.db", "not a database URL"),
        ("postgresql://owner:hidden@host:port/name", "not a database URL"),
        (f"postgresql://owner:{SECRET}@host:port/name", "an @ too many"),
        ("mysql://owner:hidden@host/name", "kind of database is not known here"),
        ("oracle+hidden://host", "kind of database is not known here"),
        ("sqlite://", "names no file"),
        ("postgresql://owner:hid@den@host/name", "an @ too many"),
    ],
)
def test_a_wrong_url_is_one_sentence_without_the_password(root, url, told):
    with pytest.raises(CourseError, match=told) as raised:
        Course.find(gradebook=url, start=root)
    assert "hid" not in str(raised.value)
    assert SECRET not in str(raised.value)


def test_the_gradebooks_url_comes_from_the_option_then_the_environment(root, monkeypatch, tmp_path):
    monkeypatch.delenv("AUTOGRADER_GRADEBOOK", raising=False)
    monkeypatch.chdir(tmp_path)
    at_home = f"sqlite:///{root / 'class' / 'gradebook.db'}"
    assert Course.find(start=root).database_url == at_home
    monkeypatch.setenv("AUTOGRADER_GRADEBOOK", "postgres://me:hidden@host/grades")
    course = Course.find(start=root)
    assert course.database_url == "postgresql+psycopg://me:hidden@host/grades"
    assert course.nbgrader_config.CourseDirectory.db_url == course.database_url
    assert "hidden" not in repr(course)
    course = Course.find(gradebook="sqlite:///grades.db", start=root)
    assert course.database_url == f"sqlite:///{tmp_path / 'grades.db'}"
    assert course.nbgrader_config.CourseDirectory.db_url == course.database_url
    course = Course(root, tmp_path)
    assert course.nbgrader_config.CourseDirectory.db_url == f"sqlite:///{tmp_path / 'gradebook.db'}"
    assert os.environ["AUTOGRADER_GRADEBOOK"] == "postgres://me:hidden@host/grades"


def test_a_missing_driver_is_one_sentence(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    course = Course.find(gradebook="postgresql://me:hidden@host/grades", start=root)
    with pytest.raises(GradebookError, match=r"driver is not installed: `pip install") as raised:
        Writer(course, NAME, NOTEBOOK).__enter__()
    assert "hidden" not in str(raised.value)


def test_an_unreachable_server_is_one_sentence(root):
    url = "postgresql://me:hidden@127.0.0.1:1/grades?password=concealed"
    with pytest.raises(
        GradebookError, match=r"127.0.0.1:1/grades cannot be used: .*refused"
    ) as raised:
        Writer(Course.find(gradebook=url, start=root), NAME, NOTEBOOK).__enter__()
    assert "hidden" not in str(raised.value)
    assert "concealed" not in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_a_release_says_so_when_the_server_is_unreachable(root, tmp_path):
    """nbgrader, which enters the release, would show the end of its own stack trace."""
    course = Course(root, tmp_path, checked_url("postgresql://me:hidden@127.0.0.1:1/grades"))
    with pytest.raises(GradebookError, match=r"127.0.0.1:1/grades cannot be used: .*refused"):
        generate(Assignment(course, NAME), tmp_path)


def test_a_wrong_password_and_a_wrong_name_are_one_sentence(root, server):
    for url, told in (
        (server.url("postgres", "hidden"), "password authentication failed"),
        (server.url("grades"), 'database "grades" does not exist'),
    ):
        with pytest.raises(GradebookError, match=told) as raised:
            Writer(Course.find(gradebook=url, start=root), NAME, NOTEBOOK).__enter__()
        assert "hidden" not in str(raised.value)
        assert len(str(raised.value).splitlines()) == 1


def test_a_message_that_holds_the_password_is_shown_without_it(root):
    course = Course.find(gradebook="postgresql://me:hidden@host/grades", start=root)
    with pytest.raises(GradebookError, match=r"invalid \*\*\* here") as raised, explained(course):
        raise OperationalError("SELECT 1", {}, Exception("invalid hidden here"))
    assert "hidden" not in str(raised.value)


# --- a PostgreSQL server that dies


def test_a_server_killed_between_submissions(class_on_server, server, entry):
    with Writer(class_on_server, NAME, NOTEBOOK) as writer:
        writer.enter(entry("ada"))
        server.kill()
        try:
            with pytest.raises(GradebookError, match=r"connection was lost.*same command goes on"):
                writer.enter(entry("bob"))
            with pytest.raises(GradebookError, match=r"cannot be used: .*same command again"):
                writer.enter(entry("bob"))
        finally:
            server.start()
        assert writer.complete().keys() == {"ada"}
        writer.enter(entry("bob"))
        assert writer.complete().keys() == {"ada", "bob"}


def test_a_server_killed_in_a_submission(class_on_server, new_class, server, entry):
    """Between the last statement and the commit; entered again, the rows are those of a quiet run."""
    entries = [entry("ada", DUE), entry("bob")]
    with Writer(class_on_server, NAME, NOTEBOOK) as writer:
        writer.enter(entries[0])
        event.listen(writer._session, "after_flush", lambda *_: server.kill(), once=True)
        try:
            with pytest.raises(GradebookError, match="connection was lost"):
                writer.enter(entries[1])
        finally:
            server.start()
    with Writer(class_on_server, NAME, NOTEBOOK) as writer:
        assert writer.complete().keys() == {"ada"}
        for one in entries:
            writer.enter(one)
    with Writer(new_class, NAME, NOTEBOOK) as writer:
        for one in entries:
            writer.enter(one)
    assert rows(class_on_server) == rows(new_class)


def test_nbgrader_and_the_reports_read_a_gradebook_on_a_server(
    class_on_server, entry, environment, tmp_path, hand_in
):
    """`nbgrader autograde` writes there as well."""
    assignment = Assignment(class_on_server, NAME)
    hand_in(assignment, "bob", solve(assignment, {}))
    autograde(class_on_server, "bob", 0.5)
    with Writer(class_on_server, NAME, NOTEBOOK) as writer:
        writer.enter(entry("ada", DUE))
        assert writer.complete() == {"ada": DUE, "bob": None}
    students = student_rows(assignment, tmp_path)
    assert [(row.student, row.score) for row in students] == [("ada", 10.5), ("bob", 3.5)]
    export_grades(class_on_server, [NAME], tmp_path / "own.csv")
    subprocess.run(
        [sys.executable, "-m", "nbgrader", "export", f"--to={tmp_path / 'nbgrader.csv'}"],
        cwd=class_on_server.root,
        env=environment
        | {"PYTHONPATH": str(ROOT), "AUTOGRADER_GRADEBOOK": class_on_server.database_url}
        | {"AUTOGRADER_CLASS": str(class_on_server.class_folder)},
        capture_output=True,
        timeout=120,
        check=True,
    )
    assert (tmp_path / "nbgrader.csv").read_text() == (tmp_path / "own.csv").read_text()
    assert ",ada," in (tmp_path / "own.csv").read_text()
