"""The glossary: every term used is defined, and its definition shows where it is used."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHAPTER = "book/02-scores.html"


def test_terms_are_in_alphabetical_order_and_defined_once():
    text = (ROOT / "book/glossary.md").read_text().partition(":::{glossary}")[2]
    terms = re.findall(r"^(\w.*)\n    \w", text, flags=re.M)
    assert len(terms) >= 20
    assert terms == sorted(set(terms), key=str.lower)


@pytest.fixture
def chapter(browser, published):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(published + CHAPTER)
    yield page
    page.close()


def term(page, name):
    return page.locator("a.has-definition", has_text=re.compile(f"^{name}$")).first


def test_every_term_of_the_chapter_has_a_definition(chapter):
    links = chapter.locator("a:has(> .std-term)").all()
    assert len(links) >= 8
    for link in links:
        definition = chapter.locator("#" + link.get_attribute("aria-describedby"))
        assert len(definition.text_content().split()) >= 8 and not definition.is_visible()
        assert definition.locator("a").count() == 0
        assert "glossary.html#term-" in link.get_attribute("href")


def test_a_definition_shows_on_focus_and_goes_with_escape(chapter):
    link = term(chapter, "query")
    definition = chapter.locator("#definition-term-query")
    link.focus()
    assert definition.is_visible() and "what is looked for" in definition.text_content()
    chapter.keyboard.press("Escape")
    assert not definition.is_visible()
    term(chapter, "key").focus()
    assert chapter.locator(".definition:visible").count() == 1
    chapter.keyboard.press("Tab")
    assert not chapter.locator("#definition-term-key").is_visible()


def test_a_definition_shows_on_hover_and_can_be_pointed_at(chapter):
    link = term(chapter, "softmax")
    definition = chapter.locator("#definition-term-softmax")
    link.hover()
    assert definition.is_visible()
    definition.hover()
    chapter.wait_for_timeout(400)
    assert definition.is_visible()
    chapter.mouse.move(0, 0)
    definition.wait_for(state="hidden", timeout=2000)


@pytest.mark.parametrize("width", [375, 1280])
def test_a_definition_stays_inside_the_window(browser, published, width):
    page = browser.new_page(viewport={"width": width, "height": 700})
    page.goto(published + CHAPTER)
    links = page.locator("a.has-definition:visible").all()  # not those in a folded explanation
    assert len(links) >= 8
    for link in links:
        link.focus()
        box = page.locator("#" + link.get_attribute("aria-describedby")).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width
        assert box["y"] >= 0 and box["y"] + box["height"] <= 700
    page.close()


def test_the_search_finds_the_definition_in_the_glossary_only(browser, published):
    page = browser.new_page()
    page.goto(
        published + "search.html?q=physics"
    )  # in the definition of a term that the chapter uses
    page.locator("#search-results a").first.wait_for(timeout=10_000)
    found = page.locator("#search-results li a").evaluate_all("all => all.map(a => a.pathname)")
    assert [path for path in found if path.endswith("glossary.html")]
    assert not [path for path in found if path.endswith("02-scores.html")]
    page.close()
