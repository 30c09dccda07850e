"""Extract the library ``attend`` from the pages that teach it.

A code cell with the tag ``library`` is part of the module of its page. The page is the only source;
the modules are committed so that they can be read and imported without building the book.

    python -m book.extract_library            write the modules
    python -m book.extract_library --check    exit 1 where a committed module differs from its page
"""

from pathlib import Path
from typing import Annotated

import jupytext
import typer

BOOK = Path(__file__).parent

HEADER = '''"""Extracted from book/{page}, edit there.

Written anew by `python -m book.extract_library`.
"""
'''


def module_text(page: Path) -> str:
    """The source of the module that a page builds: its cells tagged ``library``, in order."""
    cells = [
        cell.source.strip()
        for cell in jupytext.read(page, fmt="md:myst").cells
        if cell.cell_type == "code" and "library" in cell.metadata.get("tags", [])
    ]
    imports, *definitions = cells
    return "\n\n\n".join([HEADER.format(page=page.name) + "\n" + imports, *definitions]) + "\n"


def pages(book: Path) -> dict[str, str]:
    """The module of attend -> the chapter that builds it: `multi_head` -> `05-multi-head.md`."""
    return {
        page.stem.partition("-")[2].replace("-", "_"): page.name
        for page in sorted(book.glob("[0-9][0-9]-*.md"))
    }


def stale_modules(book: Path) -> list[str]:
    """One sentence for each committed module that is not what its page says."""
    return [
        f"book/attend/{module}.py differs from book/{page}: run `python -m book.extract_library`."
        for module, page in pages(book).items()
        if not (path := book / "attend" / f"{module}.py").exists()
        or path.read_text(encoding="utf-8") != module_text(book / page)
    ]


def main(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; compare.")] = False,
    book: Annotated[Path, typer.Option(help="The folder of the pages.")] = BOOK,
) -> None:
    """Write the modules of attend from the pages, or compare them."""
    if check:
        for sentence in (stale := stale_modules(book)):
            typer.echo(sentence, err=True)
        raise typer.Exit(code=1 if stale else 0)
    for module, page in pages(book).items():
        path = book / "attend" / f"{module}.py"
        path.write_text(module_text(book / page), encoding="utf-8")
        typer.echo(f"wrote {path.relative_to(book.parent)}")


if __name__ == "__main__":
    typer.run(main)
