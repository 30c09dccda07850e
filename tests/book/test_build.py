"""The build itself: a tiny book with this book's configuration, whole and then with one fault."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
JUPYTER_BOOK = Path(sys.executable).with_name("jupyter-book")

PAGE = """---
jupytext:
  text_representation: {extension: .md, format_name: myst}
kernelspec: {display_name: Python 3, language: python, name: python3}
---

# A page

![A grey square](square.svg)

```{code-cell} ipython3
---
mystnb:
  image: {alt: "A line that rises from left to right"}
---
import matplotlib.pyplot as plt

plt.plot([0, 1]);
```

```{code-cell} ipython3
from IPython.display import HTML

HTML('<img src="square.svg" alt="A grey square again">')
```

See [the notebook](notebook).
"""

# What is changed on the page, into what, and what the build must say of it.
FAULTS = {
    "an image without alternative text": (
        "![A grey square]",
        "![]",
        r"figure 1 \(square\.svg\) has no alternative text",
    ),
    "a cell's figure without alternative text": (
        "A line that rises from left to right",
        "",
        r"figure 2 \(\w+\.png\) has no alternative text",
    ),
    "an HTML image with a placeholder": (
        "A grey square again",
        "image",
        r"figure 3 \(square\.svg\) has no alternative text",
    ),
    "a failing cell": ("plt.plot([0, 1]);", "1 / 0", "ZeroDivisionError"),
    "a cell that writes to stderr": (
        "plt.plot([0, 1]);",
        "plt.plot([0, 1]); import sys; print('oh', file=sys.stderr)",
        "stderr",
    ),
    "a broken cross-reference": ("(notebook)", "(nowhere)", "cross-reference target not found"),
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A book of two pages that has this book's configuration and extensions."""
    for path in ("_config.yml", "book/references.bib", "book/redirects.txt"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    for folder in ("book/_ext", "book/_static", "book/_templates"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (tmp_path / "_toc.yml").write_text(
        "format: jb-book\nroot: page\nchapters:\n- file: notebook\n", encoding="utf-8"
    )
    (tmp_path / "square.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/>'
        "</svg>"
    )
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell("# A notebook", id="title")],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    nbformat.write(notebook, tmp_path / "notebook.ipynb")
    return tmp_path


def build(project: Path, page: str) -> subprocess.CompletedProcess:
    (project / "page.md").write_text(page, encoding="utf-8")
    command = [JUPYTER_BOOK, "build", ".", "-W", "--keep-going"]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


def test_the_book_without_a_fault_is_built(project):
    result = build(project, PAGE)
    assert result.returncode == 0, result.stdout + result.stderr

    pages = {path.stem: path.read_text() for path in project.glob("_build/html/*.html")}
    assert 'alt="A line that rises from left to right"' in pages["page"]

    # Theme repairs: no broken script, no dead button, the course's style sheet.
    assert not re.search(r"<script[^>]*thebe[^>]*\.js|THEBE_JS_URL", pages["page"])
    colab = r"colab\.research\.google\.com[^\"]+/gh-pages/"
    assert re.search(colab + r"_sources/page\.ipynb", pages["page"])
    assert re.search(colab + r"notebook\.ipynb", pages["notebook"])
    assert "course.css" in pages["page"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_fails_the_build(project, fault):
    right, wrong, complaint = FAULTS[fault]
    assert PAGE.count(right) == 1
    result = build(project, PAGE.replace(right, wrong))
    assert result.returncode != 0
    assert re.search(complaint, result.stdout + result.stderr)


def test_a_page_is_executed_again_when_the_library_changes(project):
    module = project / "book" / "attend" / "word.py"
    module.parent.mkdir()
    page = re.sub(
        r"import matplotlib.*?```", f"print(open({str(module)!r}).read())\n```", PAGE, flags=re.S
    )
    for word in ("before", "after"):
        module.write_text(word)
        result = build(project, page)
        assert result.returncode == 0, result.stdout + result.stderr
        assert f"{word}\n" in (project / "_build/html/page.html").read_text()
