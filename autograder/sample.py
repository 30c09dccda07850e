"""A sample class: hand-ins of every kind a class brings, made from the release, the bank and the checks."""

import ast
import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from autograder.assignment import Assignment, flag, grade_id

Programs = dict[str, str]  # the text handed in for each question, by its name

SIZE = 32

# What students try, or do by accident, besides answering: put before an unsolved notebook's first cell
# or into its last question.
ACCIDENTS_AND_TRICKS = {
    "raises-on-import": "import a_package_nobody_has",
    "endless-loop": "while True:\n    pass",
    "prints-a-score": 'print("10/10 points, all checks passed")\n{"score": 1.0}',
    "redefines-allclose": (
        "import builtins\nimport numpy as np\nimport torch\n"
        "always = lambda *args, **kwargs: True\n"
        "np.allclose = np.array_equal = np.isclose = torch.allclose = torch.equal = always\n"
        "np.testing.assert_allclose = builtins.all = always\n"
        "def check(*args, **kwargs):\n    return True\n"
        "AssertionError = type('Quiet', (Exception,), {})"
    ),
}


def write_class(assignment: Assignment) -> int:
    """Write the sample hand-ins under `submitted/`; returns how many. The same each time."""
    class_ = sample_class(assignment)
    for student in class_:
        folder = assignment.course.step("submitted") / student / assignment.name
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in hand_in(assignment, class_, student).items():
            path = folder / name
            if not path.exists() or path.read_bytes() != content:
                path.write_bytes(content)
    return len(class_)


def hand_in(assignment: Assignment, class_: dict[str, str], student: str) -> dict[str, bytes]:
    """What a student of the sample class hands in, by file: the notebook and, with right answers, artefacts."""
    files = {f"{assignment.notebook}.ipynb": class_[student].encode()}
    if student.startswith("right-"):
        files |= {
            a.name: (bank(assignment) / a.name).read_bytes() for a in assignment.paper.artefacts
        }
    return files


def is_sample(assignment: Assignment) -> bool:
    """Whether every hand-in of the class is, byte for byte, the sample class's."""
    sample = sample_class(assignment) if bank(assignment).is_dir() else {}
    return all(
        student in sample and _holds(folder, hand_in(assignment, sample, student))
        for student, folder in assignment.course.hand_ins(assignment.name).items()
    )


def _holds(folder: Path, files: dict[str, bytes]) -> bool:
    """Whether a folder holds these files and no others."""
    return {path.name for path in folder.iterdir()} == files.keys() and all(
        (folder / name).read_bytes() == content for name, content in files.items()
    )


def sample_class(assignment: Assignment) -> dict[str, str]:
    """The hand-ins by student: right in several styles, every misconception once, accidents, tricks."""
    written = {
        str(grade_id(cell)): "An answer of the sample class, to be graded by hand."
        for cell in assignment.released.cells
        if flag(cell, "grade") and flag(cell, "solution")
    }
    styles = {
        path.stem: bank_programs(assignment, path) | written
        for path in sorted(bank(assignment).glob("right/*.py"))
    }
    right = next(iter(styles.values()))
    class_ = {
        f"right-{style}": _text(solve(assignment, programs)) for style, programs in styles.items()
    }
    class_["right-from-colab"] = json.dumps(as_colab(solve(assignment, right)))
    class_["right-from-vscode"] = json.dumps(as_vscode(solve(assignment, right)), indent=1)
    for number, programs in enumerate(mistaken(assignment), 1):
        class_[f"mistaken-{number:02d}"] = _text(solve(assignment, right | programs))
    class_["blank"] = _text(solve(assignment, {}))
    for name, source in ACCIDENTS_AND_TRICKS.items():
        class_[name] = _text(put_first(solve(assignment, {}), source))
    questions = list(assignment.questions)
    for number in range(max(0, SIZE - len(class_))):
        done = questions[: number % len(questions)]
        class_[f"half-way-{number + 1:02d}"] = _text(
            solve(assignment, {name: right[name] for name in done})
        )
    return class_


def bank(assignment: Assignment) -> Path:
    """The bank of programs of an assignment."""
    return assignment.course.root / "tests" / "bank" / assignment.name


def bank_programs(assignment: Assignment, path: Path) -> Programs:
    """The programs of one file of the bank: each question's definition, with the imports and helpers before it."""
    text = path.read_text()
    names = {node: getattr(node, "name", None) for node in ast.parse(text).body}
    shared = [
        _segment(text, node) for node, name in names.items() if name not in assignment.questions
    ]
    return {
        name: "\n".join([*shared, _segment(text, node)])
        for node, name in names.items()
        if name in assignment.questions
    }


def _segment(text: str, node: ast.stmt) -> str:
    """A statement's text, with its decorators."""
    if decorators := getattr(node, "decorator_list", []):
        return "\n".join(text.splitlines()[decorators[0].lineno - 1 : node.end_lineno])
    return ast.get_source_segment(text, node) or ""


def mistaken(assignment: Assignment) -> list[Programs]:
    """As few students as hold every misconception of every question once."""
    questions = assignment.questions.values()
    most = max((len(question.misconceptions) for question in questions), default=0)
    return [
        {q.name: q.misconceptions[i].source(q.name) for q in questions if i < len(q.misconceptions)}
        for i in range(most)
    ]


def solve(assignment: Assignment, programs: Programs) -> NotebookNode:
    """The released notebook with the given programs in its solution cells."""
    notebook = deepcopy(assignment.released)
    for cell in notebook.cells:
        if flag(cell, "solution") and grade_id(cell) in programs:
            cell.source = programs[str(grade_id(cell))]
    return notebook


def put_first(notebook: NotebookNode, source: str) -> NotebookNode:
    """The notebook with one more code cell in front."""
    notebook.cells.insert(0, nbformat.v4.new_code_cell(source, id="added-first"))
    return notebook


def _text(notebook: NotebookNode) -> str:
    return nbformat.writes(notebook)


def as_colab(notebook: NotebookNode) -> dict[str, Any]:
    """The same notebook as Colab saves it: format 4.0, its own metadata, the user's name in every cell."""
    cells = []
    for number, cell in enumerate(notebook.cells):
        metadata = {**cell.metadata, "id": cell.id}
        saved = {
            "cell_type": cell.cell_type,
            "source": cell.source.splitlines(keepends=True),
            "metadata": metadata,
        }
        if cell.cell_type == "code":
            metadata |= {
                "executionInfo": {
                    "status": "ok",
                    "timestamp": 1700000000000 + number,
                    "user_tz": -60,
                    "user": {"displayName": "Ada Example", "userId": "01234567890123456789"},
                    "elapsed": 3,
                },
                "outputId": f"output-{number}",
                "colab": {"base_uri": "https://localhost:8080/", "height": 34},
            }
            saved |= {"execution_count": number, "outputs": []}
        cells.append(saved)
    colab = {"provenance": [], "toc_visible": True, "collapsed_sections": [], "gpuType": "T4"}
    return {
        "nbformat": 4,
        "nbformat_minor": 0,
        "metadata": {
            "colab": colab,
            "accelerator": "GPU",
            "kernelspec": {"name": "python3", "display_name": "Python 3"},
            "language_info": {"name": "python"},
        },
        "cells": cells,
    }


def as_vscode(notebook: NotebookNode) -> dict[str, Any]:
    """The same notebook as VS Code saves it: format 4.2, no cell ids, the interpreter in the metadata."""
    cells = []
    for number, cell in enumerate(notebook.cells):
        saved = {
            "cell_type": cell.cell_type,
            "metadata": {
                key: value for key, value in cell.metadata.items() if key in ("id", "nbgrader")
            },
            "source": cell.source.splitlines(keepends=True),
        }
        if cell.cell_type == "code":
            saved["metadata"]["vscode"] = {"languageId": "python"}
            saved |= {"execution_count": number, "outputs": []}
        cells.append(saved)
    language = {
        "codemirror_mode": {"name": "ipython", "version": 3},
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
        "nbconvert_exporter": "python",
        "pygments_lexer": "ipython3",
        "version": "3.11.9",
    }
    kernel = {"display_name": "attention", "language": "python", "name": "python3"}
    return {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "language_info": language, "orig_nbformat": 4},
        "nbformat": 4,
        "nbformat_minor": 2,
    }
