"""What a student wrote or printed, made safe to show: HTML that runs nothing, loads nothing, hides nothing."""

import html
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from xml.etree.ElementTree import tostring

import nh3
from latex2mathml.converter import Converter
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup, escape
from mdit_py_plugins.amsmath import amsmath_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer
from pygments.token import STANDARD_TYPES

MAX_TEXT = 20_000  # characters shown of one cell or one output
MAX_FORMULA = 2_000
ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[ -/]*[0-~])")
UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
DEFINES = re.compile(r"\\(\w*newcommand|\w*newenvironment|def|let|DeclareMathOperator)")
LENGTH = re.compile(r"-?\d?(\.\d+)?(em|ex|px)?")  # a formula must not spread over the page

MATHML = (
    "math mrow mi mo mn mtext mspace msub msup msubsup mfrac msqrt mroot mover munder munderover "
    "mtable mtr mtd mstyle mphantom menclose mmultiscripts mprescripts none"
)
MATHML_ATTRIBUTES = (
    "display mathvariant stretchy fence form separator accent accentunder largeop movablelimits "
    "linethickness columnalign columnlines rowlines displaystyle scriptlevel notation"
)
LENGTHS = {"mspace": {"width"}, "mo": {"minsize", "maxsize"}}
TEXT_TAGS = (
    "a abbr b blockquote br code dd del details div dl dt em h2 h3 h4 h5 h6 hr i ins kbd li ol p pre s samp "
    "span strong sub summary sup table tbody td th thead tr u ul var"
)
ATTRIBUTES: dict[str, set[str]] = {
    "a": {"href", "title"},
    "abbr": {"title"},
    "ol": {"start"},
    **{tag: set(MATHML_ATTRIBUTES.split()) | LENGTHS.get(tag, set()) for tag in MATHML.split()},
}
BOX = {"tabindex": {"0"}, "role": {"group"}, "aria-label": {"Table", "Formula"}}


def _bounded_length(tag: str, attribute: str, value: str) -> str | None:
    if attribute in LENGTHS.get(tag, ()) and not LENGTH.fullmatch(value):
        return None
    return value


CLEANER = nh3.Cleaner(
    tags={*TEXT_TAGS.split(), *MATHML.split()},
    attributes=ATTRIBUTES,
    attribute_filter=_bounded_length,
    clean_content_tags={"script", "style"},
    allowed_classes={"div": {"scroll"}, "span": set(STANDARD_TYPES.values()) - {""}},
    tag_attribute_values={"div": BOX},
    set_tag_attribute_values={"pre": {"tabindex": "0"}},
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
    link_rel="nofollow noopener",
)


def visible(text: str) -> str:
    """The text with control characters and what reverses its direction in view, and no lone surrogates."""
    return UNSEEN.sub(_name, text)


def _name(match: re.Match[str]) -> str:
    return f"⟦U+{ord(match[0]):04X}⟧"


def _cut(text: str) -> tuple[str, Markup]:
    """What is shown of a text, and a note where that is not all of it."""
    text = text.replace("\r\n", "\n")
    if len(text) <= MAX_TEXT:
        return text, Markup()
    return text[:MAX_TEXT], Markup(
        '<p class="note">Cut: the first {:,} of {:,} characters are shown.</p>'
    ).format(MAX_TEXT, len(text))


def code_html(source: str) -> Markup:
    """Python code, highlighted by classes of Pygments."""
    shown, note = _cut(source)
    return (
        Markup('<pre class="code" tabindex="0"><code>')
        + _code(shown)
        + Markup("</code></pre>")
        + note
    )


@lru_cache(maxsize=512)
def _code(source: str) -> Markup:
    return Markup(
        highlight(visible(source), PythonLexer(stripnl=False), HtmlFormatter(nowrap=True))
    )


def output_html(text: str) -> Markup:
    """What a program printed: without a terminal's colours and commands, its overwritten lines left out."""
    shown, note = _cut(text)
    lines = (line.rstrip("\r").rsplit("\r", 1)[-1] for line in ANSI.sub("", shown).split("\n"))
    return (
        Markup('<pre tabindex="0">') + escape(visible("\n".join(lines))) + Markup("</pre>") + note
    )


def markdown_html(source: str, level: int = 1) -> tuple[Markup, int]:
    """Markdown as clean HTML, and the level of its last heading.

    Its headings begin one below `level`, the last one before it, at most: none of the page is left out.
    """
    shown, note = _cut(source)
    body, level = _markdown(shown, level)
    return body + note, level


@lru_cache(maxsize=512)
def _markdown(source: str, level: int) -> tuple[Markup, int]:
    tokens = PARSER.parse(visible(source))
    for token in tokens:
        if token.type == "heading_open":
            level = min(int(token.tag[1]) + 1, level + 1, 6)
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{level}"
    return Markup(CLEANER.clean(PARSER.renderer.render(tokens, PARSER.options, {}))), level


def formula_html(latex: str, display: str) -> str:
    """A formula as MathML, or its source where it cannot be converted. To be cleaned with its text."""
    try:
        if len(latex) > MAX_FORMULA or DEFINES.search(latex):
            raise ValueError("not converted: a few definitions can stand for any number of symbols")
        tree = Converter(display=display).convert_to_element(latex)
    except Exception:  # the converter raises as it likes on what it cannot read
        return f"<code>{escape(latex)}</code>"
    for element in tree.iter():  # the converter leaves character references in its texts
        element.text = element.text and html.unescape(element.text)
    return tostring(tree, encoding="unicode")


def _inline_formula(_: Any, tokens: Sequence[Token], index: int, *__: Any) -> str:
    return formula_html(tokens[index].content, "inline")


def _formula(_: Any, tokens: Sequence[Token], index: int, *__: Any) -> str:
    return _box("Formula", formula_html(tokens[index].content, "block"))


def _box(label: str, content: str) -> str:
    """A box of its own for what may be wider than the page; it is reached and scrolled by keyboard."""
    return f'<div class="scroll" tabindex="0" role="group" aria-label="{label}">{content}</div>'


def _picture(_: Any, tokens: Sequence[Token], index: int, *__: Any) -> str:
    token = tokens[index]
    address = str(token.attrs.get("src", ""))[:200]
    return f"[picture not shown: {escape(token.content)} {escape(address)}]"


def _raw_html(_: Any, tokens: Sequence[Token], index: int, *__: Any) -> str:
    """HTML in Markdown, for the cleaner; its headings would upset the order of the page's."""
    return re.sub(r"(?i)(</?)h[1-6]\b", r"\1strong", tokens[index].content)


def _highlight(source: str, language: str, _: str) -> str:
    """A block of code in Markdown. The hand-in does not choose among five hundred lexers."""
    body = _code(source) if language in ("python", "py", "ipython3") else escape(source)
    return f"<pre><code>{body}</code></pre>"


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"highlight": _highlight})
    # Thousands of reference definitions would take their square in time.
    parser.enable(["table", "strikethrough"]).disable("reference")
    dollarmath_plugin(parser, allow_labels=False, allow_digits=False, double_inline=True)
    amsmath_plugin(parser)
    rules = {
        "math_inline": _inline_formula,
        "math_inline_double": _formula,
        "math_block": _formula,
        "amsmath": _formula,
        "image": _picture,
        "html_block": _raw_html,
        "html_inline": _raw_html,
        "table_open": lambda *_: _box("Table", "<table>").removesuffix("</div>"),
        "table_close": lambda *_: "</table></div>",
    }
    for name, rule in rules.items():
        parser.add_render_rule(name, rule)
    return parser


PARSER = _parser()

# No context decides whether these apply, so that no other reader of Markdown can see it differently.
DISARMED = (
    (re.compile(r"[\x00-\x08\x0b-\x1f\x7f]"), ""),
    (re.compile(r"<(?=[A-Za-z/!?])"), "< "),  # no tag, no comment, no <address>
    (re.compile(r"!\["), "! ["),  # no picture
    (
        re.compile(r"\](?=\((?!https?://[\w./?=&%~+#:,-]*\)))"),
        "] ",
    ),  # no link but to plain addresses
    (re.compile(r"\](?=:)"), "] "),  # no address given elsewhere in the text
    (re.compile(r"([`~])[ \t]*(?=mermaid)", re.IGNORECASE), r"\1text "),  # no diagram program
)


def harmless(markdown: str) -> str:
    """The Markdown of a student's cell as any program may render it: no HTML, no picture, no odd link.

    A space breaks what could be one, so that it stays readable: `<script>` becomes `< script>`.
    """
    for pattern, replacement in DISARMED:
        markdown = pattern.sub(replacement, markdown)
    return markdown
