"""`python -m tests.benchmarks.page` writes docs/benchmarks.md from _build/bench.json.

The page carries its rows as JSON, so that a test can make it again without measuring.
"""

import json
import re
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from . import estimate
from .estimate import number
from .figures import FIGURES, ROOT, Row, from_data, read, to_text

PAGE = ROOT / "docs" / "benchmarks.md"
TEMPLATE = Path(__file__).with_name("benchmarks.md.j2")
DATA = re.compile(r"```json\n(.*?)```", re.DOTALL)


def render(rows: list[Row]) -> str:
    """The page of these rows."""
    by_name = {row.name: row for row in rows}
    values = {row.name: row.value for row in rows}
    missing = estimate.missing(values)
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {"number": number, "goal": goal, "spread": spread}
    return environment.from_string(TEMPLATE.read_text()).render(
        figures=FIGURES,
        rows=by_name,
        devices=list(dict.fromkeys(row.device for row in rows)),
        dates=sorted({row.date[:10] for row in rows}),
        estimate=estimate,
        missing=missing,
        lines=[] if missing else estimate.lines(values),
        values=values,
        data=to_text(rows),
    )


def goal(figure) -> str:
    """The goal with its sign."""
    return f"{'≥' if figure.better == 'higher' else '≤'} {figure.goal:g}"


def spread(row: Row) -> str:
    """The lowest and the highest repeat."""
    return f"{number(row.spread[0])} to {number(row.spread[1])}" if row.spread else ""


def rows_of(page: str) -> list[Row]:
    """The rows that a page carries."""
    [data] = DATA.findall(page)
    return from_data(json.loads(data))


def main() -> None:
    """Write the page; it says of what was not measured that it was not."""
    PAGE.write_text(render(read()))


if __name__ == "__main__":
    main()
