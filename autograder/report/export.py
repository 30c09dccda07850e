"""The gradebook as a CSV file, written whole or not at all."""

from pathlib import Path

from autograder.course import Course, CourseError
from autograder.gradebook import open_gradebook
from autograder.plugin import GradesExport


def export_grades(course: Course, assignments: list[str], target: Path) -> None:
    """Write the grades of the named assignments (all, if none is named) to `target`."""
    if target.is_dir():
        raise CourseError(
            f"{target} is a folder: name the file to write, such as {target / 'grades.csv'}."
        )
    temporary = target.with_name(target.name + ".part")
    with open_gradebook(course) as gradebook:
        if not target.parent.is_dir():
            raise CourseError(f"{target.parent}: there is no such folder.")
        GradesExport(to=str(temporary), assignment=assignments).export(gradebook)
    temporary.replace(target)
