"""A page's text as Colab and Jupyter can show it: plain Markdown for what only the book understands."""

import re
from collections.abc import Callable

TERM = re.compile(r"\{term\}`([^`<]+?)(?:\s*<[^`>]*>)?`")
CITATION = re.compile(r"\{cite[^}]*\}`([^`]+)`")
LINK = re.compile(r"(?<=\])\((?!https?:|#)([^)\s]+)\)")
LABEL = re.compile(r"^\([\w-]+\)=\n", flags=re.M)
QUIZ = re.compile(r"^:::\{quiz\}\n(.*?)^:::$", flags=re.M | re.S)
CHOICE = re.compile(r"^- \[([ x])\] (.+?)\n\n(.*?)(?=^- \[|\Z)", flags=re.M | re.S)


def folded(choice: re.Match[str]) -> str:
    """A choice of a quiz that unfolds its explanation."""
    tick, label, explanation = choice.groups()
    verdict = "**Right.**" if tick == "x" else "**Not right.**"
    return f"<details><summary>{label}</summary>\n\n{verdict} {explanation.strip()}\n\n</details>\n"


def plain(text: str, address_of: Callable[[str], str], bibliography: str) -> str:
    """The text with terms, citations, links between pages, labels and quizzes in plain Markdown."""
    text = QUIZ.sub(lambda quiz: CHOICE.sub(folded, quiz[1]).strip(), text)
    text = TERM.sub(r"\1", LABEL.sub("", text))
    text = CITATION.sub(rf"[\1]({bibliography})", text)
    return LINK.sub(lambda link: f"({address_of(link[1])})", text)
