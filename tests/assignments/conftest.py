"""One thread and bounded memory, as a student's process has; `--seeds N` says for how many students to test."""

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from .programs import ASSIGNMENTS, module_of

MEMORY = 6_000_000_000  # a forbidden matrix must not fill the machine


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
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the grader; many tiny calls on many threads mostly wait
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True, scope="module")
def bounded_memory() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)
