"""The quiz: what its directive makes of a question, in which languages, and how it is answered."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from babel.messages.pofile import read_po, write_po
from bs4 import BeautifulSoup

ROOT = Path(__file__).parents[2]
CHAPTER = "book/02-scores.html"

CONF = f"""
import sys
sys.path.insert(0, {str(ROOT / "book/_ext")!r})
extensions = ["myst_parser", "quiz"]
myst_enable_extensions = ["colon_fence", "dollarmath", "tasklist"]
html_static_path = [{str(ROOT / "book/_static")!r}]
root_doc = "page"
locale_dirs = ["locale"]
gettext_compact = False
"""

QUESTION = """# Page

:::{quiz}
Which *axis* does the softmax run along?

- [ ] The first

  That is the batch, of size $b$.
- [x] The `last`

  Each query shares one unit among the keys.

  A second paragraph.
- [ ] None

  It needs an axis.
:::
"""

# What is changed in the question, into what, and what the build must say of it.
FAULTS = {
    "no right choice": ("[x]", "[ ]", r"one choice must be ticked as right \(\[x\]\), not 0"),
    "two right choices": ("[ ] None", "[x] None", "one choice must be ticked .*, not 2"),
    "a choice without explanation": (
        "\n  It needs an axis.\n",
        "",
        "the choice 'None' has no explanation below it",
    ),
    "a choice without box": ("[ ] The first", "The first", "the choice 'The first.*' has no box"),
    "no question": ("Which *axis* does the softmax run along?", "", "a question is wanted"),
    "no choices": (
        QUESTION[QUESTION.index("- [ ]") : QUESTION.index(":::\n", 30)],
        "",
        "is wanted",
    ),
}


def build(project: Path, builder: str, page: str = QUESTION, *options: str) -> str:
    """Build a book of one page; what Sphinx complained of."""
    (project / "conf.py").write_text(CONF)
    (project / "page.md").write_text(page)
    command = [sys.executable, "-m", "sphinx", "-q", "-E", "-b", builder, *options, ".", builder]
    result = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    if "-W" not in options:
        assert result.returncode == 0, result.stderr
        return result.stderr
    return result.stderr if result.returncode else ""


def test_a_question_is_a_group_of_radio_buttons(tmp_path):
    assert build(tmp_path, "html") == ""
    page = BeautifulSoup((tmp_path / "html/page.html").read_text(), "html.parser")

    (group,) = page.select("fieldset.quiz")
    assert group.legend.get_text() == "Which axis does the softmax run along?"
    assert group.find(True) is group.legend  # otherwise it does not name the group
    choices = group.select(".quiz-choice")
    buttons = group.select("input[type=radio]")
    assert len(choices) == len(buttons) == 3
    assert len({button["name"] for button in buttons}) == 1
    assert len({button["id"] for button in buttons}) == 3
    names = [choice.select_one(f"label[for={choice.input['id']}]") for choice in choices]
    assert [name.get_text() for name in names] == ["The first", "The last", "None"]
    assert names[1].code and not group.select(".task-list-item-checkbox")

    folds = [choice.details for choice in choices]
    assert all(fold.summary and not fold.has_attr("open") for fold in folds)
    verdicts = [fold.select_one(".quiz-verdict").get_text() for fold in folds]
    assert verdicts == ["Not right.", "Right.", "Not right."]
    assert "A second paragraph." in folds[1].get_text()


def test_the_same_page_goes_through_a_builder_without_buttons(tmp_path):
    assert build(tmp_path, "text") == ""
    assert "Each query shares one unit" in (tmp_path / "text/page.txt").read_text()


@pytest.mark.parametrize("fault", FAULTS)
def test_wrong_use_fails_the_build(tmp_path, fault):
    right, wrong, complaint = FAULTS[fault]
    assert QUESTION.count(right) == 1
    assert re.search(complaint, build(tmp_path, "html", QUESTION.replace(right, wrong), "-W"))


def test_every_word_is_translated_through_gettext(tmp_path):
    build(tmp_path, "gettext")
    with (tmp_path / "gettext/page.pot").open("rb") as file:
        catalogue = read_po(file)
    translated = {
        "Which *axis* does the softmax run along?": "softmax 沿哪个*轴*计算?",
        "The first": "第一个",
        "The `last`": "`最后`一个",
        "That is the batch, of size $b$.": "那是大小为 $b$ 的批次。",
        "Right.": "正确。",
        "Not right.": "不正确。",
        "Explanation": "解释",
        "A second paragraph.": "第二段。",
    }
    assert set(translated) <= {message.id for message in catalogue}
    for message in catalogue:
        message.string = translated.get(message.id, "")
    (folder := tmp_path / "locale/zh_CN/LC_MESSAGES").mkdir(parents=True)
    with (folder / "page.po").open("wb") as file:
        write_po(file, catalogue)

    build(tmp_path, "html", QUESTION, "-D", "language=zh_CN")
    page = BeautifulSoup((tmp_path / "html/page.html").read_text(), "html.parser")
    group = page.select_one("fieldset.quiz")
    assert group.legend.get_text() == "softmax 沿哪个轴计算?" and group.legend.em
    assert [label.get_text() for label in group.select("label")][:2] == ["第一个", "最后一个"]
    assert [mark.get_text() for mark in group.select(".quiz-verdict")][:2] == ["不正确。", "正确。"]
    assert {fold.summary.get_text() for fold in group.select("details")} == {"解释"}
    assert not re.search("first|batch|Right|Explanation|second", group.get_text())


@pytest.fixture
def chapter(browser, published):
    """The chapter in a browser, and what went wrong in it."""
    page = browser.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(error))
    page.goto(published + CHAPTER)
    yield page
    page.close()
    assert not errors


def test_a_quiz_is_answered_by_keyboard_and_speaks(chapter):
    group = chapter.get_by_role("group", name=re.compile("What is the softmax taken over"))
    status = group.get_by_role("status")
    assert status.text_content() == ""
    assert not group.locator("details > div").first.is_visible()

    group.get_by_role("radio").first.focus()
    chapter.keyboard.press("Space")
    assert group.get_by_role("radio", name="The axis of size 2").is_checked()
    assert status.text_content().strip().startswith("Not right.")
    assert group.locator("details[open]").count() == 1

    chapter.keyboard.press("ArrowDown")
    chapter.keyboard.press("ArrowDown")
    assert group.get_by_role("radio", name="The axis of size 5").is_checked()
    assert status.text_content().strip().startswith("Right.")
    assert "lie along the last axis" in status.text_content()
    assert group.locator("details[open]").count() == 1
    assert group.locator(".quiz-right details > div").is_visible()
    icon = "getComputedStyle(document.querySelector('{} .quiz-verdict'), '::before').content[1]"
    assert chapter.evaluate(icon.format(".quiz-right")) == "✓"
    assert chapter.evaluate(icon.format(".quiz-wrong")) == "✗"
    for other in chapter.locator("fieldset.quiz").all()[1:]:
        assert other.locator("input:checked").count() == 0


def test_what_is_said_aloud_has_no_second_links_or_names(chapter):
    group = chapter.locator("fieldset.quiz", has_text="You divide the dot product")
    group.get_by_role("radio", name="Nearly uniform").check()
    assert group.locator("details[open] a").count() == 1  # a citation
    assert group.get_by_role("status").locator("a, [id]").count() == 0


@pytest.mark.parametrize("media", ["screen", "print"])
def test_a_quiz_is_readable_without_a_script(browser, published, media):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.emulate_media(media=media)
    page.goto(published + CHAPTER)
    fold = page.locator(".quiz-explanation").first
    if media == "screen":
        assert not fold.locator("div").is_visible()
        fold.locator("summary").click()
    height = fold.locator(".quiz-verdict + p").bounding_box()["height"]
    assert height > 10 and fold.locator("div").is_visible()
    context.close()


def test_on_paper_every_explanation_is_open(chapter):
    chapter.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert chapter.locator(".quiz-explanation:not([open])").count() == 0
    chapter.evaluate("dispatchEvent(new Event('afterprint'))")
    assert chapter.locator(".quiz-explanation[open]").count() == 0


def test_the_search_finds_an_explanation(browser, published):
    page = browser.new_page()
    page.goto(published + "search.html?q=swapped+indices")
    result = page.locator("#search-results a", has_text="Attention scores").first
    result.wait_for(timeout=10_000)
    assert "02-scores.html" in result.get_attribute("href")
    page.close()
