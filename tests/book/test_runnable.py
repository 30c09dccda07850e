"""Cells that run in the page: in a small book of its own, with Pyodide's core and pure Python."""

import ast
import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jupytext
import numpy as np
import pytest
import yaml

ROOT = Path(__file__).parents[2]
ASSETS = ROOT / "_build/assets"
JUPYTER_BOOK = Path(sys.executable).with_name("jupyter-book")
PAGES = sorted((ROOT / "book").rglob("*.md"))

PAGE = """---
jupytext:
  text_representation: {extension: .md, format_name: myst}
kernelspec: {display_name: Python 3, language: python, name: python3}
---

# A page

```{code-cell} ipython3
:tags: [runnable]

def square(number: int) -> int:
    # a comment
    return number * number

print("printed when built:", square(7))
```

```{code-cell} ipython3
print("cannot be changed")
```

```{code-cell} ipython3
:tags: [runnable]

print("shared:", square(8))
```
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A book with this book's configuration: a page of pure Python, one that imports NumPy, which was not
    fetched, and one that imports a package that was."""
    if not (ASSETS / "vendor/pyscript/core.js").is_file():
        pytest.skip("PyScript and Pyodide were not fetched: run `python -m book.vendor.fetch`")
    folder = tmp_path_factory.mktemp("runnable")
    shutil.copytree(ASSETS, folder / "_build/assets", ignore=shutil.ignore_patterns("numpy*"))
    for path in ("_config.yml", "book/references.bib", "book/redirects.txt"):
        (folder / path).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / path, folder / path)
    for path in ("book/_ext", "book/_static", "book/_templates"):
        shutil.copytree(ROOT / path, folder / path)
    (folder / "_toc.yml").write_text(
        "format: jb-book\nroot: page\nchapters:\n- file: arrays\n- file: fetched\n"
    )
    pages = {"page": PAGE} | {
        name: PAGE.replace("def square", f"import {package}\n\ndef square")
        for name, package in [("arrays", "numpy"), ("fetched", "six")]
    }
    for name, text in pages.items():
        (folder / f"{name}.md").write_text(text)
    vendor = folder / "_build/assets/vendor/pyodide"
    lock = json.loads((vendor / "pyodide-lock.json").read_text())["packages"]
    (vendor / lock["six"]["file_name"]).write_bytes(b"stands for a wheel that was fetched")

    command = [JUPYTER_BOOK, "build", ".", "-W", "--keep-going", "--all"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "arrays: no button to run cells in the page, not fetched: the numpy wheel" in done.stdout
    return folder


@pytest.fixture
def opened(project, serve, browser):
    """The page of pure Python, open at the size of a telephone and in the dark, and what it asked for."""
    context = browser.new_context(viewport={"width": 375, "height": 800}, color_scheme="dark")
    page = context.new_page()
    page.asked, page.errors = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(serve(project / "_build/html") + "page.html", wait_until="networkidle")
    yield page
    context.close()


def test_cells_run_in_the_page_and_share_names(opened):
    button = opened.get_by_role("button", name="Run the code in this page")
    assert not [url for url in opened.asked if "/vendor/py" in url]
    assert opened.get_by_text("printed when built: 49").is_visible()

    button.click()
    first, second = (opened.get_by_role("button", name=f"Run cell {number}") for number in (1, 2))
    first.wait_for()
    opened.wait_for_function("document.activeElement.matches('.py-editor-run-button')")
    assert opened.get_by_text("printed when built: 49").is_visible()  # until the cell is run here
    assert opened.locator(".py-editor-box").count() == 2
    assert not [url for url in opened.asked if "/vendor/pyodide/" in url]

    code = opened.get_by_role("textbox", name="Code of cell 1")
    assert code.inner_text().startswith("def square(number: int)")
    for _ in range(50):
        opened.keyboard.press("Shift+Tab")
        if code.evaluate("code => code.getRootNode().activeElement === code"):
            break
    opened.keyboard.press("Control+End")
    opened.keyboard.press("Enter")
    opened.keyboard.type('print("typed here")')
    opened.keyboard.press("Shift+Enter")

    output = opened.get_by_role("status", name="Output of cell 1")
    opened.wait_for_function(
        "document.querySelector('.py-editor-output').innerText.includes('typed here')",
        timeout=30_000,
    )
    assert "printed when built: 49" in output.inner_text()
    assert not opened.locator(".cell_output").first.is_visible()

    second.click()
    opened.get_by_role("status", name="Output of cell 2").get_by_text("shared: 64").wait_for()
    assert not opened.errors

    own = re.match(r"https?://[^/]+", opened.url)[0]
    assert all(url.startswith((own, f"blob:{own}", "data:")) for url in opened.asked)


def test_editors_are_named_visible_and_can_be_left(opened):
    opened.get_by_role("button", name="Run the code in this page").click()
    run = opened.get_by_role("button", name="Run cell 2")
    run.wait_for()
    box = run.bounding_box()
    assert run.evaluate("run => getComputedStyle(run).opacity") == "1"
    assert box["width"] >= 24 and box["height"] >= 24

    opened.get_by_role("textbox", name="Code of cell 1").focus()
    opened.keyboard.press("Escape")
    opened.keyboard.press("Tab")
    assert opened.evaluate("document.activeElement.getAttribute('aria-label')") == "Run cell 1"
    assert opened.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "3px"
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")

    axe = ROOT / "_build/npm/node_modules/axe-core/axe.min.js"
    opened.evaluate(axe.read_text(encoding="utf-8"))
    found = opened.evaluate("axe.run('.runnable-page .cell, .runnable-offer')")
    assert {v["id"]: [n["html"] for n in v["nodes"]] for v in found["violations"]} == {}
    assert found["passes"]


def test_the_button_is_absent_without_what_the_cells_need(project, browser, serve):
    """Here the NumPy wheel; then, for a page of pure Python, the interpreter."""
    text = (project / "_build/html/arrays.html").read_text()
    assert "runnable.js" not in text and "printed when built: 49" in text
    assert "runnable.js" in (project / "_build/html/page.html").read_text()

    page = browser.new_context().new_page()
    page.goto((project / "_build/html/page.html").as_uri())  # opened from disk: no modules there
    assert page.get_by_text("printed when built: 49").is_visible()
    assert page.locator(".runnable-offer").count() == 0
    page.context.close()


def test_a_fetched_wheel_brings_the_button(project):
    """Whether there is one is decided by the file that Pyodide's lock names; its hash, when fetched."""
    text = (project / "_build/html/fetched.html").read_text()
    script = re.search(r"<script[^>]*runnable\.js[^>]*>", text)
    assert script and 'data-packages="six"' in script[0]


def test_a_wheel_with_another_hash_is_refused(tmp_path, monkeypatch):
    from book.vendor import fetch

    content = b"the right bytes"
    (tmp_path / "npm/pyodide").mkdir(parents=True)
    (tmp_path / "npm/pyodide/package.json").write_text('{"version": "1"}')
    (tmp_path / "vendor/pyodide").mkdir(parents=True)
    package = {"file_name": "numpy-1.whl", "sha256": hashlib.sha256(content).hexdigest()}
    (tmp_path / "vendor/pyodide/pyodide-lock.json").write_text(
        json.dumps({"packages": {"numpy": package}})
    )
    monkeypatch.setattr(fetch, "MODULES", tmp_path / "npm")
    monkeypatch.setattr(fetch, "VENDOR", tmp_path / "vendor")
    address = tmp_path.as_uri() + "/{version}-{file}"

    (tmp_path / "1-numpy-1.whl").write_bytes(content + b" and more")
    with pytest.raises(fetch.NotFetched, match="not that of Pyodide's lock"):
        fetch.fetch_wheel("numpy", address)
    (tmp_path / "1-numpy-1.whl").unlink()
    with pytest.raises(fetch.NotFetched, match="numpy wheel"):
        fetch.fetch_wheel("numpy", address)
    assert not list((tmp_path / "vendor/pyodide").glob("*.whl"))

    (tmp_path / "1-numpy-1.whl").write_bytes(content)
    assert fetch.fetch_wheel("numpy", address).read_bytes() == content
    (tmp_path / "1-numpy-1.whl").unlink()
    assert fetch.fetch_wheel("numpy", address).is_file()  # there already


def test_the_lock_names_no_registry():
    lock = json.loads((ROOT / "book/vendor/package-lock.json").read_text())["packages"]
    assert not [name for name, package in lock.items() if "resolved" in package]
    assert all("integrity" in package for name, package in lock.items() if name)


def runnable_cells(page: Path) -> list[str]:
    cells = jupytext.read(page, fmt="md:myst").cells
    return [cell.source for cell in cells if "runnable" in cell.metadata.get("tags", [])]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_books_runnable_cells_need_numpy_only_and_print_what_they_show(page):
    """In the page they run without the page's other cells, and the value of a last line is not shown."""
    names: dict = {}
    for source in runnable_cells(page):
        tree = ast.parse(source)
        imported = {
            alias.name.split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for alias in (
                [ast.alias(node.module)] if isinstance(node, ast.ImportFrom) else node.names
            )
        }
        assert imported <= {"numpy"} | sys.stdlib_module_names
        last = tree.body[-1]
        assert not isinstance(last, ast.Expr) or isinstance(last.value, ast.Call), source
        exec(source, names)  # one after another, alone
    assert names.get("np", np) is np


def test_the_configuration_names_the_files_that_exist():
    config = yaml.safe_load((ROOT / "_config.yml").read_text())["sphinx"]["config"]
    assert all((ROOT / "book/_static" / name).is_file() for name in config["html_css_files"])
