"""Minutes to read and to run and the versions in the footer are what was counted and measured."""

import pickle
import re
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest
from docutils import nodes
from docutils.utils import new_document

from book._ext import page_facts

ROOT = Path(__file__).parents[2]

CONF = f"""
import sys
sys.path.insert(0, {str(ROOT / "book/_ext")!r})
extensions = ["myst_nb", "page_facts"]
nb_execution_mode = "cache"
nb_execution_cache_path = "cache"
nb_execution_raise_on_error = True
html_theme = "sphinx_book_theme"
html_static_path = [{str(ROOT / "book/_static")!r}]
html_theme_options = {{"repository_url": "https://github.com/a/b"}}
"""

PAGE = """---
jupytext:
  text_representation: {extension: .md, format_name: myst}
kernelspec: {display_name: Python 3, name: python3}
---

# A page

```{code-cell}
import time

time.sleep(2.2)
print("executed", time.time_ns())
```
"""


def document(*children: nodes.Node) -> nodes.document:
    page = new_document("page")
    page += children
    return page


@pytest.mark.parametrize(
    ("page", "seconds"),
    [
        (document(nodes.paragraph("", "word " * 300)), 90),
        (document(nodes.math_block("", r"a \\ b c")), 20),
        (document(nodes.figure("", nodes.image(uri="a.png", alt="two words"))), 20),
        (document(nodes.literal_block("", "a = 1\n\nb = 2\n")), 6),
        (
            document(
                nodes.container(
                    "", nodes.literal_block("", "a = 1"), classes=["cell", "tag_hide-input"]
                )
            ),
            0,
        ),
    ],
    ids=["prose", "formula", "figure", "code", "folded code"],
)
def test_reading_is_counted_by_the_rule_that_the_page_states(page, seconds):
    assert page_facts.seconds_to_read(page) == pytest.approx(seconds)
    for number in (200, 20, 3):
        assert re.search(rf"\b{number} (words|seconds)", page_facts.RULE)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.3, "1 second"), (8.2, "9 seconds"), (60, "1 minute"), (61, "2 minutes")],
)
def test_a_duration_is_rounded_up(seconds, words):
    assert page_facts.duration(seconds) == words


def facts(html: str) -> tuple[str, str]:
    """What a page says below its title and in its footer."""
    below = re.search(r'</h1>\s*<details class="page-facts"><summary>(.*?)</summary>', html)
    footer = re.search(r'<p class="last-executed">(.*?)</p>', html)
    return below and below[1], footer and re.sub("<.*?>", "", footer[1])


def build(project: Path, conf: str = CONF) -> tuple[str, str]:
    """Build the page; its text and what it says in numbers."""
    (project / "conf.py").write_text(conf)
    (project / "index.md").write_text("# Index\n\n```{toctree}\npage\n```\n")
    (project / "page.md").write_text(PAGE)
    command = [sys.executable, "-m", "sphinx", "-q", "-E", "-b", "html", ".", "html"]
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    html = (project / "html/page.html").read_text()
    return re.search(r"executed (\d+)", html)[1], facts(html)


def test_running_is_measured_once_and_again_when_a_version_changes(tmp_path):
    first, (below, footer) = build(tmp_path)
    assert 3 <= int(re.fullmatch(r"1 minute to read · (\d+) seconds to run", below)[1]) <= 20
    day = datetime.now(UTC).date().isoformat()
    packages = {"NumPy": "numpy", "PyTorch": "torch", "Matplotlib": "matplotlib"}
    numbers = ", ".join(f"{name} {version(it).split('+')[0]}" for name, it in packages.items())
    assert footer == f"Last executed {day} with Python {sys.version.split()[0]}, {numbers}."
    assert facts((tmp_path / "html/index.html").read_text()) == (None, None)

    assert build(tmp_path) == (
        first,
        (below, footer),
    )  # from the cache: the same run, the same numbers

    changed = 'import page_facts\npage_facts.PACKAGES = {"NumPy": "docutils"}\n'
    second, (_, footer) = build(tmp_path, CONF + changed)
    assert second != first
    assert footer.endswith(f"NumPy {version('docutils')}.")


def test_every_page_of_the_site_says_what_its_own_record_says(site):
    pickled = site.parent / ".doctrees/environment.pickle"
    if not pickled.is_file():
        pytest.skip(f"{site} was built elsewhere: no record of its execution")
    environment = pickle.loads(pickled.read_bytes())
    used = ", ".join(f"{name} {number}" for name, number in page_facts.versions().items())
    executed = 0
    for page in sorted(environment.found_docs):
        below, footer = facts((site / f"{page}.html").read_text())
        record = environment.nb_metadata.get(page, {}).get("exec_data")
        if page == "book/index" or page.startswith("exercises/"):
            assert (below, footer) == (None, None)
        elif record:
            executed += 1
            assert below.endswith(f" · {page_facts.duration(record['runtime'])} to run")
            day = datetime.fromtimestamp(record["mtime"], UTC).date()
            assert footer == f"Last executed {day} with {used}."
        else:
            assert re.fullmatch(r"\d+ minutes? to read", below) and footer is None
    assert executed >= 2
