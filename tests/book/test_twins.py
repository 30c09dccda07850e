"""NumPy and PyTorch cells side by side: which cells pair, where there is room, and the switch."""

import itertools
from pathlib import Path

import jupytext
import pytest

ROOT = Path(__file__).parents[2]
PAGE = "book/02-scores"
PAIR = ".twins"


@pytest.fixture
def opened(browser, published):
    """Open the chapter in a window of some width; contexts are closed at the end."""
    contexts = []

    def open_page(width: int, **options):
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, **options))
        page = contexts[-1].new_page()
        page.goto(f"{published}{PAGE}.html")
        return page

    yield open_page
    for context in contexts:
        context.close()


def boxes(page) -> tuple[dict, dict]:
    """The places of the first pair's two cells."""
    pair = page.locator(PAIR).first
    return tuple(pair.locator(f".tag_{kind}").bounding_box() for kind in ("numpy", "torch"))


def seen(page) -> set[str]:
    """Which kinds of cells of the pairs are visible; the same in all of them."""
    return {
        kind
        for kind in ("numpy", "torch")
        if all(cell.is_visible() for cell in page.locator(f"{PAIR} .tag_{kind}").all())
    }


def test_adjacent_cells_pair_up_from_their_tags_alone(site):
    def kind(cell):
        tags = cell.metadata.get("tags", [])
        return next((tag for tag in ("numpy", "torch") if tag in tags), None)

    kinds = [kind(cell) for cell in jupytext.read(ROOT / f"{PAGE}.md", fmt="md:myst").cells]
    pairs = sum(two == ("numpy", "torch") for two in itertools.pairwise(kinds))
    html = (site / f"{PAGE}.html").read_text()
    assert pairs >= 5
    assert html.count('class="twins docutils container"') == pairs


@pytest.mark.parametrize("width", [1680, 1920])
def test_twins_stand_side_by_side_on_a_wide_screen(opened, width):
    page = opened(width)
    numpy, torch = boxes(page)
    assert numpy["y"] == torch["y"] and numpy["x"] + numpy["width"] < torch["x"]
    assert torch["x"] + torch["width"] <= width
    assert min(numpy["width"], torch["width"]) >= 500  # 60 columns of code
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    # They reach into the margin, where the contents then make room.
    page.locator(PAIR).first.scroll_into_view_if_needed()
    page.locator(".bd-sidebar-secondary.hide").wait_for(state="attached", timeout=3000)


def test_twins_follow_a_window_that_changes(opened):
    page = opened(1920)
    page.set_viewport_size({"width": 1680, "height": 5000})
    page.wait_for_function(
        f"document.querySelector('{PAIR}').getBoundingClientRect().right <= innerWidth"
    )
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("width", [375, 1280])
def test_twins_are_stacked_on_a_narrow_screen(opened, width):
    page = opened(width)
    numpy, torch = boxes(page)
    assert numpy["x"] == torch["x"] and numpy["y"] + numpy["height"] <= torch["y"]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_switch_by_keyboard_is_remembered(opened):
    page = opened(1680)
    group = page.get_by_role("group", name="Show the code in").first
    assert seen(page) == {"numpy", "torch"}
    assert [label.inner_text() for label in group.locator("label").all()] == [
        "Both",
        "NumPy",
        "PyTorch",
    ]
    group.get_by_role("radio", name="Both").focus()
    page.keyboard.press("ArrowRight")
    assert seen(page) == {"numpy"}
    page.keyboard.press("ArrowRight")
    assert seen(page) == {"torch"}
    chosen = page.get_by_role("radio", name="PyTorch", checked=True)
    assert chosen.count() == page.locator(PAIR).count()  # all switches moved

    page.reload()
    assert seen(page) == {"torch"}
    page.get_by_role("radio", name="Both").first.check()
    page.reload()
    assert seen(page) == {"numpy", "torch"}


def test_the_reader_stays_where_the_switch_is(opened):
    page = opened(1280)
    last = page.locator(PAIR).last
    last.get_by_role("radio", name="NumPy").focus()
    before = last.bounding_box()["y"]
    page.keyboard.press("Space")
    assert seen(page) == {"numpy"}
    assert abs(last.bounding_box()["y"] - before) < 2


def test_something_strange_in_the_memory_changes_nothing(opened):
    page = opened(1280)
    page.evaluate("localStorage.setItem('twins', 'toString')")
    page.reload()
    assert seen(page) == {"numpy", "torch"}


def test_both_are_there_without_a_script_and_on_paper(opened):
    page = opened(1280, java_script_enabled=False)
    assert seen(page) == {"numpy", "torch"} and page.locator(".twins-switch").count() == 0

    page = opened(1280)
    page.get_by_role("radio", name="NumPy").first.check()
    page.emulate_media(media="print")
    assert seen(page) == {"numpy", "torch"} and not page.locator(".twins-switch").first.is_visible()
