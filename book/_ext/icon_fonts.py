"""The theme's icon fonts, reduced to the icons that the site shows: 300 KB become 10.

Font Awesome has two thousand icons; a page shows about twenty. The theme's icon *script*, 1.5 MB, is
left out by ``_templates/layout.html``.
"""

import re
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont
from sphinx.application import Sphinx

# ".fa-sun:before{content:"\f185"}": what an icon's name stands for.
NAMED = re.compile(r"((?:\.fa-[\w-]+:before,?)+)\{content:\"\\([ef][0-9a-f]{3})\"\}")
# An icon that a style sheet draws by itself, as a character or as its number.
DRAWN = re.compile(r"[\ue000-\uf8ff]|\\[ef][0-9a-f]{3}\b")


def shown_icons(site: Path) -> set[int]:
    """The code points of the icons that pages and scripts name or style sheets draw by themselves."""
    code_of: dict[str, int] = {}
    shown = set()
    for sheet in site.glob("_static/**/*.css"):
        style = sheet.read_text(encoding="utf-8")
        for names, code in NAMED.findall(style):
            code_of |= dict.fromkeys(re.findall(r"fa-[\w-]+", names), int(code, 16))
        for icon in DRAWN.findall(NAMED.sub("", style)):
            shown.add(ord(icon) if len(icon) == 1 else int(icon[1:], 16))
    for file in [*site.rglob("*.html"), *site.glob("_static/**/*.js")]:
        if file.name != "fontawesome.js":  # which names them all
            names = re.findall(r"\bfa-[\w-]+", file.read_text(encoding="utf-8"))
            shown |= {code_of[name] for name in names if name in code_of}
    return shown


def reduce_fonts(app: Sphinx, error: Exception | None) -> None:
    """Rewrite the copied fonts when the site is written."""
    site = Path(app.outdir)
    fonts = sorted(site.glob("_static/vendor/fontawesome/webfonts/*.woff2"))
    if error or not fonts:
        return
    options = subset.Options(flavor="woff2", notdef_outline=True)
    icons = shown_icons(site)
    for path in fonts:
        with TTFont(path.with_suffix(".ttf"), recalcTimestamp=False) as font:
            subsetter = subset.Subsetter(options)
            subsetter.populate(unicodes=icons)
            subsetter.subset(font)
            subset.save_font(font, path, options)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the reduction with Sphinx."""
    app.connect("build-finished", reduce_fonts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
