"""The command line: `autograder --help`. Commands only; what they do is in the other modules."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from autograder.course import Course, CourseError
from autograder.shell.sandbox import SANDBOXES

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Release exercises, grade a class's hand-ins, write feedback and a report.\n\n"
    "A first time through: release, sample, grade, feedback, export, report. Each command says where "
    "its result is. Run them inside the course's folder.",
)
out, err = Console(), Console(stderr=True)

Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[ASSIGNMENT]...",
        help="Assignments, such as 02-scores; all of them if none is named.",
    ),
]
ClassFolder = Annotated[
    Path | None,
    typer.Option(
        "--class",
        metavar="FOLDER",
        help="The class's folder, with submitted/<student>/<assignment>/; class/ by default.",
    ),
]
Sandbox = StrEnum("Sandbox", SANDBOXES)
Gradebook = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="The gradebook's database, such as postgresql://host/grades; gradebook.db in the class's folder by "
        "default.",
    ),
]


@app.command()
def release(
    names: Names = None, class_folder: ClassFolder = None, gradebook: Gradebook = None
) -> None:
    """Make the student's notebooks in exercises/ from the sources in solutions/."""
    from autograder.assignment import assignments
    from autograder.release import release as release_one

    for assignment in assignments(Course.find(class_folder, gradebook), names or []):
        changed = release_one(assignment)
        _say(
            f"{assignment.name}: {'written to' if changed else 'unchanged in'} {_short(assignment.release)}"
        )


@app.command()
def sample(names: Names = None, class_folder: ClassFolder = None) -> None:
    """Make a sample class of hand-ins, to see the grader work before the real class."""
    from autograder.assignment import assignments
    from autograder.sample import write_class

    for assignment in assignments(Course.find(class_folder), names or []):
        count = write_class(assignment)
        _say(
            f"{assignment.name}: {count} hand-ins in {_short(assignment.course.step('submitted'))}"
        )


@app.command()
def grade(
    names: Names = None,
    class_folder: ClassFolder = None,
    jobs: Annotated[
        int, typer.Option(min=-1, help="Hand-ins graded at a time; -1 is one per core.")
    ] = -1,
    dask: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="Grade on the workers of this Dask scheduler instead."
        ),
    ] = "",
    force: Annotated[
        bool, typer.Option("--force", help="Grade again also what has not changed.")
    ] = False,
    sandbox: Annotated[
        Sandbox | None,
        typer.Option(
            help="What student code runs in, bwrap by default; none gives it your rights."
        ),
    ] = None,
    gradebook: Gradebook = None,
) -> None:
    """Grade all hand-ins of a class into its gradebook.

    What has not changed since the last run costs nothing; stopped or killed, the same command goes on. A
    hand-in that cannot be graded is named with the reason, stops nobody, and makes the command end with status 1.
    """
    from autograder.assignment import assignments
    from autograder.crew import Crew

    if not jobs:
        raise CourseError(
            "--jobs 0 would grade nobody: give a number from 1, or -1 for one per core."
        )
    problems = 0
    course = Course.find(class_folder, gradebook)
    chosen = _with_hand_ins(assignments(course, names or []), bool(names))
    try:
        with Crew(jobs, dask) as crew:
            for assignment in chosen:
                problems += _grade(assignment, sandbox, crew=crew, force=force)
    except KeyboardInterrupt:
        _say("Stopped. What is graded is kept; the same command goes on from here.", err)
        raise typer.Exit(130) from None
    if problems:
        raise typer.Exit(1)


def _grade(assignment: Any, sandbox: str | None, **options: Any) -> int:
    """Grade one assignment and say what came of it; returns how many need the instructor.

    Where no sandbox works and none was named, the project's own sample class is graded without.
    """
    from autograder.classrun import grade_class, hand_ins
    from autograder.grading import NoSandbox
    from autograder.progress import watch
    from autograder.sample import is_sample

    try:
        with watch(f"grading {assignment.name}", len(hand_ins(assignment)), err) as told:
            result = grade_class(assignment, watch=told, sandbox=sandbox or "bwrap", **options)
    except NoSandbox as error:
        if sandbox or not is_sample(assignment):
            raise
        _say(f"{error} This is the sample class: it is graded under limits only.", err)
        return _grade(assignment, "none", **options)
    from autograder.gradebook import place  # which loads nbgrader, while the workers get ready

    _say(
        f"{assignment.name}: {len(result.graded)} graded, {len(result.unchanged)} unchanged, "
        f"{len(result.problems)} need you; gradebook {place(assignment.course)}"
    )
    for student, problem in sorted(result.problems.items()):
        _say(f"{student}: {problem}", err)
    return len(result.problems)


@app.command()
def feedback(
    names: Names = None,
    class_folder: ClassFolder = None,
    gradebook: Gradebook = None,
    solutions: Annotated[
        bool,
        typer.Option(
            "--solutions", help="Show a solution under each question: after the deadline."
        ),
    ] = False,
) -> None:
    """Write each student's feedback page from the graded hand-ins."""
    from autograder.assignment import assignments
    from autograder.classrun import hand_ins
    from autograder.report.pages import write_pages

    course = Course.find(class_folder, gradebook)
    for assignment in _with_hand_ins(assignments(course, names or []), bool(names)):
        with _progress(f"feedback {assignment.name}", len(hand_ins(assignment))) as advance:
            written = write_pages(assignment, -1, advance, solutions)
        _say(
            f"{assignment.name}: {written} pages written in {_short(assignment.course.step('feedback'))}"
        )


@app.command()
def export(
    names: Names = None,
    class_folder: ClassFolder = None,
    to: Annotated[
        Path | None, typer.Option(help="The CSV file; grades.csv in the class's folder by default.")
    ] = None,
    gradebook: Gradebook = None,
) -> None:
    """Write the grades as a CSV file, one row per student and assignment, one column per question."""
    from autograder.report.export import export_grades

    course = Course.find(class_folder, gradebook)
    target = to or course.class_folder / "grades.csv"
    export_grades(course, [course.check_assignment(name) for name in names or []], target)
    _say(f"grades: {_short(target)}")


@app.command()
def report(
    names: Names = None, class_folder: ClassFolder = None, gradebook: Gradebook = None
) -> None:
    """Write the class report: what the class did not understand, question by question."""
    from autograder.assignment import assignments
    from autograder.report.classreport import write_report

    course = Course.find(class_folder, gradebook)
    for assignment in _with_hand_ins(assignments(course, names or []), bool(names)):
        _say(f"{assignment.name}: report {_short(write_report(assignment))}")


@app.command()
def check(
    notebook: Annotated[Path, typer.Argument(help="Your notebook, such as scores.ipynb.")],
) -> None:
    """For students: run one notebook's visible checks and say per question what passed.

    Ends with status 0 when all visible checks pass. They catch the obvious; your grade comes from more.
    """
    from autograder.selfcheck import visible_results

    results = visible_results(Course.find(), notebook)
    table = Table("Question", "Visible checks", "Why", title=notebook.name)
    for result in results:
        table.add_row(
            result.question, "✓ passed" if result.passed else "✗ failed", escape(result.reason)
        )
    out.print(table)
    if not all(result.passed for result in results):
        raise typer.Exit(1)


@app.command()
def doctor(
    install: Annotated[
        bool | None,
        typer.Option(
            "--install/--uninstall",
            help="First install the sandboxed kernel for Jupyter into this environment, or remove it.",
        ),
    ] = None,
) -> None:
    """Say what this machine lacks for building the book, grading and testing."""
    from autograder import kernelspec
    from autograder.doctor import findings

    if install:
        _say(f"kernel installed: {kernelspec.install()}")
    elif install is False:
        _say("kernel removed" if kernelspec.remove() else "kernel: it was not installed")
    table = Table("What", "State", "What to do")
    found = findings(Course.find())
    for finding in found:
        table.add_row(
            finding.what,
            "✓" if finding.fine else "absent" if finding.optional else "✗",
            "" if finding.fine else finding.advice,
        )
    out.print(table)
    if not all(finding.fine or finding.optional for finding in found):
        raise typer.Exit(1)


def _with_hand_ins(assignments: list, named: bool) -> list:
    """All named assignments; otherwise those with hand-ins, or all when there is none, to say so."""
    found = [a for a in assignments if a.course.hand_ins(a.name)]
    return assignments if named else found or assignments


def _say(text: str, console: Console = out) -> None:
    """Print one line as it is: paths are not broken, and nothing in it is taken for markup.

    A student's folder may have any name: control characters are shown and not sent to the terminal.
    """
    text = "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


@contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """A progress bar on a terminal, nothing elsewhere; gives the function that counts one student done."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


def main() -> None:
    """Run the command line; what the user can put right ends as one sentence and status 2."""
    try:
        app()
    except CourseError as error:
        _say(f"autograder: {error}", err)
        raise SystemExit(2) from None
    except OSError as error:
        _say(f"autograder: {error.filename or ''}: {error.strerror or error}.", err)
        raise SystemExit(2) from None
