"""Gather what is published for students: the site, the exercises and the package `attend`.

    python -m book.publish FOLDER       gather it there, from the built book
    python -m book.publish --address    say which repository the book's links lead to

Nothing else of this repository gets there, so that a school can keep solutions and checks private; what
was gathered is searched for them before the command ends well.
"""

import html
import re
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import nbformat
import typer
import yaml
from flit_core.wheel import make_wheel_in

from book._ext.published_branch import WHEEL

ROOT = Path(__file__).parents[1]
PRIVATE = ("autograder", "solutions", "tests")
LITTER = (".*", "__pycache__")
HELD_OUT = "autograder/checks/**/*.txt"  # texts that students' models are measured on
RUN = 60  # characters of one, blanks not counted, that are no coincidence
SOLUTION = re.compile(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", flags=re.S)


class PublishError(Exception):
    """Why nothing may be published; the text is for whoever runs the command."""


def address(root: Path = ROOT) -> str:
    """The course's one address."""
    return yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"]


def build_wheel(root: Path, folder: Path) -> None:
    """Pack `attend` alone: the repository's own package holds the grader too."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name, version, *_ = WHEEL.split("-")
    with tempfile.TemporaryDirectory() as workplace:
        shutil.copytree(
            root / "book" / name, Path(workplace, name), ignore=shutil.ignore_patterns(*LITTER)
        )
        for licence in project["license-files"]:
            shutil.copy(root / licence, workplace)
        metadata = f"""
            [build-system]
            requires = ["flit_core"]
            build-backend = "flit_core.buildapi"
            [project]
            name = "{name}"
            version = "{version}"
            description = "What the pages of a course on attention build"
            license = "{project["license"]}"
            license-files = {project["license-files"]}
            requires-python = "{project["requires-python"]}"
            dependencies = {project["dependencies"]}
            """
        Path(workplace, "pyproject.toml").write_text(metadata, encoding="utf-8")
        built = make_wheel_in(Path(workplace, "pyproject.toml"), folder).file
    if built.name != WHEEL:
        raise PublishError(f"the wheel is called {built.name}; the pages install {WHEEL}")


def text_of(path: Path) -> str:
    """What a published file says, without blanks and markup; nothing for pictures and fonts."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""
    if path.suffix == ".ipynb":
        text = "\n".join(cell.source for cell in nbformat.reads(text, as_version=4).cells)
    elif path.suffix == ".html":
        text = html.unescape(re.sub(r"<[^>]*>", "", text))
    return "".join(text.split())


def secrets(source: str) -> Iterator[str]:
    """The solutions of an assignment without blanks, but for what its statement gives as well."""
    told = "".join(SOLUTION.sub("", source).split())
    for solution in SOLUTION.findall(source):
        text = "".join(solution.split())
        if text not in told:  # a listing to be mended may be right in parts
            yield text


def runs(text: str) -> Iterator[str]:
    """A held-out text in pieces without blanks, but for those that are mostly rules and other markup."""
    bare = "".join(text.split())
    pieces = (bare[start : start + RUN] for start in range(0, len(bare) - RUN + 1, RUN))
    return (piece for piece in pieces if len(set(piece)) > 10)


def leaks(root: Path, folder: Path) -> Iterator[str]:
    """A sentence for each published file that holds a solution or a held-out text, or copies a private file."""
    private = {
        path.read_bytes(): path.relative_to(root)
        for part in PRIVATE
        for path in (root / part).rglob("*")
        if path.is_file() and path.stat().st_size
    }
    solutions = {
        solution: source.relative_to(root)
        for source in (root / "solutions").rglob("*.md")
        for solution in secrets(source.read_text(encoding="utf-8"))
    }
    held_out = {
        piece: source.relative_to(root)
        for source in root.glob(HELD_OUT)
        for piece in runs(source.read_text(encoding="utf-8"))
    }
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        if (original := private.get(path.read_bytes())) is not None:
            yield f"{path.relative_to(folder)} is a copy of {original}"
        text = text_of(path)
        for solution, source in solutions.items():
            if solution in text:
                yield f"{path.relative_to(folder)} holds a solution of {source}"
        if (piece := next((piece for piece in held_out if piece in text), None)) is not None:
            yield f"{path.relative_to(folder)} holds a part of {held_out[piece]}"


def publish(root: Path, site: Path, folder: Path) -> None:
    """Fill an empty folder with what is published."""
    if not (site / "index.html").is_file():
        raise PublishError(f"no book in {site}: build it first (`make book`)")
    if folder.exists() and any(folder.iterdir()):
        raise PublishError(f"{folder} is not empty: what is published must be this and no more")
    for source, target in ((site, folder), (root / "exercises", folder / "exercises")):
        shutil.copytree(source, target, ignore=shutil.ignore_patterns(*LITTER), dirs_exist_ok=True)
    build_wheel(root, folder)
    for licence in ("LICENSE", "LICENSE-text"):
        shutil.copy(root / licence, folder)
    (folder / ".nojekyll").touch()  # GitHub Pages would leave out _static and _sources
    if found := list(leaks(root, folder)):
        raise PublishError("not fit to be published:\n  " + "\n  ".join(found))


def main(
    folder: Annotated[Path | None, typer.Argument(help="An empty or a new folder.")] = None,
    site: Annotated[Path, typer.Option(help="The built book.")] = ROOT / "_build" / "html",
    show_address: Annotated[bool, typer.Option("--address", help="Print it, no more.")] = False,
) -> None:
    """Gather what is published for students."""
    if show_address:
        typer.echo(address())
    elif folder is None:
        raise typer.BadParameter("say which folder to fill")
    else:
        try:
            publish(ROOT, site, folder)
        except PublishError as error:
            sys.exit(f"publish: {error}")
        typer.echo(f"{folder} holds what may be published")


if __name__ == "__main__":
    typer.run(main)
