"""From an instructor's source to the student's release, through nbgrader; and the check that both agree."""

import filecmp
import shutil
import tempfile
import warnings
from pathlib import Path

from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from sqlalchemy.exc import SAWarning

from autograder.assignment import Assignment
from autograder.changes import whole_version
from autograder.course import Course, CourseError
from autograder.gradebook import check_reachable
from autograder.store import read_text, write_whole

# nbgrader's own session handling; nothing an instructor could act on.
warnings.filterwarnings("ignore", category=SAWarning)


def nbgrader_api(course: Course, **directories: str) -> NbGraderAPI:
    """nbgrader on this course; `directories` overrides settings of its CourseDirectory."""
    config = course.nbgrader_config  # the instructor's own settings too
    for name, value in directories.items():
        setattr(config.CourseDirectory, name, value)
    # nbgrader's own log goes into each result; what matters of it is raised as a CourseError.
    config.NbGraderAPI.log_level = "CRITICAL"
    return NbGraderAPI(CourseDirectory(config=config), config=config)


def succeed(result: dict, what: str) -> None:
    """Raise a CourseError with nbgrader's reason unless its result says success."""
    if not result["success"]:
        lines = (result.get("error") or result.get("log") or "no reason given").strip().splitlines()
        raise CourseError(f"{what}: {lines[-1]}")


def generate(assignment: Assignment, folder: Path) -> Path:
    """Generate the release under `folder`, and tell this class's gradebook about the assignment."""
    assignment.checks  # noqa: B018 - raises where a marker, its points or its question is missing
    api = nbgrader_api(assignment.course, release_directory=str(folder))
    check_reachable(assignment.course)  # nbgrader says less clearly what is wrong with a database
    succeed(
        api.generate_assignment(assignment.name, force=True),
        f"{assignment.name} cannot be released",
    )
    return folder / assignment.name


def release(assignment: Assignment) -> bool:
    """Write the release into `exercises/`; True when it changed. A failure leaves the old one as it was."""
    target = assignment.release.parent
    with tempfile.TemporaryDirectory() as folder:
        generated = generate(assignment, Path(folder))
        changed = not same(generated, target)
        if changed:
            if target.exists():
                shutil.rmtree(target)
            shutil.copytree(generated, target)
    _note_checked(assignment)
    return changed


def check_release(assignment: Assignment) -> None:
    """Raise a CourseError unless `exercises/` holds exactly what the source gives."""
    with tempfile.TemporaryDirectory() as folder:
        if not same(generate(assignment, Path(folder)), assignment.release.parent):
            raise CourseError(
                f"exercises/{assignment.name} is not what solutions/{assignment.name} gives: "
                f"run `autograder release {assignment.name}`."
            )
    _note_checked(assignment)


def is_checked(assignment: Assignment) -> bool:
    """Whether this class's gradebook was told of the release as it is now, and that is what the source gives."""
    return read_text(_checked(assignment)) == whole_version(assignment.paper)


def _note_checked(assignment: Assignment) -> None:
    write_whole(_checked(assignment), whole_version(assignment.paper).encode())


def _checked(assignment: Assignment) -> Path:
    return assignment.course.record(assignment.name, "", "released").with_suffix("")


def same(one: Path, other: Path) -> bool:
    """Whether two folders hold the same files."""
    names = [
        sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
        for folder in (one, other)
    ]
    return names[0] == names[1] and all(
        filecmp.cmp(one / name, other / name, shallow=False) for name in names[0]
    )
