"""axe finds nothing to complain of, on every kind of page, light and dark, wide and narrow.

WCAG 2.2 A and AA, and axe's best practices. It finds about half of what a person would; keyboard walks
of the figures, quizzes and switches are in their own tests.
"""

from pathlib import Path

import pytest

AXE = Path(__file__).parents[2] / "_build/npm/node_modules/axe-core/axe.min.js"
KINDS = {
    "index": "book/index.html",
    "chapter": "book/02-scores.html",
    "glossary": "book/glossary.html",
    "exercise": "exercises/02-scores/scores.html",
    "search": "search.html?q=query",
    "404": "no/such/page",
}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="module")
def axe() -> str:
    if not AXE.is_file():
        pytest.skip("axe is not there: `make book` fetches it where the npm registry is reached")
    return AXE.read_text(encoding="utf-8")


def open_page(browser, url: str, theme: str, width: int):
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=theme, reduced_motion="reduce"
    )
    context.add_init_script(f"localStorage.mode = localStorage.theme = '{theme}'")
    page = context.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(url, wait_until="networkidle")
    return page, errors


def violations(page, axe: str) -> dict[str, list[str]]:
    """The rules broken, each with the first elements that break it."""
    page.evaluate(axe)
    found = page.evaluate(
        "rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", RULES
    )
    return {
        rule["id"]: [f"{node['target']} {node['html'][:150]}" for node in rule["nodes"][:4]]
        for rule in found["violations"]
    }


@pytest.mark.parametrize("width", [1280, 375])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("kind", KINDS)
def test_axe_finds_nothing(browser, published, axe, kind, theme, width):
    page, errors = open_page(browser, published + KINDS[kind], theme, width)
    assert violations(page, axe) == {}
    assert errors == []
    page.context.close()


def test_a_long_formula_is_reached_and_scrolled_by_keyboard(browser, published):
    page, _ = open_page(browser, published + KINDS["chapter"], "light", 375)
    wide = "box => box.scrollWidth > box.clientWidth"
    boxes = [box for box in page.locator("div.math").all() if box.evaluate(wide)]
    assert boxes
    for box in boxes:
        box.focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_function("document.activeElement.scrollLeft > 0")
        assert "gradient" in box.evaluate("box => getComputedStyle(box).backgroundImage")
    page.context.close()
