"""The attention figure: its table, what it refuses, and how it answers to pointer and keyboard."""

import fnmatch
import gzip
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from attend.plots import show_attention

ROOT = Path(__file__).parents[2]
WORDS = ["the", "cat", "sat", "on", "mat"]
CAUSAL = np.tril(np.ones((5, 5), dtype=bool))


def softmax(scores: np.ndarray) -> np.ndarray:
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def random_weights(*shape: int, mask: np.ndarray | bool = True) -> np.ndarray:
    scores = np.random.default_rng(0).normal(size=shape)
    return softmax(np.where(mask, scores, -np.inf))


ONE = np.array([[0.43, 0.17, 0.4], [0.1, 0.1, 0.8]])


# The table


def test_the_table_has_caption_headers_and_every_weight():
    html = show_attention(ONE, queries=["on", "by"], keys=["cat", "mat", "hat"])._repr_html_()
    assert html.count("<table>") == 1
    assert "<caption>Attention weights</caption>" in html
    assert re.findall(r'<th scope="col">(\w+)</th>', html) == ["cat", "mat", "hat"]
    assert re.findall(r'<th scope="row">(\w+)</th>', html) == ["on", "by"]
    shown = [float(weight) for weight in re.findall(r"<td[^>]*>([\d.]+)</td>", html)]
    np.testing.assert_allclose(shown, ONE.ravel())


def test_there_is_one_table_for_each_head():
    html = show_attention(random_weights(4, 3, 5), heads=["a", "b", "c", "d"])._repr_html_()
    captions = re.findall(r"<caption>(.*?)</caption>", html)
    assert captions == [f"Attention weights, {name}" for name in "abcd"]


def test_a_masked_cell_says_so():
    weights = random_weights(5, 5, mask=CAUSAL)
    html = show_attention(weights, WORDS, WORDS, mask=CAUSAL)._repr_html_()
    assert html.count('<td class="masked"><span>masked</span></td>') == 10
    assert "hatched: masked" in html


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor(ONE, requires_grad=True),
        torch.tensor(ONE, dtype=torch.float32),
        torch.tensor(ONE, dtype=torch.bfloat16),
    ],
    ids=["with a gradient", "float32", "bfloat16"],
)
def test_a_tensor_is_shown_like_an_array(tensor):
    mask = torch.ones(2, 3, dtype=torch.bool)
    figure = show_attention(tensor, mask=mask)
    assert figure._repr_html_() == show_attention(ONE)._repr_html_()


def test_labels_are_text_and_never_markup():
    evil = ['<img src=x onerror="x()">', "a&b", '"']
    html = show_attention([ONE, ONE], ["<b>", "'"], evil, heads=["<i>", "&"], caption="<u>")
    shown = html._repr_html_().split("</style>")[1].split("<script")[0]
    tags = {"attend-attention", "div", "table", "caption", "thead", "tbody", "tr", "td", "th"}
    assert set(re.findall(r"<([\w-]+)", shown)) == tags
    assert "a&amp;b" in html._repr_html_()


def test_labels_that_cannot_be_seen_are_made_visible():
    html = show_attention(ONE, ["\n", ""], [" ", "  ", "a\nb"])._repr_html_()
    for label in ("⏎", "∅", "␣", "␣␣", "a⏎b"):
        assert f">{label}</th>" in html


# The sentences


@pytest.mark.parametrize(
    ("row", "mask", "sentence"),
    [
        ([0.43, 0.17, 0.4], None, "“on” looks most at “cat” (0.43)"),
        ([0.4, 0.2, 0.4], None, "“on” looks most at “cat” and “hat” (0.40 each)"),
        ([1 / 3, 1 / 3, 1 / 3], None, "“on” looks equally at 3 keys (0.33 each)"),
        ([0.5, 0.5, 0.0], [1, 1, 0], "“on” looks equally at 2 keys (0.50 each)"),
        ([0.0, 0.0, 0.0], [0, 0, 0], "“on” looks nowhere: every key is masked"),
    ],
)
def test_a_row_is_told_in_words(row, mask, sentence):
    figure = show_attention([row], ["on"], ["cat", "mat", "hat"], mask=mask)
    assert sentence in repr(figure)
    assert f'data-says="{sentence}"' in figure._repr_html_()


def test_words_that_occur_twice_are_told_by_their_position():
    figure = show_attention(ONE, ["the", "the"], ["cat", "the", "the"])
    assert "“the” at 1 looks most at “cat” (0.43)\n“the” at 2 looks most at “the” at 3" in repr(
        figure
    )


def test_the_plain_text_stays_short():
    text = repr(show_attention(random_weights(2, 64, 64)))
    assert text.startswith("Attention weights: 64 queries, 64 keys\nhead 1\n“q1” looks most at")
    assert len(text.splitlines()) < 30


# What is refused

NOT_A_NUMBER = ONE.copy()
NOT_A_NUMBER[1, 2] = np.nan
COLUMNS = np.array([[0.5, 0.9, 0.9], [0.5, 0.1, 0.1]])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"weights": ONE[0]}, r"shape \(3,\), not \(n, m\) or \(heads, n, m\)"),
        ({"weights": ONE[None, None]}, r"shape \(1, 1, 2, 3\).*weights\[0\]"),
        ({"weights": np.ones((0, 3))}, r"shape \(0, 3\)"),
        ({"weights": ONE.astype(str)}, "real numbers are needed"),
        ({"weights": NOT_A_NUMBER}, r"query 2 \(“q2”\) for key 3 \(“k3”\) is not a number"),
        ({"weights": [NOT_A_NUMBER] * 2}, r"for key 3 \(“k3”\) in head 1 is not a number"),
        ({"weights": ONE - 0.2}, r"query 1 \(“q1”\) for key 2.* is -0\.03.* before the softmax"),
        ({"weights": ONE * 2}, r"of query 1 \(“q1”\) sum to 2, not to 1; each query shares"),
        ({"weights": COLUMNS}, "sum to 2.3, not to 1; the columns do"),
        ({"weights": ONE * [[0], [1]]}, "query 1 .* sum to 0, not to 1"),
        ({"weights": ONE * np.inf}, "sum to inf, not to 1"),
        ({"queries": ["on"]}, "queries: 1 labels for 2"),
        ({"keys": ["on"] * 2}, "keys: 2 labels for 3"),
        ({"heads": ["a", "b"]}, "heads: 2 labels for 1"),
        ({"mask": np.ones((3, 2), dtype=bool)}, r"mask has shape \(3, 2\), weights have \(2, 3\)"),
        ({"mask": [[0.0, -np.inf, 0.0]]}, "mask is true where a query may look"),
        (
            {"mask": [[True, False, True]]},
            r"query 1 .* key 2 \(“k2”\) is 0\.17, and the mask forbids",
        ),
    ],
)
def test_what_is_no_attention_is_named(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        show_attention(**{"weights": ONE} | arguments)


def test_rounding_is_no_fault():
    show_attention(random_weights(64, 64).astype(np.float32))
    show_attention(torch.tensor(random_weights(64, 64), dtype=torch.bfloat16))


# In the browser


def said(page, index: int = 0) -> str:
    return page.locator("attend-attention .says").nth(index).inner_text()


def figure(heads: int = 1, names: list[str] | None = None) -> str:
    weights = random_weights(heads, 5, 5, mask=CAUSAL)
    return show_attention(weights, WORDS, WORDS, mask=CAUSAL, heads=names)._repr_html_()


def test_pointing_at_a_row_lights_it_and_says_where_it_looks(page):
    page = page(show_attention(ONE, ["on", "by"], ["cat", "mat", "hat"])._repr_html_())
    page.get_by_role("rowheader", name="on").hover()
    assert said(page) == "“on” looks most at “cat” (0.43)"
    assert page.locator("tr.lit th").all_inner_texts() == ["on"]
    page.get_by_text("0.80").hover()
    assert said(page) == "“by” looks most at “hat” (0.80); “by” looks at “hat” with 0.80"
    assert page.locator("tr.lit th").all_inner_texts() == ["by"]
    page.mouse.move(0, 0)
    assert page.locator("tr.lit").count() == 0
    assert page.locator(".says").get_attribute("aria-live") == "polite"


def test_every_weight_is_read_by_arrow_keys(page):
    page = page(figure() + "<button>after</button>")
    page.keyboard.press("Tab")
    assert said(page) == "“the” looks most at “the” (1.00)"
    weights = random_weights(1, 5, 5, mask=CAUSAL)[0]
    for i, query in enumerate(WORDS):
        for j, key in enumerate(WORDS):
            page.keyboard.press("ArrowRight")
            told = f"looks at “{key}” with {weights[i, j]:.2f}"
            if not CAUSAL[i, j]:
                told = f"may not look at “{key}”: masked"
            assert said(page) == f"“{query}” {told}"
        page.keyboard.press("ArrowRight")  # nothing is further right
        assert page.locator(":focus").evaluate("cell => cell.cellIndex") == 5
        page.keyboard.press("Home")
        assert "looks most at" in said(page)
        page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    page.keyboard.press("ArrowUp")
    assert said(page) == "“on” may not look at “mat”: masked"
    page.keyboard.press("Tab")  # the table is one stop
    assert page.locator(":focus").inner_text() == "after"
    assert page.locator("tr.lit").count() == 0


def test_heads_are_switched_by_keyboard_and_keep_the_row(page):
    page = page(figure(3, names=["first", "second", "third"]))
    page.get_by_role("rowheader", name="sat").hover()
    page.mouse.move(0, 0)
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("group", name="Show").get_by_role("radio", checked=True).count() == 1
    assert (
        page.locator("caption:visible").all_inner_texts()[0].startswith("Attention weights, second")
    )
    assert page.locator("table:visible").count() == 1
    assert re.fullmatch(r"second: “sat” looks .*", said(page))


def test_without_a_script_every_head_can_be_read(page):
    weights = random_weights(3, 20, 20)
    page = page(show_attention(weights)._repr_html_(), script=False)
    assert page.locator("table:visible").count() == 3
    assert page.locator("fieldset, .says").count() == 0
    cell = page.locator("tbody td").first
    assert cell.evaluate("cell => parseFloat(getComputedStyle(cell).fontSize)") > 8
    assert cell.inner_text() == f"{weights[0, 0, 0]:.2f}"


def test_in_print_every_head_can_be_read(page):
    page = page(figure(3))
    assert page.locator("table:visible").count() == 1
    page.emulate_media(media="print")
    assert page.locator("table:visible").count() == 3
    assert page.locator("input:visible, .says:visible").count() == 0


@pytest.mark.parametrize("dark", [False, True])
def test_a_masked_cell_is_hatched_and_the_ink_is_the_hosts(page, dark):
    ink = "rgb(230, 230, 230)" if dark else "rgb(20, 20, 20)"
    page = page(f'<div style="color: {ink}">{figure()}</div>')
    style = "cell => [getComputedStyle(cell).backgroundImage, getComputedStyle(cell).color]"
    image, colour = page.locator("td.masked").first.evaluate(style)
    assert image.startswith("repeating-linear-gradient") and colour == ink
    image, colour = page.locator("tbody td:not(.masked)").first.evaluate(style)
    assert image == "none" and colour == ink


def test_figures_that_come_late_and_repeat_do_not_clash(page):
    """As JupyterLab does it: markup first, then the scripts are put in anew, once for each output."""
    page = page("<div id=first></div><div id=second></div>")
    for place in ("first", "second"):
        page.evaluate(
            """([place, html]) => {
                const output = document.getElementById(place);
                output.innerHTML = html;
                for (const dead of output.querySelectorAll("script")) {
                    const script = document.createElement("script");
                    script.textContent = dead.textContent;
                    dead.replaceWith(script);
                }
            }""",
            [place, figure(2)],
        )
    second = page.locator("#second")
    second.get_by_label("head 2").check()
    assert page.locator("#first").get_by_label("head 1").is_checked()
    second.locator("tbody:visible th").nth(3).hover()
    assert "“on”" in said(page, 1) and "Point at" in said(page, 0)
    assert page.locator(".says").count() == 2


def test_a_large_figure_stays_light(page):
    """64 × 64 tokens × 8 heads: little to load, and a hover touches a handful of elements."""
    mask = np.tril(np.ones((64, 64), dtype=bool))
    html = show_attention(random_weights(8, 64, 64, mask=mask), mask=mask)._repr_html_()
    assert len(gzip.compress(html.encode())) < 100 * 1024
    page = page(html)
    assert page.locator("table:visible").count() == 1
    page.evaluate(
        """() => {
            window.touched = new Set();
            new MutationObserver((records) => records.forEach((record) => touched.add(record.target)))
                .observe(document.body, { subtree: true, childList: true, attributes: true });
        }"""
    )
    page.get_by_role("rowheader", name="q40").hover()
    page.get_by_role("rowheader", name="q41").hover()
    assert said(page).startswith("“q41” looks")
    assert page.evaluate("touched.size") <= 5
    # A picture for the eye; the numbers stay for everyone else.
    cell = page.locator("tbody:visible tr").nth(5).locator("td").first
    assert cell.bounding_box()["width"] < 14
    assert re.fullmatch(r"0|[01]\.\d\d", cell.text_content())


# In the book and in the package

MINI_BOOK = {
    "_config.yml": f"""
title: A book
only_build_toc_files: true
execute: {{execute_notebooks: force}}
sphinx:
  local_extensions:
    alternative_text: {ROOT / "book/_ext"}
    attend_figures: {ROOT / "book/_ext"}
  config:
    nb_execution_raise_on_error: true
""",
    "_toc.yml": "format: jb-book\nroot: page\nchapters:\n- file: other\n",
    "other.md": "# No figure here\n",
    "page.md": """---
jupytext:
  text_representation: {extension: .md, format_name: myst}
kernelspec: {display_name: Python 3, language: python, name: python3}
---

# A page

```{code-cell} ipython3
import numpy as np
from attend import explore
from attend.plots import show_attention
show_attention(np.eye(3))
```

```{code-cell} ipython3
show_attention(np.full((2, 4, 5), 0.2))
```

"""
    + "\n".join(
        f"```{{code-cell}} ipython3\nexplore.{kind}()\n```\n"
        for kind in ("scale", "temperature", "mask", "location")
    ),
}


@pytest.fixture(scope="module")
def book(tmp_path_factory) -> Path:
    """The built folder of a book whose one page holds every figure."""
    project = tmp_path_factory.mktemp("figures")
    for name, text in MINI_BOOK.items():
        (project / name).write_text(text, encoding="utf-8")
    (project / "book").mkdir()
    (project / "book" / "attend").symlink_to(ROOT / "book" / "attend")
    result = subprocess.run(
        [Path(sys.executable).with_name("jupyter-book"), "build", ".", "-W", "--keep-going"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return project / "_build" / "html"


def test_the_book_serves_the_files_once_and_only_where_a_figure_is(book):
    page, other = ((book / f"{name}.html").read_text() for name in ("page", "other"))
    assert page.count("<attend-attention") == 2 and page.count("<attend-explore") == 4
    assert "data-attend=" not in page
    for name in ("attention.css", "attention.js", "explore.css", "explore.js"):
        assert len(re.findall(rf'(?:href|src)="_static/attend/{name}\?v=\w+"', page)) == 1
        assert (book / "_static/attend" / name).read_text() == (
            ROOT / "book/attend" / name
        ).read_text()
    assert "_static/attend/" not in other


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
def test_in_the_book_figures_work_and_stand_on_the_pages_own_ground(browser, book, scheme, width):
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 900}, offline=True
    )
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((book / "page.html").as_uri())
    page.locator(f"html[data-theme={scheme}]").wait_for()
    page.locator("attend-attention:defined, attend-explore:defined").first.wait_for()
    page.locator("attend-attention").nth(1).locator("tbody:visible th").nth(2).hover()
    assert said(page, 1) == "“q3” looks equally at 5 keys (0.20 each)"
    for place in page.locator(".attend-figure").all():
        ground = "place => getComputedStyle(place.closest('.text_html')).backgroundColor"
        assert place.evaluate(ground) == "rgba(0, 0, 0, 0)"
        ink = "place => getComputedStyle(place).color === getComputedStyle(place.closest('article')).color"
        assert place.evaluate(ink)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert not [
        error for error in errors if "THEBE_JS_URL" not in error
    ]  # the stock theme's own fault
    context.close()


def test_the_package_holds_what_its_figures_carry():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = settings["tool"]["setuptools"]["package-data"]["attend"]
    files = [
        path.name for path in (ROOT / "book/attend").iterdir() if path.suffix in (".css", ".js")
    ]
    assert len(files) == 4
    for name in files:
        assert any(fnmatch.fnmatch(name, pattern) for pattern in patterns)
