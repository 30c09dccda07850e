"""The definition of a term where it is used: shown when its link is pointed at or has the focus.

``{term}`` links to the glossary, which is the definitions' only source. Each page that uses terms is
given their definitions, hidden, below its text; ``glossary_hover.js`` shows them.
"""

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx


def terms_used(doctree: nodes.document) -> list[str]:
    """The glossary's identifiers of the terms that a page links, each once, in reading order."""
    links = [
        link
        for link in doctree.findall(nodes.reference)
        if any("std-term" in child.get("classes", []) for child in link.findall(nodes.inline))
    ]
    targets = [link.get("refid") or link.get("refuri", "").rpartition("#")[2] for link in links]
    return list(dict.fromkeys(target for target in targets if target))


def definitions(app: Sphinx) -> dict[str, nodes.Element]:
    """The first paragraph of every definition of the book, by the term's identifier."""
    pages = {place[0] for place in app.env.get_domain("std")._terms.values()}
    return {
        identifier: item.next_node(nodes.definition).next_node(nodes.paragraph)
        for page in sorted(pages)
        for item in app.env.get_doctree(page).findall(nodes.definition_list_item)
        for term in item.findall(nodes.term)
        for identifier in term["ids"]
    }


def as_plain_text(paragraph: nodes.Element) -> nodes.Element:
    """A copy without links: what pops up cannot be clicked."""
    copy = paragraph.deepcopy()
    for link in list(copy.findall(lambda node: node.tagname in ("pending_xref", "reference"))):
        link.replace_self(nodes.inline("", link.astext()))
    return copy


def add_definitions(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """Put the definitions of a page's terms below its text."""
    if doctree is None or not (used := terms_used(doctree)):
        return
    known = definitions(app)
    # Into the finished body and not into the tree: the search should find the glossary, not every use.
    context["body"] += "".join(
        f'<div role="tooltip" class="definition" id="definition-{identifier}" hidden>'
        f"{app.builder.render_partial(as_plain_text(known[identifier]))['fragment']}</div>\n"
        for identifier in used
        if identifier in known
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the definitions with Sphinx."""
    app.connect("html-page-context", add_definitions, priority=700)
    app.add_css_file("glossary_hover.css")
    app.add_js_file("glossary_hover.js", loading_method="defer")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
