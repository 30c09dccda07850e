"""The directive ``quiz``: a question, choices to pick from, and an explanation for every choice.

    :::{quiz}
    Which axis does the softmax run along?

    - [ ] The first

      That is the batch.
    - [x] The last

      Each query shares one unit of attention among the keys.
    :::

The question is the first paragraph; the choices are a task list whose right item is ticked; below
each choice stands its explanation. Whether a choice is right is said by the directive, so that the
words cannot contradict the tick. All words are ordinary text of the page: they are searched,
translated through gettext and readable without a script and on paper.
"""

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)

RIGHT, WRONG, SUMMARY = "Right.", "Not right.", "Explanation"


class quiz(nodes.General, nodes.Element):
    """The whole question: a group of radio buttons."""


class quiz_question(nodes.General, nodes.TextElement):
    """What is asked: the group's name."""


class quiz_choice(nodes.General, nodes.Element):
    """One choice with its explanation."""


class quiz_label(nodes.General, nodes.TextElement):
    """The text of a choice: its radio button's name."""


class quiz_explanation(nodes.General, nodes.Element):
    """Why a choice is right or is not; folded away until it is chosen."""


class quiz_summary(nodes.General, nodes.TextElement):
    """What stands on the fold."""


class QuizError(Exception):
    """A sentence for the author of a quiz."""


def tick(item: nodes.Element) -> bool | None:
    """Whether a list's item is ticked; None where it has no box. The box itself is taken away."""
    for node in item.findall(nodes.raw):
        if "task-list-item-checkbox" in node.astext():
            node.parent.remove(node)
            return "checked" in node.astext()
    return None


def retold(kind: type[nodes.TextElement], paragraph: nodes.Element) -> nodes.TextElement:
    """A paragraph's text as a node of another kind, still known to gettext by its source."""
    node = kind(paragraph.rawsource.strip(), "", *paragraph.children)
    node.source, node.line = paragraph.source, paragraph.line
    if node.children and isinstance(first := node[0], nodes.Text):
        node.replace(first, nodes.Text(first.lstrip()))  # the blank behind the box
    return node


class Quiz(SphinxDirective):
    """Parse one question."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        self.assert_has_content()
        body = nodes.Element()
        self.state.nested_parse(self.content, self.content_offset, body)
        try:
            return [self.question(body.children)]
        except QuizError as error:
            logger.warning("quiz: %s", error, location=self.get_location(), type="quiz")
            return body.children

    def question(self, parts: list[nodes.Node]) -> quiz:
        """The whole question, from its parsed parts: a paragraph, anything, a task list."""
        if len(parts) < 2 or not isinstance(parts[0], nodes.paragraph):
            raise QuizError("a question is wanted, then a list of choices")
        asked, *between, choices = parts
        if not isinstance(choices, nodes.bullet_list):
            raise QuizError("the last thing must be the list of choices")
        name = f"quiz-{self.env.new_serialno('quiz') + 1}"
        answers = [
            self.choice(item, f"{name}-{number}")
            for number, item in enumerate(choices.children, start=1)
        ]
        if len(answers) < 2:
            raise QuizError("a question has two choices or more")
        if (right := sum(answer["right"] for answer in answers)) != 1:
            raise QuizError(f"one choice must be ticked as right ([x]), not {right}")
        return quiz("", retold(quiz_question, asked), *between, *answers, name=name)

    def choice(self, item: nodes.Element, identifier: str) -> quiz_choice:
        """One item of the task list: its text, and below it the explanation."""
        right = tick(item)
        text = " ".join(item.astext().split())[:40]
        if right is None:
            raise QuizError(f"the choice {text!r} has no box: write [ ] or [x] before it")
        label, *explanation = item.children
        if not any(part.astext().strip() for part in explanation):
            raise QuizError(f"the choice {text!r} has no explanation below it")
        verdict = self.said(nodes.paragraph, RIGHT if right else WRONG)
        verdict["classes"].append("quiz-verdict")
        return quiz_choice(
            "",
            retold(quiz_label, label),
            quiz_explanation("", self.said(quiz_summary, SUMMARY), verdict, *explanation),
            right=right,
            name=identifier,
        )

    def said(self, kind: type[nodes.TextElement], words: str) -> nodes.TextElement:
        """Words of the directive's own, as text of the page, so that gettext finds them there."""
        node = kind(words, words)
        self.set_source_info(node)
        return node


def visit_quiz(self: Any, node: quiz) -> None:
    """Begin the group of radio buttons."""
    self.body.append(f'<fieldset class="quiz" id="{node["name"]}">\n')


def visit_choice(self: Any, node: quiz_choice) -> None:
    """Begin a choice with its radio button."""
    name = node["name"]
    verdict = "quiz-right" if node["right"] else "quiz-wrong"
    self.body.append(
        f'<div class="quiz-choice {verdict}">\n'
        f'<input type="radio" autocomplete="off" id="{name}" name="{name.rpartition("-")[0]}">\n'
    )


def visit_label(self: Any, node: quiz_label) -> None:
    """Begin the radio button's name."""
    self.body.append(f'<label for="{node.parent["name"]}">')


def opens(markup: str) -> Any:
    """A visitor that writes a start tag."""
    return lambda self, node: self.body.append(markup)


def silent(self: Any, node: nodes.Node) -> None:
    """Write nothing for the node itself; its children are written as they are."""


# node -> what HTML has before it and behind it
HTML = {
    quiz: (visit_quiz, opens("</fieldset>\n")),
    quiz_question: (opens("<legend>"), opens("</legend>\n")),
    quiz_choice: (visit_choice, opens("</div>\n")),
    quiz_label: (visit_label, opens("</label>\n")),
    quiz_explanation: (opens('<details class="quiz-explanation">'), opens("</div></details>\n")),
    quiz_summary: (opens("<summary>"), opens("</summary><div>\n")),
}


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive, and its nodes with every builder."""
    app.add_directive("quiz", Quiz)
    others = dict.fromkeys(("latex", "text", "man", "texinfo"), (silent, silent))
    for node, visitors in HTML.items():
        app.add_node(node, html=visitors, **others)
    app.add_css_file("quiz.css")
    app.add_js_file("quiz.js", loading_method="defer")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
