"""NumPy cells and their PyTorch twins side by side, from the cells' tags alone.

A code cell tagged ``numpy`` and the cell tagged ``torch`` right below it become a pair, which the
style sheet lays side by side where there is room for both and the script can narrow to either one.
"""

from docutils import nodes
from sphinx.application import Sphinx


def is_cell(node: nodes.Node, tag: str) -> bool:
    """Whether a node is a notebook's code cell with this tag."""
    return isinstance(node, nodes.container) and {"cell", f"tag_{tag}"} <= set(node["classes"])


def pair_up(app: Sphinx, doctree: nodes.document) -> None:
    """Put each pair of adjacent twins into a box of their own."""
    for cell in list(doctree.findall(lambda node: is_cell(node, "numpy"))):
        section, place = cell.parent, cell.parent.index(cell)
        after = section[place + 1 : place + 2]
        if after and is_cell(after[0], "torch"):
            twins = after[0]
            section.remove(twins)
            # Two boxes: the outer one is measured, the inner one arranged by what was measured.
            inner = nodes.container("", classes=["twins-cells"])
            section[place] = nodes.container("", inner, classes=["twins"])
            inner += [cell, twins]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the pairing with Sphinx."""
    app.connect("doctree-read", pair_up)
    app.add_css_file("twins.css")
    app.add_js_file("twins.js", loading_method="defer")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
