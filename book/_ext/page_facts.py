"""What a page costs its reader, measured: minutes to read, time to run, and with which versions it ran.

Reading time is counted by the rule below, which stands on every page. Running time and date are those of
the page's last execution, kept with its outputs in the cache. The versions are too: the cache's folder is
named after them, so that a page runs again when one changes.
"""

import platform
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from math import ceil
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging

logger = logging.getLogger(__name__)

WORDS_A_MINUTE, SECONDS_A_FIGURE, SECONDS_A_LINE = 200, 20, 3
RULE = (
    f"Reading is counted: prose at {WORDS_A_MINUTE} words a minute, {SECONDS_A_FIGURE} seconds for each displayed "
    f"formula and figure, {SECONDS_A_LINE} seconds for each line of code that is not folded away. Running is measured: "
    "the last execution of all cells, on the machine that built this page."
)
FOLDED = {"tag_hide-input", "tag_hide-cell", "tag_remove-input", "tag_remove-cell"}
PACKAGES = {"NumPy": "numpy", "PyTorch": "torch", "Matplotlib": "matplotlib"}


@cache
def versions() -> dict[str, str]:
    """What executes the pages: name -> version, without the build's suffix (`+cpu`)."""
    packages = {name: version(package).partition("+")[0] for name, package in PACKAGES.items()}
    return {"Python": platform.python_version(), **packages}


def key_on_versions(app: Sphinx, config: Config) -> None:
    """Keep what was executed with these versions apart from what was executed with others."""
    digest = sha256(repr(versions()).encode()).hexdigest()[:12]
    config.nb_execution_cache_path = f"{config.nb_execution_cache_path}-{digest}"


def is_within(node: nodes.Node, *kinds: type[nodes.Element]) -> bool:
    """Whether a node stands inside an element of one of these kinds."""
    while node := node.parent:
        if isinstance(node, kinds):
            return True
    return False


def seconds_to_read(doctree: nodes.document) -> float:
    """How long the page takes to read, by the rule above."""
    unread = (nodes.literal_block, nodes.math_block, nodes.Invisible, nodes.raw)
    words = sum(
        len(text.split()) for text in doctree.findall(nodes.Text) if not is_within(text, *unread)
    )
    figures = sum(1 for _ in doctree.findall(nodes.math_block)) + sum(
        1 for _ in doctree.findall(nodes.image)
    )
    folded = [cell for cell in doctree.findall(nodes.container) if FOLDED & set(cell["classes"])]
    hidden = {id(block) for cell in folded for block in cell.findall(nodes.literal_block)}
    lines = sum(
        len([line for line in block.astext().splitlines() if line.strip()])
        for block in doctree.findall(nodes.literal_block)
        if id(block) not in hidden
    )
    return words * 60 / WORDS_A_MINUTE + figures * SECONDS_A_FIGURE + lines * SECONDS_A_LINE


def duration(seconds: float) -> str:
    """Seconds in words, rounded up: nobody minds being done sooner."""
    unit, count = ("second", ceil(seconds)) if seconds < 60 else ("minute", ceil(seconds / 60))
    return f"{count} {unit}" + "s" * (count != 1)


def execution_of(app: Sphinx, page: str) -> dict[str, Any] | None:
    """The record of the page's last execution; None where no cell was executed."""
    return (
        app.env.nb_metadata.get(page, {}).get("exec_data")
        if hasattr(app.env, "nb_metadata")
        else None
    )


def check_kernel(app: Sphinx, page: str) -> None:
    """Warn where a kernel of another Python executed the page: its versions are not ours."""
    executed_by = app.env.metadata[page].get("language_info", {}).get("version")
    if executed_by not in (None, platform.python_version()):
        logger.warning(
            "executed by Python %s, but the book is built by Python %s: its versions are not known",
            executed_by,
            platform.python_version(),
            location=page,
            type="page_facts",
        )


def show_facts(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """Write the times under the page's title and the versions into its footer."""
    is_notebook = "kernelspec" in app.env.metadata.get(page, {})
    execution = execution_of(app, page)
    if doctree is None or page == app.config.root_doc or (is_notebook and not execution):
        return  # generated pages, the index, and exercises, which take as long as they are hard
    facts = f"{duration(max(60, seconds_to_read(doctree)))} to read"
    if execution:
        check_kernel(app, page)
        facts += f" · {duration(execution['runtime'])} to run"
        day = datetime.fromtimestamp(execution["mtime"], UTC).date().isoformat()
        used = ", ".join(f"{name} {number}" for name, number in versions().items())
        context["theme_extra_footer"] = (context.get("theme_extra_footer") or "") + (
            f'<p class="last-executed">Last executed <time datetime="{day}">{day}</time> with {used}.</p>'
        )
    context["body"] = context["body"].replace(
        "</h1>",
        f'</h1>\n<details class="page-facts"><summary>{facts}</summary>\n<p>{RULE}</p></details>',
        1,
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the measuring with Sphinx."""
    app.connect("config-inited", key_on_versions, priority=600)  # behind the choice of the cache
    app.connect("html-page-context", show_facts, priority=600)
    app.add_css_file("page_facts.css")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
