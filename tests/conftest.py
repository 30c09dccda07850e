"""What all tests share: Chromium where there is one, and a last word on what was absent.

A test that needs a system package of apt.txt asks for it through a fixture here, which skips it with
a reason that names the package; the last lines of `make test` list these tests.
"""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "test-results"
ABSENT = "the system package {} of apt.txt is absent"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--seeds N`: for how many students' inputs the assignments are tested."""
    parser.addoption("--seeds", type=int, default=3, help="students for tests/assignments")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium through Playwright; a test that asks for it is skipped where either is absent."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip(ABSENT.format("chromium"))
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="the Python package playwright is absent: run `make env`"
    )
    with playwright.sync_playwright() as started:
        # Chromium's own sandbox does not start for root or in most containers; only our pages are opened.
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[Any]:
    """A browser test that fails leaves a picture of every open page in test-results/."""
    report = yield
    browser = getattr(item, "funcargs", {}).get("browser")
    if browser and report.when == "call" and report.failed:
        PICTURES.mkdir(exist_ok=True)
        pages = [page for context in browser.contexts for page in context.pages]
        for number, page in enumerate(pages):
            with contextlib.suppress(
                Exception
            ):  # a page that hangs must not hide why the test failed
                page.screenshot(path=PICTURES / f"{item.name[:80].replace('/', '-')}-{number}.png")
    return report


def absent_packages() -> list[str]:
    """The packages of apt.txt that are neither a program here nor known to dpkg as installed."""
    return [name for name in (ROOT / "apt.txt").read_text().split() if not _present(name)]


def _present(package: str) -> bool:
    if shutil.which(package):
        return True
    dpkg = shutil.which("dpkg-query")
    if dpkg is None:
        return False
    asked = subprocess.run(
        [dpkg, "-W", "-f", "${Status}", package], capture_output=True, text=True, check=False
    )
    return asked.stdout.endswith("ok installed")


@pytest.hookimpl(wrapper=True, tryfirst=True)  # after everything else that is summed up
def pytest_terminal_summary(terminalreporter: Any) -> Iterator[None]:
    """Under pytest-xdist this runs in the controller only, which has every worker's reports."""
    yield
    absent = absent_packages()
    if not absent:
        terminalreporter.write_line("System packages of apt.txt: all there.")
    skipped = [
        (report.nodeid, str(report.longrepr))
        for report in terminalreporter.stats.get("skipped", [])
    ]
    for package in absent:
        tests = [test for test, reason in skipped if ABSENT.format(package) in reason]
        terminalreporter.write_line(
            f"System package {package} of apt.txt is absent; tests skipped for it: {len(tests)}"
        )
        for test in tests:
            terminalreporter.write_line(f"  {test}")
