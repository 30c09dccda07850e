"""A throw-away course for each test, hand-ins for it, and commands run in it as an instructor would.

Nothing here writes into the checkout: sources and releases are copied, and so is the bank.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from nbformat import NotebookNode
from sqlalchemy import URL, create_engine, text

from autograder.assignment import Assignment
from autograder.course import Course, checked_url
from autograder.sample import bank, bank_programs

ROOT = Path(__file__).parents[2]
ASSIGNMENT = "02-scores"
POSTGRESQL = "/usr/lib/postgresql"
PASSWORD = "p@ss/wörd%40"
COPIED = ("nbgrader_config.py", "requirements.txt", "solutions", "exercises", "tests/bank")


@pytest.fixture(scope="session")
def new_course(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Course]:
    """`new_course()` is a fresh copy of the course with an empty class folder of its own."""

    def copy() -> Course:
        root = tmp_path_factory.mktemp("course")
        for name in COPIED:
            source, target = ROOT / name, root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                ignored = shutil.ignore_patterns(".ipynb_checkpoints", "__pycache__")
                shutil.copytree(source, target, ignore=ignored)
            else:
                shutil.copy(source, target)
        for derived in root.glob("solutions/*/*.ipynb"):  # jupytext's twin of the source, not kept
            derived.unlink()
        return Course(root, root / "class")

    return copy


@pytest.fixture
def course(new_course: Callable[[], Course]) -> Course:
    """A course of this test's own: it may change anything in it."""
    return new_course()


@pytest.fixture
def assignment(course: Course) -> Assignment:
    """The assignment 02-scores of the test's course."""
    return Assignment.named(course, ASSIGNMENT)


@pytest.fixture(scope="session")
def right() -> dict[str, str]:
    """A right program for every question, by the question's name."""
    assignment = Assignment(Course(ROOT, ROOT), ASSIGNMENT)
    return bank_programs(assignment, bank(assignment) / "right" / "matmul.py")


@pytest.fixture(scope="session")
def hand_in() -> Callable[..., Path]:
    """`hand_in(assignment, student, notebook)` hands in a notebook, its JSON, or any text; returns the file."""

    def write(assignment: Assignment, student: str, notebook: Any) -> Path:
        folder = assignment.course.step("submitted") / student / assignment.name
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{assignment.notebook}.ipynb"
        if isinstance(notebook, NotebookNode):
            notebook = nbformat.writes(notebook)
        path.write_text(notebook if isinstance(notebook, str) else json.dumps(notebook))
        return path

    return write


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which nothing of the machine's Jupyter, nor this environment's PATH, is seen."""
    home = str(tmp_path_factory.mktemp("home"))
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("JUPYTER", "IPYTHON", "PYTHON", "VIRTUAL_ENV", "AUTOGRADER", "XDG_"))
    }
    return {**kept, "PATH": os.defpath, "HOME": home, "IPYTHONDIR": f"{home}/.ipython"}


@pytest.fixture(scope="session")
def command(environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess]:
    """`command(course, "nbgrader", "autograde", …)` runs a program of this environment, not activated.

    It runs in the course's folder on the course's class; `succeeds=False` where it should not end with 0.
    """

    def run(course: Course, program: str, *arguments: Any, succeeds: bool = True) -> Any:
        done = subprocess.run(
            [Path(sys.executable).with_name(program), *map(str, arguments)],
            cwd=course.root,
            env={**environment, "AUTOGRADER_CLASS": str(course.class_folder)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        told = f"{program} {' '.join(map(str, arguments))}\n{done.stdout}\n{done.stderr}"
        assert (done.returncode == 0) is succeeds, told
        return done

    return run


class Server:
    """A PostgreSQL server in a folder of its own, reached by its socket; PostgreSQL refuses to run as root."""

    def __init__(self, programs: Path) -> None:
        self.programs = programs
        self.folder = Path(
            tempfile.mkdtemp(prefix="pg")
        )  # short: a socket's path has 107 characters
        self.user = "postgres" if os.geteuid() == 0 else None
        password = self.folder / "password"
        password.write_text(PASSWORD)
        if self.user:
            shutil.chown(self.folder, self.user)
            shutil.chown(password, self.user)
        as_owner = ["-U", "owner", "-A", "scram-sha-256", f"--pwfile={password}"]
        self._run("initdb", "-D", "data", "--no-sync", "-E", "UTF8", "--locale=C", *as_owner)
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        command = [self.programs / program, *arguments]
        log = (self.folder / "log").open("a")
        subprocess.run(
            command, cwd=self.folder, user=self.user, stdout=log, stderr=log, timeout=60, check=True
        )

    def start(self) -> None:
        options = f"-k {self.folder} -c listen_addresses= -c fsync=off -c max_connections=20"
        self._run("pg_ctl", "start", "-w", "-D", "data", "-o", options)

    def kill(self) -> None:
        """End the server and all its processes with SIGKILL."""
        server = psutil.Process(int((self.folder / "data/postmaster.pid").read_text().split()[0]))
        processes = [server, *server.children(recursive=True)]
        for process in processes:
            process.kill()
        psutil.wait_procs(processes, timeout=30)

    def url(self, database: str, password: str = PASSWORD) -> str:
        """A URL as an instructor would write it."""
        query = {"host": str(self.folder)}
        url = URL.create("postgresql", "owner", password, database=database, query=query)
        return url.render_as_string(hide_password=False)

    def create(self, database: str, template: str = "template1") -> str:
        """A new database; its URL."""
        engine = create_engine(checked_url(self.url("postgres")), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f'CREATE DATABASE "{database}" TEMPLATE "{template}"'))
        engine.dispose()
        return self.url(database)

    def close(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError):
            self.kill()
        shutil.rmtree(self.folder)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL server; a test that asks for it is skipped where there is none."""
    found = sorted(Path(POSTGRESQL).glob("*/bin/initdb"))
    if not found:
        pytest.skip("the system package postgresql of apt.txt is absent")
    pytest.importorskip("psycopg", reason="the Python package psycopg is absent: run `make env`")
    started = Server(found[-1].parent)
    yield started
    started.close()
