"""formgrader in a real browser, as an instructor goes through it: every button it offers for grading."""

import contextlib
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from nbgrader.api import Gradebook

from autograder.assignment import Assignment
from autograder.sample import mistaken, solve

ROOT = Path(__file__).parents[2]
NAME = "02-scores"
WRITTEN = "choose_a_score"
ANSWER = "The scaled dot product."
COMMENT = "Which shapes decide that?"
SECONDS = 30
MATHJAX = "MathJax = {Hub: {Config() {}, Queue() {}, Startup: {signal: {Interest() {}}}}}"


class Server:
    """A Jupyter server on a course, ended with all it started."""

    def __init__(self, course, environment):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url, self.token = f"http://127.0.0.1:{port}", secrets.token_hex()
        settings = {
            "ServerApp.ip": "127.0.0.1",
            "ServerApp.port": port,
            "ServerApp.port_retries": 0,
            "ServerApp.root_dir": course.root,
            "IdentityProvider.token": self.token,
        }
        self.log = course.root / "server.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root"]
                + [f"--{name}={value}" for name, value in settings.items()],
                cwd=course.root,
                env={**environment, "AUTOGRADER_CLASS": str(course.class_folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self):
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{self.url}/api", timeout=1).close()
                return
            time.sleep(0.1)
        pytest.fail(f"the Jupyter server did not start:\n{self.log.read_text()}")

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def server(course, environment) -> Iterator[Server]:
    server = Server(course, environment)
    try:
        server.wait()
        yield server
    finally:
        server.close()


@pytest.fixture
def page(browser, request):
    """A page that fails the test on an error of our own, and is photographed when the test fails."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(SECONDS * 1000)
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    # Nothing far away is asked. nbgrader's pages load MathJax from there, and its manual view stumbles
    # where it is absent: it gets a stand-in that typesets nothing.
    page.route(
        re.compile("^https:"),
        lambda route: route.fulfill(content_type="text/javascript", body=MATHJAX),
    )
    yield page
    page.close()


@contextlib.contextmanager
def photographed(page, name):
    """A screenshot in test-results/ when what is inside fails."""
    try:
        yield
    except BaseException:
        folder = ROOT / "test-results"
        folder.mkdir(exist_ok=True)
        with contextlib.suppress(Exception):
            page.screenshot(path=folder / f"{name}.png", full_page=True)
        raise


def press(page, button):
    """Press one of formgrader's buttons, and expect its report of success; the report is closed."""
    page.click(button)
    title = page.locator(".modal.in .modal-title")
    title.wait_for()
    assert title.inner_text() == "Success", page.locator(".modal-body").inner_text()
    page.click(".modal.in .modal-footer button")
    page.locator(".modal").wait_for(state="detached")


def row(student):
    return f"tr:has(td.student-id:text-is('{student}'))"


def saved(course):
    """The written question's grade and comment in the gradebook."""
    with Gradebook(course.database_url, "attention") as gradebook:
        where = (WRITTEN, "scores", NAME, "ada")
        grade = gradebook.find_grade(*where)
        return grade.manual_score, grade.needs_manual_grade, gradebook.find_comment(*where).comment


def test_from_generate_to_feedback(course, assignment, hand_in, right, server, page):
    programs = right | mistaken(assignment)[0] | {WRITTEN: ANSWER}
    hand_in(assignment, "ada", solve(assignment, programs))
    hand_in(assignment, "blank", solve(assignment, {}))
    question = next(iter(Assignment(course, NAME).questions.values()))
    advice = question.misconceptions[0].sentence.replace("`", "")  # shown as code
    formgrader = f"{server.url}/formgrader"

    with photographed(page, "formgrader-generate"):
        assignment.release.unlink()
        page.goto(f"{formgrader}/manage_assignments?token={server.token}")
        press(page, f"tr:has-text('{NAME}') td.assign a")
        assert assignment.release.is_file()

    with photographed(page, "formgrader-autograde"):
        page.click(f"tr:has-text('{NAME}') td.num-submissions a")
        for student in ("ada", "blank"):
            page.locator(f"{row(student)} .status span:text-is('needs autograding')").wait_for()
            press(page, f"{row(student)} .autograde a")
        page.locator(f"{row('blank')} .status span:text-is('graded')").wait_for()
        page.locator(f"{row('ada')} .status span:text-is('needs manual grading')").wait_for()
        assert page.inner_text(f"{row('blank')} .score") == "0 / 30"
        score = float(page.inner_text(f"{row('ada')} .score").removesuffix(" / 30"))
        assert 0 < score < 13

    with photographed(page, "formgrader-manual"):
        page.click("text=Manual Grading")
        page.click(f"a:text-is('{NAME}')")
        page.click("a:text-is('scores')")
        page.locator("a.name-hidden").first.wait_for()
        page.click("#toggle_names")
        page.click("a.name-shown:text-is('ada')")
        verdict = page.get_by_label(f"Result of {question.title}")
        verdict.wait_for()
        assert advice in verdict.inner_text()
        assert verdict.locator("tbody tr").count() == len(question.aspects)
        verdict.locator("summary").click()
        assert verdict.locator("pre").first.is_visible()
        # formgrader marks both fields once it listens to them.
        page.locator(f"input#{WRITTEN}.needs_manual_grade").press_sequentially("2.5")
        page.locator(f"#{WRITTEN}-comment[placeholder]").press_sequentially(COMMENT)
        page.keyboard.press("Tab")
        deadline = time.monotonic() + SECONDS
        while saved(course) != (2.5, False, COMMENT) and time.monotonic() < deadline:
            page.wait_for_timeout(100)
        assert saved(course) == (2.5, False, COMMENT)

    with photographed(page, "formgrader-feedback"):
        page.goto(f"{formgrader}/manage_submissions/{NAME}")
        page.locator(f"{row('ada')} .status span:text-is('graded')").wait_for()
        assert page.inner_text(f"{row('ada')} .score") == f"{score + 2.5:g} / 30"
        press(page, f"{row('ada')} .generate-feedback a")
        page.goto((course.step("feedback") / "ada" / NAME / "scores.html").as_uri())
        assert f"{score + 2.5:g} of 30 points" in page.inner_text("header")
        assert COMMENT in page.inner_text("body")
        assert advice in page.get_by_label(f"Result of {question.title}").inner_text()

    assert page.errors == []
