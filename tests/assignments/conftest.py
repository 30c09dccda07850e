"""One thread and bounded memory, as a student's process has; `--seeds N` says for how many students to test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .programs import ASSIGNMENTS, confined, module_of


@pytest.fixture
def seeds(request: pytest.FixtureRequest) -> range:
    """The students' seeds: three of them, or as many as `--seeds` says."""
    return range(request.config.getoption("--seeds"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`-k 02-scores` selects test_scores.py too; a wrong program may overflow, and that is its mistake."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.filterwarnings("ignore::RuntimeWarning"))
            for name in ASSIGNMENTS:
                if item.path.stem == f"test_{module_of(name)}":
                    item.extra_keyword_matches.add(name)


@pytest.fixture(autouse=True, scope="module")
def as_a_student() -> Iterator[None]:
    with confined():
        yield
