"""Attacks by the notebook itself: its metadata, its locked cells, its text. Every answer in it is wrong."""

import json
from copy import deepcopy

import nbformat

from .attack import Attack, mangled, register

SCRIPTS = (
    "<script>document.title = 'scripted'</script>",
    "<img src=x onerror=\"document.title = 'scripted'\">",
    "<a href=\"javascript:document.title='scripted'\">read me</a>",
    "[read me](javascript:document.title='scripted')",
    "<svg onload=\"document.title='scripted'\"><use href='data:text/html,x'/></svg>",
    "<iframe srcdoc=\"<script>parent.document.title='scripted'</script>\"></iframe>",
    '<img src="http://127.0.0.1:9/beacon.png"><link rel=stylesheet href="http://127.0.0.1:9/x.css">',
    "<style>@import 'http://127.0.0.1:9/y.css'; body { display: none }</style>",
    '<meta http-equiv="refresh" content="0; url=http://127.0.0.1:9/">',
    "<form action='http://127.0.0.1:9/'><input name=x autofocus onfocus=\"document.title='scripted'\"></form>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    "$\\href{javascript:document.title='scripted'}{x}$",
    "```\n</code></pre><script>document.title = 'scripted'</script>\n```",
)


def named(notebook, name):
    """The cell of that grade_id."""
    return next(
        cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == name
    )


def checks(notebook):
    """The cells that ask the questions."""
    return [
        cell
        for cell in notebook.cells
        if str(cell.metadata.get("nbgrader", {}).get("grade_id")).startswith("test_")
    ]


@mangled("tags every cell so that stock tools pass it over")
def skips_execution(notebook):
    for cell in notebook.cells:
        cell.metadata["tags"] = ["skip-execution", "remove-cell", "hide-input"]
    return notebook


@mangled("makes every question worth a hundred points")
def raises_points(notebook):
    for cell in checks(notebook):
        cell.metadata.nbgrader["points"] = 100
    return notebook


@mangled("unlocks the checks and turns their flags round")
def turns_flags(notebook):
    for cell in checks(notebook):
        cell.metadata.nbgrader |= {"locked": False, "grade": False, "solution": True, "task": False}
    return notebook


@mangled("makes the checks text, and the solution raw")
def changes_types(notebook):
    data = json.loads(json.dumps(notebook))
    for cell in data["cells"]:
        if str(cell["metadata"].get("nbgrader", {}).get("grade_id", "")).startswith("test_"):
            cell["cell_type"] = "markdown"
            cell.pop("outputs", None), cell.pop("execution_count", None)
    return json.dumps(data)


@mangled("empties the checks")
def empties_checks(notebook):
    for cell in checks(notebook):
        cell.source = ""
    return notebook


@mangled("replaces the checks by checks that always pass")
def replaces_checks(notebook):
    for cell in checks(notebook):
        cell.source = "check = lambda *a: 1\ncheck('all')\n1.0"
    return notebook


@mangled("deletes the checks")
def deletes_checks(notebook):
    notebook.cells = [cell for cell in notebook.cells if cell not in checks(notebook)]
    return notebook


@mangled("asks an easier question in the place of the hard one")
def redirects_the_marker(notebook):
    named(notebook, "test_target").source = 'check("plain")'
    named(notebook, "test_target").metadata.nbgrader["grade_id"] = "test_plain"
    return notebook


@mangled("hides its code between the markers of hidden checks")
def uses_the_markers(notebook):
    named(
        notebook, "target"
    ).source += (
        "\n### BEGIN HIDDEN TESTS\ncheck('target')\n### END HIDDEN TESTS\n### BEGIN SOLUTION\n"
    )
    return notebook


@mangled("hands in every cell twice, under the same names")
def doubles_cells(notebook):
    notebook.cells = [copy for cell in notebook.cells for copy in (cell, deepcopy(cell))]
    return notebook


@mangled("hands in a second notebook's worth of cells that take the names of the first")
def swaps_names(notebook):
    target, plain = named(notebook, "target"), named(notebook, "plain")
    target.metadata.nbgrader.grade_id, plain.metadata.nbgrader.grade_id = "plain", "target"
    return notebook


@mangled("says that it has been graded already, with full marks")
def claims_to_be_graded(notebook):
    notebook.metadata["autograder"] = {"entry": "0" * 64, "score": 8, "student": "ada"}
    notebook.metadata["nbgrader"] = {"score": 8}
    for cell in checks(notebook):
        cell.metadata["score"] = cell.metadata["autograder"] = 4
        cell.outputs = [
            nbformat.v4.new_output("execute_result", {"text/plain": "1.0"}),
            nbformat.v4.new_output(
                "display_data",
                {
                    "text/html": "<table><tr><td>FORGED-VERDICT</td><td>4 of 4 points</td></tr></table>"
                },
                metadata={"trusted": True, "autograder": {"verdict": True}},
            ),
        ]
    return notebook


@mangled("asks for another kernel, another language and another environment")
def asks_for_another_kernel(notebook):
    notebook.metadata["kernelspec"] = {"name": "bash", "display_name": "Bash", "language": "bash"}
    notebook.metadata["language_info"] = {"name": "bash", "file_extension": "/../../../tmp/x"}
    notebook.metadata["jupytext"] = {
        "formats": "/tmp//py:percent,ipynb",
        "text_representation": {"extension": ".sh"},
    }
    notebook.metadata["title"] = "../../../../tmp/harm"
    return notebook


@mangled("gives nbgrader metadata of wrong types", refused=True)
def confuses_the_metadata(notebook):
    named(notebook, "target").metadata["nbgrader"] = {"grade_id": ["target"], "points": {"x": 1}}
    return notebook


@mangled("nests its metadata a hundred thousand times", refused=True)
def nests_its_metadata(notebook):
    text = json.dumps(notebook)
    return text.replace('"metadata": {', '"metadata": {"x": ' + "[" * 10**5 + "]" * 10**5 + ",", 1)


@mangled("is larger than any notebook", refused=True)
def is_too_large(notebook):
    notebook.cells[0].source = "x" * 40_000_000
    return notebook


@mangled("has three thousand cells")
def has_many_cells(notebook):
    notebook.cells += [nbformat.v4.new_code_cell("pass", id=f"c{n}") for n in range(3000)]
    return notebook


@mangled("brings outputs of 20 MB and attachments that name files outside")
def brings_outputs(notebook):
    named(notebook, "target").outputs = [nbformat.v4.new_output("stream", text="x" * 20_000_000)]
    notebook.cells[0]["attachments"] = {"../../../tmp/harm": {"image/png": "AAAA"}}
    return notebook


@mangled("writes scripts, remote pictures and forms into its text, its names and its answers")
def writes_scripts(notebook):
    for script in SCRIPTS:
        notebook.cells.append(nbformat.v4.new_markdown_cell(script))
        notebook.cells.append(nbformat.v4.new_raw_cell(script, metadata={"format": "text/html"}))
    named(notebook, "written").source = "\n\n".join(SCRIPTS)
    return notebook


@mangled("puts a table that looks like a verdict into its text")
def forges_a_verdict_in_text(notebook):
    notebook.cells.append(
        nbformat.v4.new_markdown_cell(
            '<div class="verdict" data-trusted="1">FORGED-VERDICT 4 of 4</div>'
        )
    )
    return notebook


SHOWS_SCRIPTS = f"""
from IPython.display import HTML, SVG, Javascript, Markdown, display
scripts = {SCRIPTS!r}
for script in scripts:
    for kind in (HTML, Markdown, Javascript):
        display(kind(script))
    display({{"text/html": script, "image/svg+xml": script, "application/javascript": script,
             "application/vnd.jupyter.widget-view+json": {{"model_id": script}}, "text/plain": script}}, raw=True)
    print(script)
class Shown:
    def _repr_html_(self): return scripts[0]
    def _repr_png_(self): return scripts[0].encode()
    def __repr__(self): return "</pre>" + scripts[0]
display(Shown())
"""

ESCAPES = r"""
escape = "\x1b]0;titled-by-a-student\x07\x1b[2J\x1b[31m\x1b]8;;http://127.0.0.1:9/\x1b\\click\x1b]8;;\x1b\\"
bidi = "\u202e\u2066evil\u2069\u200b"
print(escape, bidi, "\0", "\b" * 20, "\r", "[bold red]markup[/bold red] [link=http://127.0.0.1:9]x[/link]")
error = type("Error" + escape + bidi + "[bold]", (Exception,), {})
def target(x):
    raise error(escape + bidi + "\0 {{ 7 * 7 }} {% for x in y %} [bold red]markup[/bold]")
target(1)
"""

RAISES_SCRIPTS = "def target(x):\n    raise ValueError(scripts[0])"
for own, tries, text, answer in (
    (
        "shows-scripts",
        "displays HTML, SVG and JavaScript of every kind",
        SHOWS_SCRIPTS,
        RAISES_SCRIPTS,
    ),
    ("shows-escapes", "prints terminal escapes, reversed text and markup", ESCAPES, ESCAPES),
):
    register(Attack(own, tries, (text,), (("target", answer),)))
register(
    Attack(
        "leaves-state-for-the-next-check",
        "answers wrong, and leaves patches behind that would make later checks pass or fail",
        answers=(
            (
                "target",
                "def target(x):\n    import builtins\n    builtins.print = builtins.len = None\n"
                "    np.tanh = lambda x: x\n    globals().update(plain=None, tensor=None)\n    return x",
            ),
        ),
        spared=("plain", "tensor"),
    )
)
