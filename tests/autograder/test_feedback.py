"""Feedback pages: what they say, that nothing of a hand-in can harm their reader, and when they are written."""

import base64
import json
import re
import time
from html import unescape
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, new_raw_cell
from nbgrader.api import Gradebook

from autograder.assignment import Assignment
from autograder.classrun import grade_class
from autograder.course import COURSE_ID, CourseError
from autograder.crew import Crew
from autograder.release import nbgrader_api, succeed
from autograder.report import pages
from autograder.report.feedback import attach
from autograder.report.page import MAX_SHOWN, Mark, Marks, page_html
from autograder.report.pages import make_page, page_path, write_pages
from autograder.report.safe import MAX_TEXT, harmless, markdown_html, output_html
from autograder.report.solutions import solutions
from autograder.sample import as_colab, mistaken, solve
from autograder.verdict import AspectResult, Verdict

AXE = Path(__file__).parents[2] / "_build/npm/node_modules/axe-core/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
NAME = "02-scores"
WRITTEN = "choose_a_score"

# A dot of one pixel, as a PNG.
DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
# Whatever of it runs says so in the page's title, or asks the network.
HOSTILE = """
# Mine

<script>document.title = "ran"</script><img src=x onerror="document.title = 'ran'">
<svg onload="document.title = 'ran'"><a href="javascript:void(document.title='ran')">a</a></svg>
<a href="javascript:void(document.title='ran')">click</a>
<iframe srcdoc="<script>top.document.title='ran'</script>"></iframe>
<style>body { display: none }</style><base href="https://example.org/"><meta http-equiv="refresh" content="600">
<h1 id="work" class="full-points">8 of 8</h1><p style="position:fixed;inset:0" class="result">covered</p>
<math><mtext><img src=x onerror="document.title = 'ran'"></mtext></math> <form action="https://example.org">
<details open ontoggle="document.title = 'ran'"><summary tabindex="9">open</summary>seen</details>

[click](javascript:void(document.title='ran')) [click](JAVA&#115;cript:void(document.title='ran')) [ok](https://example.org/a)
[click](data:text/html,<script>document.title='ran'</script>) <javascript:void(document.title='ran')>
![picture](https://example.org/track.png) ![x](x" onerror="document.title='ran'") [click][there]

[there]: javascript:void(document.title='ran')

$\\text{<img src=x onerror="document.title='ran'">}$ $\\href{javascript:void(document.title='ran')}{click}$ $\\frac$
$\\hspace{9999em}x$ $\\style{position:fixed}{x}$ \u202eright to left\u202c &#x202e; \x00 \x1b[31m

```mermaid
<img src=x onerror="document.title='ran'">
```

##### Deep

<!-- <b>
"""

HUGE_OR_ODD = {
    "brackets": "[" * 10**7,
    "references": "[a]: b\n" * 2500 + "[a]" * 800,
    "tags": "<div>" * 10**6,
    "braces": "$" + "{" * 10**6 + "$",
    "definitions": "$\\def\\a{xxxxxxxx}\\def\\b{\\a\\a\\a\\a\\a\\a\\a\\a}\\b$",
    "surrogates": "\ud800 \udfff",
    "backslashes": "\\" * 10**6,
    "line": "a" * 10**6 + "\r",
}


def verdict(score=1.0, advice="Divide by `√d_k`."):
    rows = [
        AspectResult(
            "values", 2, score, "small", "x: 2", "6 values differ", "1", "<script>2</script>"
        )
    ]
    return Verdict("double", "Double it", 2, score, rows, "plain", advice)


def graded(name, source="def double(x): ...", **flags):
    nbgrader = {"grade_id": name, "grade": True, "solution": False, "locked": True, **flags}
    return new_code_cell(source, metadata={"nbgrader": nbgrader})


def answered(name, source):
    nbgrader = {"grade_id": name, "grade": True, "solution": True, "locked": False, "points": 4}
    return new_markdown_cell(source, metadata={"nbgrader": nbgrader})


def text(source, locked=True):
    return new_markdown_cell(source, metadata={"nbgrader": {"grade_id": "text", "locked": locked}})


def one(cells, marks=None, **verdicts):
    """A page of a notebook made of these cells."""
    notebook = new_notebook(cells=cells)
    attach(notebook, verdicts)
    return page_html(notebook, marks or Marks(NAME, "scores", "ada"))


def words(page):
    """A page's text without its tags and its style."""
    body = re.sub(r"(?s)<style>.*?</style>", "", page)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", body)))


MARKS = Marks(
    NAME,
    "scores",
    "ada",
    cells={
        "a": Mark(2, 2),
        "b": Mark(2, 0.5),
        "c": Mark(2, 0),
        "d": Mark(4, 0, waiting=True),
        "gone": Mark(1, 1),
    },
    comments={"d": "See **section 2**. <script>1</script>"},
    late_penalty=0.5,
)


@pytest.fixture(scope="module")
def said():
    cells = [text("# Title"), text("## 1 · First"), graded("a"), text("## 2 · Second"), graded("b")]
    cells += [graded("c"), text("## 4 · Written"), answered("d", "Because $x<y$.")]
    return one(cells, MARKS, a=verdict(2, ""), b=verdict(0.5), c=verdict(0))


class TestWhatThePageSays:
    def test_the_total_is_the_gradebooks_with_the_penalty_and_what_still_waits(self, said):
        assert "3 of 11 points" in words(said)
        assert "0.5 taken off because it came late" in words(said)
        assert "1 question is still to be graded by hand" in words(said)

    def test_the_table_names_every_question_with_points_and_a_status_in_words(self, said):
        table = re.search(r"(?s)<nav.*?</nav>", said)[0]
        rows = [words(row).strip() for row in table.split("<tr>")[2:]]
        assert rows == [
            "1 · First 2 of 2 full points",
            "2 · Second 0.5 of 2 part of the points",
            "2 · Second 0 of 2 no points",
            "4 · Written – of 4 to be graded by hand",
            "gone 1 of 1 full points",
        ]
        for anchor in re.findall('href="#(result-.)"', table):
            assert said.count(f'id="{anchor}"') == 1

    def test_advice_comes_before_the_table_and_the_example_last(self, said):
        result = said[said.index('id="result-2"') :]
        places = [
            result.index(part) for part in ("<code>√d_k</code>", "<table", "<details", "Expected")
        ]
        assert places == sorted(places)
        assert "- values: " not in said  # the table's plain text for programs without HTML

    def test_a_comment_is_markdown_and_clean(self, said):
        assert "See <strong>section 2</strong>." in said
        assert "<script" not in said

    def test_mathematics_is_mathml(self, said):
        assert "<mi>x</mi><mo>&lt;</mo><mi>y</mi>" in said

    def test_a_score_that_a_person_changed_is_said(self):
        marks = Marks(NAME, "scores", "ada", {"a": Mark(2, 1.5)})
        assert "Set by a person: 1.5 of 2 points" in words(one([graded("a")], marks, a=verdict(1)))

    def test_a_written_question_that_is_graded_shows_its_points(self):
        marks = Marks(NAME, "scores", "ada", {"d": Mark(4, 2.5)}, {"d": "Why?"})
        page = words(one([text("## Choose"), answered("d", "")], marks))
        assert "Choose: 2.5 of 4 points, part of the points" in page
        assert "Your answer None." in page

    def test_an_error_is_told_by_its_last_line_and_the_rest_folds(self):
        trace = ["\x1b[31mTraceback\x1b[0m", "  line 1"]
        error = new_output("error", ename="ValueError", evalue="no", traceback=trace)
        page = one([new_code_cell("f()", outputs=[error])])
        assert "ValueError: no</pre><details>" in page
        assert "Traceback\n  line 1" in page

    def test_a_picture_is_shown_and_what_is_none_is_not(self):
        data = [{"image/png": DOT}, {"image/png": 'x" onerror="alert(1)'}, {"image/png": "YQ=="}]
        outputs = [new_output("display_data", item) for item in data]
        page = one([new_code_cell("show()", outputs=outputs)])
        assert page.count("<img ") == 1
        assert f"base64,{DOT}" in page
        assert page.count("A picture is not shown.") == 2


@pytest.fixture(scope="module")
def hostile_page():
    outputs = [
        new_output("stream", text="<script>1</script>\x1b[2J\x1b]0;owned\x07 10%\r20%\n"),
        new_output("display_data", {"text/html": "<p>30 of 30 points</p>", "text/plain": "own"}),
        new_output("error", ename="<script>", evalue="<script>", traceback=["<script>"]),
    ]
    cells = [
        text("# Title"),
        text(HOSTILE, locked=False),
        new_raw_cell(HOSTILE),
        new_code_cell(f'"""{HOSTILE}"""', outputs=outputs),
        answered("d", HOSTILE),
        graded("a", '"</code></pre><script>"'),
    ]
    for cell in cells:
        cell.metadata["executionInfo"] = {"user": {"displayName": "Ada", "userId": "0123"}}
    notebook = new_notebook(cells=cells)
    notebook.metadata["autograder"] = {"verdicts": {"d": "<script>mine</script>"}}
    attach(notebook, {"a": verdict()})
    marks = Marks(
        NAME, "scores", '<b>"ada"', {"a": Mark(2, 1), "d": Mark(4, 0, True)}, {"d": HOSTILE}
    )
    return page_html(notebook, marks)


class TestNothingOfAHandInHarms:
    def test_no_tag_attribute_or_address_of_it_is_left(self, hostile_page):
        tags = re.findall(r"<(?!/)[^>]*>", re.sub(r"(?s)<style>.*?</style>", "", hostile_page))
        assert {re.match(r"<!?([\w-]+)", tag)[1].lower() for tag in tags}.isdisjoint(
            {"script", "img", "svg", "iframe", "base", "form", "style", "object", "embed", "link"}
        )
        assert [tag for tag in tags if re.search(r"\son\w+\s*=|javascript:|data:", tag)] == [
            tag for tag in tags if "Content-Security-Policy" in tag
        ]
        assert set(re.findall(r'href="(?!#)([^"]*)"', "".join(tags))) == {"https://example.org/a"}
        assert 'rel="nofollow noopener"' in hostile_page
        assert "".join(tags).count('id="work"') == 1
        assert 'class="full-points"' not in "".join(tags)
        assert not re.search("position|9999", "".join(tags))
        assert not re.search(r'tabindex="[1-9]', "".join(tags))

    def test_html_of_outputs_is_not_believed(self, hostile_page):
        assert "30 of 30" not in hostile_page
        assert "own" in words(hostile_page)

    def test_what_hides_is_seen(self, hostile_page):
        assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", hostile_page)
        assert "⟦U+202E⟧right to left" in hostile_page
        assert "owned" not in hostile_page
        assert "20%" in hostile_page
        assert "10%" not in hostile_page

    def test_no_account_of_colab_appears(self, hostile_page):
        assert "0123" not in hostile_page
        assert "displayName" not in hostile_page

    def test_nothing_runs_or_loads_in_a_browser(self, hostile_page, browser, tmp_path):
        path = tmp_path / "page.html"
        path.write_text(hostile_page, encoding="utf-8")
        context = browser.new_context()
        asked = []
        tab = context.new_page()
        tab.on("request", lambda request: asked.append(request.url))
        # The policy would stop what the cleaning let through: it must hold without it too.
        for content in (hostile_page, re.sub(r"<meta http-equiv[^>]*>", "", hostile_page)):
            path.write_text(content, encoding="utf-8")
            tab.goto(path.as_uri())
            for summary in tab.locator("summary").all():
                summary.click()
            for link in tab.get_by_text("click", exact=True).all():
                link.click()
            assert tab.title().startswith("Feedback on")
        assert set(asked) == {path.as_uri()}
        context.close()

    def test_verdicts_of_the_hand_in_itself_are_overwritten(self):
        notebook = new_notebook(cells=[graded("a")])
        notebook.metadata["autograder"] = {"verdicts": {"a": {"title": "forged"}}}
        attach(notebook, {})
        assert "forged" not in page_html(notebook, Marks(NAME, "scores", "ada", {"a": Mark(1, 0)}))

    def test_a_copy_of_a_graded_cell_shows_no_second_result(self):
        marks = Marks(NAME, "scores", "ada", {"a": Mark(2, 1)})
        assert one([graded("a"), graded("a")], marks, a=verdict()).count('id="result-') == 1

    @pytest.mark.parametrize("source", HUGE_OR_ODD.values(), ids=HUGE_OR_ODD)
    def test_a_huge_or_odd_cell_is_cut_and_soon_done(self, source):
        started = time.process_time()
        page = one([text(source, locked=False), new_code_cell(source)])
        assert time.process_time() - started < 5  # seconds; minutes without the bounds
        page.encode()
        assert ("Cut: the first" in page) is (len(source) > MAX_TEXT)
        assert len(page) < 20 * MAX_TEXT

    def test_a_notebook_of_many_cells_is_bounded_and_says_so(self):
        page = one([new_code_cell(f"{n} " + "x" * 19_000) for n in range(40)])
        assert len(page) < 3 * MAX_SHOWN
        assert "The notebook is very long: 14 of its cells" in words(page)


class TestHarmless:
    """The autograded notebook is shown by programs that clean nothing, such as formgrader."""

    @pytest.mark.parametrize(
        "source",
        [
            "a < b and c <= d, `x <- 1`, $a < b$ and $\\langle q, k \\rangle$",
            "```python\nif a < b:\n    print(x[1:2], d['a'])\n```",
            "**bold** [the paper](https://example.org/a?b=c#d) 1. one\n\n| a | b |\n|--|--|\n| 1 | 2 |",
            "# Heading\n\n> quote\n\n- [x] done",
        ],
    )
    def test_ordinary_text_stays_as_it_is(self, source):
        assert harmless(source) == source

    def test_what_it_breaks_stays_readable(self):
        assert harmless("<b>`List<int>`</b>") == "< b>`List< int>`< /b>"
        assert harmless("[x](javascript:1)") == "[x] (javascript:1)"

    def test_doing_it_twice_changes_nothing_more(self):
        assert harmless(harmless(HOSTILE)) == harmless(HOSTILE)

    @pytest.mark.parametrize("disarm", [harmless, str])
    def test_formgraders_page_of_it_does_nothing(self, disarm, browser, tmp_path):
        """Without it the same page runs the script: so this test sees what it should."""
        tab = browser.new_page()
        tab.route(re.compile("^https?:"), lambda route: route.abort())
        path = tmp_path / "formgrade.html"
        path.write_text(formgrade([answered("d", disarm(HOSTILE)), new_raw_cell(disarm(HOSTILE))]))
        tab.goto(path.as_uri())
        tab.evaluate(
            "document.querySelectorAll('.text_cell_render a:not([href^=http], .anchor-link)').forEach(a => a.click?.())"
        )
        tab.wait_for_timeout(100)
        assert (tab.title() == "ran") is (disarm is str)
        if disarm is harmless:
            cell = tab.locator(".text_cell_render")
            assert cell.locator("img, svg, iframe, form, script, style, a[href^=java]").count() == 0
        tab.close()


def formgrade(cells):
    """The cells as formgrader's manual view renders them."""
    import nbgrader
    from nbconvert.exporters import HTMLExporter

    exporter = HTMLExporter(
        template_name="formgrade",
        extra_template_basedirs=[
            str(Path(nbgrader.__file__).parent / "server_extensions/formgrader/templates")
        ],
    )
    names = {"notebook_id": "x", "assignment_id": "x", "submission_id": "x", "index": 0, "total": 1}
    resources = {**names, "base_url": "", "student": "ada", "notebook_path": "x"}
    return exporter.from_notebook_node(new_notebook(cells=cells), resources=resources)[0]


class TestText:
    def test_headings_follow_the_page_and_skip_no_level(self):
        html, level = markdown_html("# A\n\n#### B\n\n## C", 1)
        assert re.findall(r"<h(\d)", html) == ["2", "3", "3"]
        assert level == 3
        assert re.findall(r"<h(\d)", markdown_html("###### D", level)[0]) == ["4"]

    def test_a_formula_that_cannot_be_converted_is_its_source(self):
        assert "<code>\\frac</code>" in markdown_html("$\\frac$")[0]
        # Definitions of definitions would stand for any number of symbols.
        assert "<code>\\def\\a{x}\\a</code>" in markdown_html("$\\def\\a{x}\\a$")[0]

    def test_hints_of_the_release_still_fold(self):
        html, _ = markdown_html("<details><summary>Hint</summary>\n\nUse *both*.\n\n</details>")
        assert "<summary>Hint</summary>" in html
        assert "<em>both</em>" in html

    def test_a_terminals_commands_leave_the_text(self):
        printed = "\x1b[1;31mred\x1b[0m \x1b]8;;http://x\x07link\x1b]8;;\x07 \x1b(B1%\r2%\r\nb\x08"
        assert output_html(printed) == '<pre tabindex="0">2%\nb⟦U+0008⟧</pre>'
        assert "red link" in output_html(printed.replace("\r", ""))


@pytest.fixture(scope="module")
def assignment(new_course, hand_in, right):
    """A small class, graded: one right with a hostile written answer, one mistaken, one blank."""
    assignment = Assignment.named(new_course(), NAME)
    hand_in(assignment, "hostile", as_colab(solve(assignment, right | {WRITTEN: HOSTILE})))
    hand_in(assignment, "mistaken", solve(assignment, right | mistaken(assignment)[0]))
    hand_in(assignment, "blank", solve(assignment, {}))
    with Crew(jobs=1) as crew:
        grade_class(assignment, crew)
    return assignment


@pytest.fixture(scope="module")
def written(assignment):
    write_pages(assignment, jobs=1, progress=lambda: None)
    return assignment


STUDENTS = ("blank", "hostile", "mistaken")


def contents(assignment):
    return {student: page_path(assignment, student).read_bytes() for student in STUDENTS}


@pytest.mark.parametrize(("theme", "width"), [("light", 320), ("dark", 1280)])
@pytest.mark.parametrize("student", STUDENTS)
def test_axe_finds_nothing_and_the_page_is_no_wider_than_the_screen(
    written, browser, student, theme, width
):
    if not AXE.is_file():
        pytest.skip("axe is not there: `make book` fetches it where the npm registry is reached")
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=theme, bypass_csp=True
    )
    page = context.new_page()
    page.goto(page_path(written, student).as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate(
        "rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", RULES
    )
    assert [(v["id"], [n["html"][:150] for n in v["nodes"][:3]]) for v in found["violations"]] == []
    context.close()


def test_nbgraders_own_path_writes_the_same_bytes(written, command):
    ours = contents(written)
    api = nbgrader_api(written.course)  # what formgrader's button calls
    for student in STUDENTS:
        page_path(written, student).unlink()
        succeed(api.generate_feedback(NAME, student, force=True), "no feedback")
    assert contents(written) == ours
    command(written.course, "nbgrader", "generate_feedback", NAME, "--force")
    assert contents(written) == ours


def test_who_wrote_nothing_yet_is_told_so_kindly_and_nobody_else_is(written):
    pages = {student: words(page_path(written, student).read_text()) for student in STUDENTS}
    told = [student for student in STUDENTS if "No program is written yet" in pages[student]]
    assert told == ["blank"]
    assert "not answered yet" not in pages["hostile"]
    assert pages["blank"].count("not answered yet") == 7  # all but the written one


class TestSolutions:
    """They are shown when the instructor says so, by our command and by nbgrader's, and not before."""

    @pytest.fixture
    def shown(self, written):
        write_pages(written, 1, lambda: None, with_solutions=True)
        yield written
        write_pages(written, 1, lambda: None)

    def test_each_question_has_its_solution(self, shown):
        found = solutions(shown.paper)
        assert found.keys() == {*shown.checks, WRITTEN}
        for student in STUDENTS:
            page = page_path(shown, student).read_text()
            assert page.count("<summary>A solution</summary>") == len(found)
            assert "math.sqrt gives a Python float" in words(page)
            assert "Location-aware. Content alone" in words(page)

    def test_they_hold_neither_marks_of_the_source_nor_the_mark_scheme(self, shown):
        found = solutions(shown.paper).values()
        assert not [s.text for s in found if "### " in s.text or "Mark scheme" in s.text]
        assert all(s.text.startswith(("def ", "class ")) for s in found if s.is_code)

    def test_nobody_sees_one_unless_it_is_asked_for(self, written):
        write_pages(written, 1, lambda: None)
        for student in STUDENTS:
            assert "A solution" not in page_path(written, student).read_text()

    def test_nbgraders_own_path_shows_the_same(self, shown, command):
        ours = contents(shown)
        told = "--FeedbackExporter.with_solutions=True"
        command(shown.course, "nbgrader", "generate_feedback", NAME, "--force", told)
        assert contents(shown) == ours


class TestWhichPagesAreWritten:
    @pytest.fixture
    def count(self, written):
        write_pages(written, 1, lambda: None)
        return lambda: write_pages(written, 1, lambda: None)

    def test_an_unchanged_class_writes_nothing_whatever_the_times(self, written, count):
        for path in written.course.step("autograded").rglob("*.ipynb"):
            path.touch()
        assert count() == 0

    def test_a_mark_a_comment_a_notebook_or_a_lost_page_writes_that_page(self, written, count):
        with Gradebook(written.course.database_url, COURSE_ID) as gradebook:
            where = (WRITTEN, "scores", NAME, "hostile")
            grade = gradebook.find_grade(*where)
            grade.manual_score, grade.needs_manual_grade = 2.5, False
            gradebook.find_comment(*where).manual_comment = "Which shapes?"
            late = gradebook.find_submission_notebook("scores", NAME, "hostile")
            late.late_submission_penalty = 1.5
            gradebook.db.commit()
        assert count() == 1
        page = words(page_path(written, "hostile").read_text())
        assert "27 of 30 points , 1.5 taken off because it came late" in page
        assert "Which shapes?" in page
        page_path(written, "blank").write_text("")
        path = written.course.step("autograded") / "mistaken" / NAME / "scores.ipynb"
        notebook = nbformat.read(path, 4)
        notebook.cells.append(new_markdown_cell("More."))
        path.chmod(0o644)
        nbformat.write(notebook, path)
        assert count() == 2

    def test_another_style_writes_all(self, count, monkeypatch):
        monkeypatch.setattr(pages, "_version", lambda: "new")
        assert count() == len(STUDENTS)

    def test_one_that_cannot_be_made_stops_no_other_and_is_named(self, written, count):
        path = written.course.step("autograded") / "blank" / NAME / "scores.ipynb"
        content = path.read_bytes()
        path.chmod(0o644)
        path.write_text(json.dumps({"nbformat": 4, "cells": [{}]}))
        page_path(written, "mistaken").unlink()
        with pytest.raises(CourseError, match="all feedback is written except for blank: "):
            count()
        assert page_path(written, "mistaken").exists()
        path.write_bytes(content)
        assert count() == 0  # the page from before is still there, and right

    def test_a_student_without_grades_is_named(self, written, count):
        path = written.course.step("autograded") / "ghost" / NAME / "scores.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text("{}")
        with pytest.raises(CourseError, match="ghost: the gradebook has no grades"):
            count()
        path.unlink()

    def test_workers_write_what_one_process_writes(self, written, count, monkeypatch):
        before = contents(written)
        for student in STUDENTS:
            page_path(written, student).unlink()
        monkeypatch.setattr(pages, "PAGES_PER_WORKER", 0)
        assert write_pages(written, 2, lambda: None) == len(STUDENTS)
        assert contents(written) == before


def test_nothing_graded_is_one_sentence(assignment, new_course):
    with pytest.raises(CourseError, match="Nothing is graded yet"):
        write_pages(Assignment(new_course(), NAME), 1, lambda: None)


def test_the_page_is_a_function_of_the_file_and_the_marks(written):
    path = written.course.step("autograded") / "hostile" / NAME / "scores.ipynb"
    marks = pages.class_marks(written.course, NAME, "scores")["hostile"]
    assert make_page(path.read_bytes(), marks, {}) == make_page(path.read_bytes(), marks, {})
    assert isinstance(nbformat.v4.reads(path.read_text()), NotebookNode)
    assert base64.b64decode(DOT).startswith(b"\x89PNG")
