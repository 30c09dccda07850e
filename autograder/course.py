"""Where things are in a course, and how nbgrader is told so. Nothing here runs or grades anything."""

import difflib
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from traitlets.config import Config, PyFileConfigLoader

COURSE_ID = "attention"  # nbgrader's name of the course, in its gradebook
CONFIG_NAME = "nbgrader_config.py"
CLASS_VARIABLE = "AUTOGRADER_CLASS"  # the class folder, for nbgrader's own commands
GRADEBOOK_VARIABLE = "AUTOGRADER_GRADEBOOK"  # the gradebook's URL, for nbgrader's own commands
STEPS = ("submitted", "autograded", "feedback")


class CourseError(Exception):
    """Something the instructor or the student can put right; the text is one sentence that says how."""


class GradebookError(CourseError):
    """The gradebook cannot be used now, for no student; nothing half-written is left in it."""


def sync(source: Path) -> None:
    """Bring a source and its .ipynb twin, which nbgrader and JupyterLab read, to the newer one's state."""
    from jupytext.cli import jupytext as command  # slow to import, and needed for a release only

    command(["--quiet", "--sync", str(source)])


def checked_url(text: str) -> str:
    """The URL of a gradebook as SQLAlchemy and nbgrader take it; a CourseError shows nothing of a bad one."""
    from sqlalchemy.engine import make_url  # slow to import, and needed for an own URL only
    from sqlalchemy.exc import ArgumentError

    shape = "postgresql://user:password@host/database or sqlite:////folder/gradebook.db"
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise CourseError(
            f"The gradebook's address is not a database URL: write it as {shape}."
        ) from None
    kind = url.drivername.partition("+")[0]
    if kind not in ("postgresql", "postgres", "sqlite"):
        raise CourseError(f"The gradebook's kind of database is not known here: write {shape}.")
    if "@" in f"{url.host}{url.database}":  # the rest of a password, which messages would show
        raise CourseError("The gradebook's URL has an @ too many: write one in a password as %40.")
    if kind == "sqlite":
        if url.database in (None, "", ":memory:"):
            raise CourseError(f"The gradebook's URL names no file: write {shape}.")
        url = url.set(database=str(Path(url.database).resolve()))  # nbgrader changes the directory
    elif url.drivername in ("postgresql", "postgres"):  # SQLAlchemy's own choice differs by version
        url = url.set(drivername="postgresql+psycopg")
    return url.render_as_string(hide_password=False)


@contextmanager
def variables(wanted: dict[str, str]) -> Iterator[None]:
    """Set variables of this process's environment; afterwards they are as they were."""
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@dataclass(frozen=True)
class Course:
    """A course's folder (sources and releases) and a class's folder (hand-ins, grades, feedback)."""

    root: Path
    class_folder: Path
    gradebook: str = field(default="", repr=False)  # a URL, which may hold a password

    @classmethod
    def find(
        cls,
        class_folder: Path | None = None,
        gradebook: str | None = None,
        start: Path | None = None,
    ) -> "Course":
        """The course around `start` (the working directory), with the class folder `class/` by default.

        `gradebook` is the URL of its database, by default gradebook.db in the class folder.
        """
        start = (start or Path.cwd()).resolve()
        for folder in (start, *start.parents):
            if (folder / CONFIG_NAME).is_file():
                chosen = class_folder or os.environ.get(CLASS_VARIABLE) or folder / "class"
                url = gradebook or os.environ.get(GRADEBOOK_VARIABLE, "")
                return cls(folder, Path(chosen).resolve(), url and checked_url(url))
        raise CourseError(
            f"No {CONFIG_NAME} in {start} or above it: run the command inside the course's folder."
        )

    @property
    def solutions(self) -> Path:
        """The instructor's sources, one folder per assignment."""
        return self.root / "solutions"

    @property
    def exercises(self) -> Path:
        """The student releases, one folder per assignment."""
        return self.root / "exercises"

    def step(self, name: str) -> Path:
        """The folder of one of nbgrader's steps in this class."""
        return self.class_folder / name

    @property
    def database_url(self) -> str:
        """nbgrader's gradebook of this class."""
        return self.gradebook or f"sqlite:///{self.class_folder / 'gradebook.db'}"

    def record(self, assignment: str, student: str, notebook: str) -> Path:
        """Where the result of grading one notebook is kept."""
        return self.class_folder / "records" / assignment / student / f"{notebook}.json"

    @cached_property
    def secret(self) -> str:
        """The secret from which every student's inputs are drawn; made on first use, never committed."""
        path = self.class_folder / "secret"
        if not path.exists():
            self.class_folder.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_hex(32))
        secret = path.read_text()
        if len(secret) < 32:
            raise CourseError(f"{path} is damaged: put it back, or delete it for new inputs.")
        return secret

    def assignments(self) -> list[str]:
        """The names of all assignments that have a source."""
        return sorted(path.parent.name for path in self.solutions.glob("*/*.md"))

    def check_assignment(self, name: str) -> str:
        """`name` if it is an assignment; otherwise a CourseError that suggests the nearest one."""
        known = self.assignments()
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = (
                f"did you mean {near[0]}?"
                if near
                else f"there are: {', '.join(known) or 'none yet'}."
            )
            raise CourseError(f"Unknown assignment {name}: {hint}")
        return name

    def hand_ins(self, assignment: str) -> dict[str, Path]:
        """Each student's folder of hand-ins for an assignment."""
        return {
            path.parent.name: path
            for path in sorted(self.step("submitted").glob(f"[!.]*/{assignment}"))
            if path.is_dir()
        }

    @property
    def nbgrader_config(self) -> Config:
        """What nbgrader's own commands run with: the course's nbgrader_config.py, for this class."""
        # From these nbgrader_config.py finds this class.
        wanted = {CLASS_VARIABLE: str(self.class_folder), GRADEBOOK_VARIABLE: self.gradebook}
        with variables(wanted):
            try:
                return PyFileConfigLoader(CONFIG_NAME, path=str(self.root)).load_config()
            except CourseError:
                raise
            except Exception as error:
                raise CourseError(
                    f"{self.root / CONFIG_NAME} cannot be read ({type(error).__name__}: {error}): correct it."
                ) from error

    def configure(self, config: Config) -> Config:
        """Write this course into nbgrader's configuration, the grader's own steps included.

        The one place for it: `nbgrader_config.py` and the `autograder` commands both call this.
        """
        # nbgrader looks for `alembic` on the PATH, also where the environment was not activated.
        programs = str(Path(sys.executable).parent)
        if programs not in os.environ.get("PATH", "").split(os.pathsep):
            os.environ["PATH"] = programs + os.pathsep + os.environ.get("PATH", os.defpath)

        directory = config.CourseDirectory
        directory.course_id = COURSE_ID
        directory.root = str(self.root)
        directory.source_directory = str(self.solutions.relative_to(self.root))
        directory.release_directory = str(self.exercises.relative_to(self.root))
        directory.db_url = self.database_url
        for step in STEPS:
            setattr(directory, f"{step}_directory", os.path.relpath(self.step(step), self.root))
        # nbgrader copies every file beside a notebook, into the release and from hand-ins. These globs
        # match every name that does not end in .ipynb: "*[!b]", "*[!n]b" and so on.
        ending = ".ipynb"
        directory.ignore = [f"*[!{letter}]{ending[i + 1 :]}" for i, letter in enumerate(ending)]

        # nbgrader wants the gradebook's folder to exist, and finds an assignment by its .ipynb, which is
        # not kept; that its content is the source's is ReadSource's work.
        self.class_folder.mkdir(parents=True, exist_ok=True)
        for source in self.solutions.glob("*/*.md"):
            if not source.with_suffix(".ipynb").exists():
                sync(source)

        config.GenerateAssignment.preprocessors = [
            "autograder.plugin.ReadSource",
            "nbgrader.preprocessors.LockCells",
            "nbgrader.preprocessors.ClearSolutions",
            "nbgrader.preprocessors.ClearOutput",
            "autograder.plugin.NameCells",
            "nbgrader.preprocessors.CheckCellMetadata",
            "nbgrader.preprocessors.ComputeChecksums",
            "nbgrader.preprocessors.SaveCells",
            "nbgrader.preprocessors.ClearHiddenTests",
            "nbgrader.preprocessors.ClearMarkScheme",
            "nbgrader.preprocessors.ComputeChecksums",
            "nbgrader.preprocessors.CheckCellMetadata",
        ]
        config.Autograde.sanitize_preprocessors = [
            "autograder.plugin.DropCopies",
            "nbgrader.preprocessors.ClearOutput",
            "nbgrader.preprocessors.DeduplicateIds",
            "nbgrader.preprocessors.OverwriteKernelspec",
            "nbgrader.preprocessors.OverwriteCells",
            "nbgrader.preprocessors.CheckCellMetadata",
        ]
        config.Autograde.autograde_preprocessors = [
            "autograder.plugin.RunAndCheck",
            "autograder.plugin.SaveVerdicts",
            "nbgrader.preprocessors.AssignLatePenalties",
            "nbgrader.preprocessors.CheckCellMetadata",
        ]
        config.GenerateFeedback.exporter_class = "autograder.report.pages.FeedbackExporter"
        config.GenerateFeedback.preprocessors = []  # the exporter reads the gradebook itself
        config.RunAndCheck.class_folder = str(self.class_folder)
        config.ExportApp.plugin_class = "autograder.plugin.GradesExport"
        return config
