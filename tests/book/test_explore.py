"""The figures with sliders: their first picture, and that the page computes what NumPy computes."""

import itertools
import re

import numpy as np
import pytest
from attend import explore, scores

KINDS = ["scale", "temperature", "mask", "location"]


def softmax(s: np.ndarray) -> np.ndarray:
    exponentials = np.exp(s - np.max(s))
    return exponentials / exponentials.sum()


def weights_of(page) -> np.ndarray:
    """The weights that the script computed, after a look at what it shows of them."""
    weights = np.array(page.evaluate("document.querySelector('attend-explore').weights"))
    cells = page.locator("tbody td")
    shown = np.array([0 if t == "masked" else float(t) for t in cells.all_text_contents()])
    np.testing.assert_allclose(shown, weights, atol=0.005 + 1e-12)
    heights = cells.evaluate_all(
        "cells => cells.map(c => parseFloat(c.style.getPropertyValue('--w')))"
    )
    np.testing.assert_allclose(heights, weights, atol=0.00005 + 1e-12)
    largest = re.search(r"largest weight is (\d\.\d\d)", page.locator(".says").inner_text())
    assert abs(float(largest[1]) - weights.max()) <= 0.005 + 1e-12
    return weights


def equal(weights: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(weights, expected, rtol=1e-12, atol=1e-15)


# What the page computes


@pytest.mark.parametrize("scaled", [False, True])
def test_scale_equals_numpy_at_every_width(page, scaled):
    rng = np.random.default_rng(3)
    query, keys = rng.normal(size=(1, 1024)), rng.normal(size=(6, 1024))
    score = scores.scaled_dot if scaled else scores.dot
    page = page(explore.scale(n_keys=6, seed=3)._repr_html_())
    page.get_by_label("divide the scores").set_checked(scaled)
    slider = page.get_by_role("slider", name="width")
    slider.press("Home")
    for width in 2 ** np.arange(11):
        expected = softmax(score(query[:, :width], keys[:, :width])[0])
        equal(weights_of(page), expected)
        jacobian = np.linalg.norm(np.diag(expected) - np.outer(expected, expected))
        assert page.locator("output").inner_text() == str(width)
        told = page.locator(".says").inner_text()
        assert told.startswith(f"Width {width}, {'scaled' if scaled else 'not scaled'}: ")
        assert abs(float(re.search(r"Jacobian (\d\.\d\d)", told)[1]) - jacobian) <= 0.005 + 1e-12
        slider.press("ArrowRight")


def test_temperature_equals_numpy_all_along_the_slider(page):
    s = np.array([3.0, -1.0, 0.5, 0.25])
    page = page(explore.temperature(s)._repr_html_())
    slider = page.get_by_role("slider", name="temperature")
    slider.press("Home")
    for exponent in np.linspace(-1, 1, 41):
        expected = softmax(s / 10**exponent)
        weights = np.array(weights_of(page))
        np.testing.assert_allclose(weights, expected, rtol=1e-9, atol=1e-15)  # 0.05 adds up
        assert page.locator("output").inner_text() == f"{10**exponent:.2f}"
        spread = np.exp(-np.sum(expected * np.log(expected)))
        told = float(re.search(r"over ([\d.]+) equal keys", page.locator(".says").inner_text())[1])
        assert abs(told - spread) <= 0.005 + 1e-9
        slider.press("ArrowRight")


def test_mask_equals_numpy_for_every_mask(page):
    s = np.array([2.0, 1.0, -0.5])
    page = page(explore.mask(s, ["the", "cat", "sat"])._repr_html_())
    slider = page.get_by_role("slider", name="causal")
    for length, *ticks in itertools.product(range(4), [False, True], [False, True], [False, True]):
        slider.fill(str(length))
        for name, on in zip(("the", "cat", "sat"), ticks, strict=True):
            page.get_by_label(f"mask {name}").set_checked(on)
        hidden = np.array(ticks) | (np.arange(3) >= length)
        expected = np.zeros(3) if hidden.all() else softmax(np.where(hidden, -np.inf, s))
        if hidden.all():
            assert page.locator(".says").inner_text().startswith("Every key is masked")
            equal(
                np.array(page.evaluate("document.querySelector('attend-explore').weights")),
                expected,
            )
        else:
            equal(weights_of(page), expected)
            assert page.locator(".says").inner_text().startswith(f"{hidden.sum()} of 3 keys")
        cells = page.locator("tbody td")
        assert [text == "masked" for text in cells.all_text_contents()] == hidden.tolist()
        images = cells.evaluate_all("cells => cells.map(c => getComputedStyle(c).backgroundImage)")
        assert [image.startswith("repeating") for image in images] == hidden.tolist()


def test_location_equals_numpy(page):
    j = np.arange(1, 10)
    page = page(explore.location(positions=9)._repr_html_())
    for centre, width in itertools.product([1, 2.5, 4.7, 9], [0.3, 1, 2.2, 6]):
        page.get_by_role("slider", name="centre").fill(str(centre))
        page.get_by_role("slider", name="width").fill(str(width))
        expected = softmax(-((j - centre) ** 2) / (2 * width**2))
        np.testing.assert_allclose(weights_of(page), expected, rtol=1e-9, atol=1e-15)
        told = re.search(r"mean position ([\d.]+)\.", page.locator(".says").inner_text())
        assert abs(float(told[1]) - expected @ j) <= 0.005 + 1e-9


# How it is given


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_picture_is_what_the_script_draws(page, kind):
    """So that nothing moves when the script arrives, and Python and script tell one story."""
    html = getattr(explore, kind)()._repr_html_()
    without, with_script = page(html, script=False), page(html)
    for part in ("tbody td", "output", ".says", "thead th", "caption"):
        assert without.locator(part).all_text_contents() == (
            with_script.locator(part).all_text_contents()
        )
    text = "slider => slider.getAttribute('aria-valuetext')"
    bars = "cell => cell.className + (cell.style.getPropertyValue('--w') || '0.0000')"
    for part, what in (("input[type=range]", text), ("tbody td", bars)):
        for one, other in zip(
            without.locator(part).all(), with_script.locator(part).all(), strict=True
        ):
            assert one.evaluate(what) == other.evaluate(what)


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_script_and_in_print_the_picture_stands_alone(page, kind):
    html = getattr(explore, kind)()._repr_html_()
    for shown in (page(html, script=False), page(html)):
        shown.emulate_media(media="print")
        assert shown.locator("table:visible").count() == 1
        assert shown.locator("input:visible").count() == 0
    unscripted = page(html, script=False)
    assert unscripted.locator("input:visible").count() == 0
    assert unscripted.locator(".says:visible").count() == 1


@pytest.mark.parametrize("kind", KINDS)
def test_every_control_has_a_name_and_works_by_keyboard(page, kind):
    page = page(getattr(explore, kind)()._repr_html_())
    controls = page.locator("input")
    if kind == "mask":  # see all keys, so that each tick makes a difference
        controls.first.evaluate(
            "c => { c.value = 5; c.dispatchEvent(new Event('input', {bubbles: true})) }"
        )
    page.keyboard.press("Tab")
    for index in range(controls.count()):
        assert controls.nth(index).evaluate("control => control === document.activeElement")
        assert controls.nth(index).evaluate(
            "control => control.labels[0].innerText.trim().length > 3"
        )
        before = page.locator(".says").inner_text()
        slides = controls.nth(index).get_attribute("type") == "range"
        page.keyboard.press("ArrowLeft" if slides else "Space")
        assert page.locator(".says").inner_text() != before
        page.keyboard.press("ArrowRight" if slides else "Space")
        assert page.locator(".says").inner_text() == before
        page.keyboard.press("Tab")


def test_a_slider_that_moves_is_spoken_of_once(page):
    page = page(explore.location()._repr_html_())
    page.evaluate(
        """() => {
            window.spoken = [];
            for (const region of document.querySelectorAll("[aria-live=polite], output"))
                if (region.getAttribute("aria-live") !== "off")
                    new MutationObserver(() => spoken.push(region.textContent))
                        .observe(region, { childList: true, subtree: true });
        }"""
    )
    slider = page.get_by_role("slider", name="centre")
    for _ in range(5):
        slider.press("ArrowRight")
    page.wait_for_function("spoken.length > 0")
    page.wait_for_timeout(800)
    assert page.evaluate("spoken") == [page.locator(".says").inner_text()]
    assert page.evaluate("spoken[0]").startswith("Centre 4.5")
    assert slider.get_attribute("aria-valuetext") == "4.5"


def test_two_of_a_kind_do_not_meet(page):
    page = page(explore.location()._repr_html_() * 2)
    before = page.locator(".says").nth(1).inner_text()
    page.get_by_role("slider", name="centre").first.press("End")
    assert page.locator(".says").first.inner_text().startswith("Centre 12.0")
    assert page.locator(".says").nth(1).inner_text() == before


def test_the_plain_text_tells_the_first_picture():
    text = repr(explore.mask([1.0, 1.0, 1.0], ["a", "b", "c"]))
    assert "Weights: a 0.50, b 0.50, c masked." in text and "1 of 3 keys is masked" in text


def test_a_half_is_rounded_as_in_the_page(page):
    """1/8 = 0.125 exactly, which Python's own formatting would round down and JavaScript's up."""
    page = page(explore.temperature([1.0] * 8)._repr_html_(), script=False)
    assert page.locator("tbody td").all_text_contents() == ["0.13"] * 8


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: explore.scale(width=48), "width is 48, not a power of two"),
        (lambda: explore.temperature([1.0, np.inf]), "finite numbers"),
        (lambda: explore.mask([[1.0, 2.0]]), "a row of finite numbers"),
        (lambda: explore.mask([1.0, 2.0], ["a"]), "keys: 1 labels for 2 scores"),
    ],
)
def test_what_cannot_be_shown_is_named(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


def test_labels_are_text_and_never_markup():
    html = explore.mask([1.0, 2.0], ["<b>", "&"])._repr_html_()
    assert "<b>" not in html and "&lt;b&gt;" in html and "mask &amp;" in html
