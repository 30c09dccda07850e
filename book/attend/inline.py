"""HTML that carries its style sheets and scripts along, so that a figure works wherever it is shown.

In Colab, JupyterLab or a saved notebook nothing else is there to serve them. The book takes them out
again and serves each file once (`book/_ext/attend_figures.py`), which is what `data-attend` is for.
"""

from functools import cache
from pathlib import Path


@cache
def _tag(name: str) -> str:
    text = Path(__file__).with_name(name).read_text(encoding="utf-8")
    tag = "style" if name.endswith(".css") else "script"
    return f'<{tag} data-attend="{name}">\n{text}</{tag}>'


def with_files(html: str, *names: str) -> str:
    """The HTML between the style sheets and the scripts of this package that it needs."""
    before = [_tag(name) for name in names if name.endswith(".css")]
    after = [_tag(name) for name in names if name.endswith(".js")]
    return "\n".join([*before, html, *after])
