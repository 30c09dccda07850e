"""Rules on the code itself: what is read in any disguise, what is left in peace, and what the trap adds."""

import sys
import types

import numpy as np
import pytest
import torch

from autograder.judge import shape, values
from autograder.program import Program, located
from autograder.question import Aspect, Case, Question
from autograder.report.feedback import verdict_html, verdict_text
from autograder.rules import Forbidden, NoLoops, Required
from autograder.shell.inside import driver
from autograder.shell.inside.wire import WireError
from autograder.shell.limits import Limits
from autograder.shell.session import Session, decode_reply
from autograder.statements import Cell, pieces
from autograder.verdict import decide

FUSED = "torch.nn.functional.scaled_dot_product_attention"
RULE = Forbidden(names=(FUSED,), why="write the attention yourself")
MODULE = Forbidden(names=("torch.nn.functional",), what="ready-made functions", why="do the sums")
METHOD = Forbidden(names=("torch.Tensor.backward",), why="differentiate by hand")
SETUP = Cell("import math\nimport numpy as np\nimport torch\nimport torch.nn.functional as F\n")


def breach(rule, *sources, reported=()):
    cells = [source if isinstance(source, Cell) else Cell(source) for source in sources]
    return rule.breach(Program([SETUP, *cells]), "answer", reported)


USES = {
    "by its full name": f"def answer(x):\n    return {FUSED}(x, x, x)",
    "by the set-up's alias": "def answer(x):\n    return F.scaled_dot_product_attention(x, x, x)",
    "imported under another name": (
        "from torch.nn.functional import scaled_dot_product_attention as mine\n"
        "def answer(x):\n    return mine(x, x, x)"
    ),
    "imported inside": (
        "def answer(x):\n    from torch.nn import functional as g\n"
        "    return g.scaled_dot_product_attention(x, x, x)"
    ),
    "imported with a star": (
        "from torch.nn.functional import *\n"
        "def answer(x):\n    return scaled_dot_product_attention(x, x, x)"
    ),
    "a module under a local name": (
        "def answer(x):\n    n, k = torch.nn, 3\n    f = n.functional\n"
        "    return f.scaled_dot_product_attention(x, x, x)"
    ),
    "kept in a variable": (
        "attend = F.scaled_dot_product_attention\ndef answer(x):\n    return attend(x, x, x)"
    ),
    "as a default": ("def answer(x, f=F.scaled_dot_product_attention):\n    return f(x, x, x)"),
    "as a module by default": (
        "def answer(x, f=F):\n    return f.scaled_dot_product_attention(x, x, x)"
    ),
    "in a helper": (
        "def help(x):\n    return F.scaled_dot_product_attention(x, x, x)\n"
        "def answer(x):\n    return help(x)"
    ),
    "in a helper's helper, defined below": (
        "def answer(x):\n    return one(x)\ndef one(x):\n    return two(x)\n"
        "two = lambda x: F.scaled_dot_product_attention(x, x, x)"
    ),
    "in a base class": (
        "class Base:\n    def go(self, x):\n        return F.scaled_dot_product_attention(x, x, x)\n"
        "class answer(Base):\n    pass"
    ),
    "in a method put in later": (
        "class answer:\n    pass\n"
        "def forward(self, x):\n    return F.scaled_dot_product_attention(x, x, x)\n"
        "answer.forward = forward"
    ),
    "by setattr": (
        "class answer:\n    pass\n"
        "setattr(answer, 'forward', lambda self, x: F.scaled_dot_product_attention(x, x, x))"
    ),
    "in a decorator": (
        "def fused(f):\n    return lambda x: F.scaled_dot_product_attention(x, x, x)\n"
        "@fused\ndef answer(x):\n    return x"
    ),
    "by getattr": (
        'def answer(x):\n    return getattr(F, "scaled_dot_product_attention")(x, x, x)'
    ),
    "by getattr in parts": (
        'START = "scaled_dot"\n'
        'def answer(x):\n    return getattr(F, f"{START}_product" + "_attention")(x, x, x)'
    ),
    "by getattr joined": (
        "def answer(x):\n"
        '    return getattr(F, "_".join(["scaled", "dot", "product", "attention"]))(x, x, x)'
    ),
    "by its dictionary": (
        'def answer(x):\n    return F.__dict__["scaled_dot_product_attention"](x, x, x)'
    ),
    "by vars": 'def answer(x):\n    return vars(F)["scaled_dot_product_attention"](x, x, x)',
    "by importlib": (
        "import importlib\ndef answer(x):\n"
        '    f = importlib.import_module("torch.nn.functional")\n'
        "    return f.scaled_dot_product_attention(x, x, x)"
    ),
    "by __import__": (
        "def answer(x):\n"
        '    return __import__("torch").nn.functional.scaled_dot_product_attention(x, x, x)'
    ),
    "by sys.modules": (
        "import sys\ndef answer(x):\n"
        '    return sys.modules["torch.nn.functional"].scaled_dot_product_attention(x, x, x)'
    ),
    "by globals": (
        'def answer(x):\n    return globals()["F"].scaled_dot_product_attention(x, x, x)'
    ),
    "put into globals": (
        "def answer(x):\n    return x\n"
        "globals()['answer'] = lambda x: F.scaled_dot_product_attention(x, x, x)"
    ),
    "at its other home": (
        "def answer(x):\n    return torch._C._nn.scaled_dot_product_attention(x, x, x)"
    ),
    "as an argument": (
        "import functools\ndef answer(x):\n"
        "    return functools.partial(F.scaled_dot_product_attention, x)(x, x)"
    ),
    "in one of two ways": (
        "def answer(x):\n    f = F if x is None else torch.nn.functional\n"
        "    return f.scaled_dot_product_attention(x, x, x)"
    ),
    "by exec": (
        "def answer(x):\n    here = {}\n"
        '    exec("y = F.scaled_dot_product_attention(x, x, x)", globals(), here)\n'
        '    return here["y"]'
    ),
    "defined by exec": (
        'exec("def answer(x):\\n    return F.scaled_dot_product_attention(x, x, x)")'
    ),
    "below a cell magic": (
        "%%time\ndef answer(x):\n    return F.scaled_dot_product_attention(x, x, x)"
    ),
    "beside line magics": (
        "%matplotlib inline\n!ls\ndef answer(x):\n"
        "    return F.scaled_dot_product_attention(x, x, x)"
    ),
    "in a class body": "class answer:\n    attend = F.scaled_dot_product_attention",
    "under a name that the class body has too": (
        "f = F\nclass answer:\n    f = math\n    def go(self, x):\n"
        "        return f.scaled_dot_product_attention(x, x, x)"
    ),
    "in a comprehension": (
        "def answer(x):\n    return [f.scaled_dot_product_attention(x, x, x) for f in (F,)]"
    ),
    "by walrus": (
        "def answer(x):\n    if (f := F):\n        return f.scaled_dot_product_attention(x, x, x)"
    ),
    "by a nested function": (
        "def answer(x):\n    f = F\n    def inner():\n"
        "        return f.scaled_dot_product_attention(x, x, x)\n    return inner()"
    ),
    "where a definition may not have run": (
        "def answer(x):\n    return F.scaled_dot_product_attention(x, x, x)\n"
        "if False:\n    def answer(x):\n        return x"
    ),
}


@pytest.mark.parametrize("source", USES.values(), ids=USES)
def test_a_use_is_found_in_every_disguise(source):
    assert breach(RULE, source)
    assert breach(MODULE, source)


INNOCENT = {
    "a mention in a comment": "def answer(x):\n    # not F.scaled_dot_product_attention\n    return x",
    "a mention in a text": (
        'def answer(x):\n    """As F.scaled_dot_product_attention(x, x, x)."""\n'
        '    print("F.scaled_dot_product_attention")\n    return x'
    ),
    "an unused import": (
        "from torch.nn.functional import scaled_dot_product_attention\ndef answer(x):\n    return x"
    ),
    "another cell's comparison": (
        "def answer(x):\n    return x\n"
        "expected = F.scaled_dot_product_attention(torch.ones(1), torch.ones(1), torch.ones(1))\n"
        "assert torch.equal(answer(expected), expected)"
    ),
    "a function that is never called": (
        "def other(x):\n    return F.scaled_dot_product_attention(x, x, x)\n"
        "def answer(x):\n    return x"
    ),
    "a local name like a global one": (
        "attend = F.scaled_dot_product_attention\n"
        "def answer(x):\n    attend = x + 1\n    return attend"
    ),
    "a parameter like a global one": (
        "attend = F.scaled_dot_product_attention\ndef answer(attend):\n    return attend"
    ),
    "a loop variable like a global one": (
        "attend = F.scaled_dot_product_attention\n"
        "def answer(x):\n    return [attend for attend in x]"
    ),
    "a method of one's own of that name": (
        "class Mine:\n    def scaled_dot_product_attention(self, x):\n        return x\n"
        "def answer(x):\n    return Mine().scaled_dot_product_attention(x)"
    ),
    "a function of one's own of that name": (
        "def scaled_dot_product_attention(x):\n    return x\n"
        "def answer(x):\n    return scaled_dot_product_attention(x)"
    ),
    "a first try that was replaced": (
        "def answer(x):\n    return F.scaled_dot_product_attention(x, x, x)\n"
        "def answer(x):\n    return x"
    ),
    "an alias that was replaced": (
        "attend = F.scaled_dot_product_attention\ndef attend(x):\n    return x\n"
        "def answer(x):\n    return attend(x)"
    ),
    "a loop of tests around a name": (
        "for n in (1, 2):\n    width = n\n    F.scaled_dot_product_attention(torch.ones(n), 1, 1)\n"
        "def answer(x):\n    return x / width"
    ),
    "a text that is not run": (
        'def answer(x):\n    text = "F.scaled_dot_product_attention(x)"\n    return x'
    ),
}


@pytest.mark.parametrize("source", INNOCENT.values(), ids=INNOCENT)
def test_who_does_not_use_it_is_not_accused(source):
    assert breach(RULE, source) == ""
    assert breach(MODULE, source) == ""


def test_a_replaced_first_try_counts_where_an_error_ended_the_second():
    first = "def answer(x):\n    return F.scaled_dot_product_attention(x, x, x)"
    second = "1 / 0\ndef answer(x):\n    return x"
    assert breach(RULE, first, Cell(second, finished=True)) == ""
    assert breach(RULE, first, Cell(second, finished=False))


def test_the_sentence_names_the_rule_the_line_and_what_to_do():
    source = "\n\ndef answer(x):\n    y = x\n    return F.scaled_dot_product_attention(y, `y`, y)"
    assert breach(RULE, source.replace("`", "")) == (
        f"The task forbids `{FUSED}`: write the attention yourself. "
        "Line 5 of its cell uses it: `return F.scaled_dot_product_attention(y, y, y)`."
    )
    below_magics = "\n\n%%time\n\ndef answer(x):\n    return F.softmax(x)"
    assert "ready-made functions (here `torch.nn.functional.softmax`)" in breach(
        MODULE, below_magics
    )
    assert "Line 6 of its cell uses it: `return F.softmax(x)`." in breach(MODULE, below_magics)


@pytest.mark.parametrize(
    "call",
    [
        "x.sum().backward()",
        "torch.Tensor.backward(x.sum())",
        'getattr(x.sum(), "backward")()',
        '__import__("operator").methodcaller("backward")(x.sum())',
        "list(map(torch.Tensor.backward, [x.sum()]))",
    ],
)
def test_a_forbidden_method_is_found_on_any_object(call):
    assert breach(METHOD, f"def answer(x):\n    {call}\n    return x.grad")


def test_a_method_that_a_class_of_ones_own_has_is_left_to_the_trap():
    own = "class Layer:\n    def backward(self, g):\n        return g\n"
    source = own + "def answer(x):\n    return Layer().backward(x)"
    assert breach(METHOD, source) == ""
    assert breach(METHOD, source, reported=["torch.Tensor.backward"])
    assert breach(METHOD, own + "def answer(x):\n    return torch.Tensor.backward(x)")
    assert breach(METHOD, own + "def answer(x):\n    return x.backward()")  # Layer plays no part


def test_what_the_process_reports_counts_if_the_rule_is_about_it():
    source = "def answer(x):\n    return x"
    assert "It was called while your function ran" in breach(RULE, source, reported=[FUSED])
    assert breach(RULE, source, reported=["torch.softmax", "x" * 200]) == ""


LOOPS = {
    "for": "def answer(x):\n    for i in range(3):\n        x = x + i\n    return x",
    "while": "def answer(x):\n    while x < 3:\n        x += 1\n    return x",
    "list": "def answer(x):\n    return [i for i in x]",
    "generator": "def answer(x):\n    return sum(i for i in x)",
    "helper": "def help(x):\n    return {i: i for i in x}\ndef answer(x):\n    return help(x)",
    "map": "def answer(x):\n    return list(map(abs, x))",
    "vectorize": "def answer(x):\n    return np.vectorize(math.tanh)(x)",
}


@pytest.mark.parametrize("source", LOOPS.values(), ids=LOOPS)
def test_loops_are_found(source):
    sentence = breach(NoLoops(why="let broadcasting do it"), source)
    assert sentence.startswith("The task forbids Python loops: let broadcasting do it. Line ")


@pytest.mark.parametrize(
    "source",
    [
        "def answer(x):\n    return x @ x",
        "def answer(x, y):\n    x, y = (np.asarray(a) for a in (x, y))\n    return x @ y",
        "def answer(x, y):\n    x, y = map(np.asarray, [x, y])\n    return x @ y",
        "def answer(x):\n    return x\nfor i in range(3):\n    answer(i)",
        "def answer(x):\n    return np.vectorized(x)",
    ],
)
def test_what_is_written_out_is_no_loop(source):
    assert breach(NoLoops(why="let broadcasting do it"), source) == ""


def test_what_is_required_must_be_used():
    rule = Required(names=("numpy.einsum", "torch.einsum"), why="practise the notation")
    assert breach(rule, "def answer(x):\n    return np.einsum('ii', x)") == ""
    assert breach(rule, "e = torch.einsum\ndef answer(x):\n    return e('ii', x)") == ""
    assert breach(rule, "def answer(x):\n    return x.trace()  # np.einsum") == (
        "The task requires `numpy.einsum` or `torch.einsum`: practise the notation."
    )


# --- hostile and broken code ------------------------------------------------------------------------

BROKEN = {
    "syntax": "def answer(:",
    "null byte": "x = '\0'",
    "deep brackets": "(" * 5000 + ")" * 5000,
    "long sum": "def answer(x):\n    return " + "+".join(["x"] * 20_000),
    "long chain": "def answer(x):\n    return x" + ".y" * 20_000,
    "long elif": "if a:\n    pass\n" + "elif b:\n    pass\n" * 3000,
    "surrogate": "x = '\ud800'",
    "only magics": "%%html\n<script>alert(1)</script>",
    "names in a circle": "a = b\nb = a\nanswer = a",
    "exec of itself": 's = "exec(s)"\ndef answer(x):\n    exec(s)',
}


@pytest.mark.parametrize("source", BROKEN.values(), ids=BROKEN)
def test_code_that_cannot_be_read_ends_nothing_and_hides_nothing_else(source):
    for rule in (RULE, MODULE, METHOD, NoLoops(why="")):
        breach(rule, source)
    clean = Cell("def answer(x):\n    return F.scaled_dot_product_attention(x, x, x)")
    assert RULE.breach(Program([SETUP, Cell(source), clean]), "answer", ())


@pytest.mark.parametrize(
    "source",
    [
        "\n".join(f"a{i + 1} = a{i} if a{i} else a{i}" for i in range(400)),
        "\n".join(f"a{i + 1} = a{i}.x if c else a{i}.y" for i in range(400)),
        "\n".join(f"a{i + 1} = a{i} + a{i}" for i in range(400)),
        "\n".join("if c: a0 = a0 if a0 else a400" for _ in range(2000)),
    ],
)
def test_names_that_stand_for_names_take_no_time(source):
    tail = "\ndef answer(x):\n    return getattr(a400, a400), a0.x, [a400[a400]]"
    program = Program([SETUP, Cell("a0 = 'x'\n" + source + tail)])
    steps = sum(1 for _ in program.reached("answer"))
    assert steps < 40_000
    assert len(program._known) < 80_000


def test_code_longer_than_anyone_writes_is_not_read():
    long = Cell("x\n" * 50_000)
    assert pieces(long) == ()
    assert breach(RULE, long, USES["by the set-up's alias"])
    filled = [Cell("'" + "x" * 59_000 + f"'\ny{i} = 1") for i in range(20)]
    assert len(Program(filled).globals) == 8


def test_reading_never_runs_or_imports_anything(tmp_path, monkeypatch):
    (tmp_path / "trap_module.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    source = (
        "import trap_module\nfrom trap_module import *\ndef answer(x):\n    return trap_module.f(y)"
    )
    assert breach(MODULE, source) == ""
    assert "trap_module" not in sys.modules
    lazy = types.ModuleType("lazy_module")
    lazy.__getattr__ = lambda name: pytest.fail("a module's own code ran")
    monkeypatch.setitem(sys.modules, "lazy_module", lazy)
    assert located("lazy_module.thing.part") is None


def test_a_rule_that_could_never_be_broken_is_refused():
    with pytest.raises(ValueError, match="no_such is neither"):
        Forbidden(names=("torch.nn.functional.no_such",), why="")
    aspects = (Aspect("values", 1, values()),)
    with pytest.raises(ValueError, match="costs aspects that it lacks"):
        Question(
            "answer", "", lambda rng: iter(()), aspects, rules=(NoLoops(why="", costs=("no",)),)
        )


# --- the verdict ------------------------------------------------------------------------------------


def cases(rng):
    yield Case("small", {"x": rng.normal(size=(2, 3)).astype("float32")})


def softmax_question(costs=()):
    aspects = (Aspect("shape", 1, shape()), Aspect("values", 2, values()))
    rule = Forbidden(names=("torch.nn.functional.softmax",), why="write it", costs=costs)
    question = Question("answer", "Softmax", cases, aspects, library="torch", rules=(rule,))

    @question.misconception("You normalised over the wrong axis.")
    def columns(x):
        return torch.exp(x) / torch.exp(x).sum(dim=0)

    return question


SOLUTION = "def answer(x):\n    return torch.exp(x) / torch.exp(x).sum(dim=1, keepdim=True)"


def graded(source, costs=(), read=True):
    question = softmax_question(costs)
    drawn = question.draw(1)

    def asked(text):
        namespace = {}
        exec(SETUP.source + text, namespace)
        return [decode_reply(driver.call(namespace, ask)) for ask in question.requests(drawn)]

    program = Program([SETUP, Cell(source)]) if read else None
    return decide(question, drawn, asked(SOLUTION), asked(source), program)


def test_a_broken_rule_costs_the_question_and_is_told_as_a_rule():
    verdict = graded("def answer(x):\n    return F.softmax(x, dim=1)")
    assert verdict.score == 0
    assert [row.sentence for row in verdict.aspects] == [
        "Right, but lost to the rule that was broken."
    ] * 2
    assert (verdict.misconception, len(verdict.broken)) == ("", 1)
    html, text = verdict_html(verdict), verdict_text(verdict)
    assert "data-rule" in html
    assert "<code>return F.softmax(x, dim=1)</code>" in html
    assert "failing example" not in html
    assert "The task forbids" in text
    assert "(: " not in text


def test_a_rule_may_cost_named_aspects_only():
    verdict = graded("def answer(x):\n    return F.softmax(x, dim=1)", costs=("shape",))
    assert [(row.title, row.earned) for row in verdict.aspects] == [("shape", 0), ("values", 2)]
    assert verdict.score == 2


def test_the_rule_is_told_beside_the_misconception():
    verdict = graded("def answer(x):\n    return F.softmax(x, dim=0)")
    assert verdict.score == 0
    assert len(verdict.broken) == 1
    assert verdict.misconception == "columns"
    assert "values differ" in verdict.aspects[1].sentence
    assert "failing example (small)" in verdict_html(verdict)


def test_a_question_left_open_breaks_no_rule():
    verdict = graded("def answer(x):\n    raise NotImplementedError()\n    F.softmax(x)")
    assert not verdict.answered
    assert not verdict.broken


def test_the_students_line_is_escaped():
    html = verdict_html(graded("def answer(x):\n    return F.softmax(x, dim=1)  # <b>`</b>"))
    assert "<b>" not in html
    assert "&lt;b&gt;" in html


# --- the trap ---------------------------------------------------------------------------------------


def trapped(source, *names, prepare="", **arguments):
    namespace = {}
    exec(SETUP.source + source, namespace)
    arguments = arguments or {"x": np.ones((1, 2, 2), dtype="float32")}
    request = Case("", arguments).request("answer", "torch") | {"forbidden": list(names)}
    reply = decode_reply(driver.call(namespace, request))
    assert "error" not in reply, reply
    return reply["forbidden"]


HIDDEN = {
    "a computed name": "def answer(x):\n    return getattr(F, 'xamtfos'[::-1])(x, dim=1)",
    "a name of the notebook": (
        "from torch.nn.functional import softmax as mine\ndef answer(x):\n    return mine(x, dim=1)"
    ),
    "a ready-made layer": "def answer(x):\n    return torch.nn.Softmax(dim=1)(x)",
}


@pytest.mark.parametrize("source", HIDDEN.values(), ids=HIDDEN)
def test_the_trap_notes_what_is_called(source):
    assert trapped(source, "torch.nn.functional.softmax") == ["torch.nn.functional.softmax"]


def test_the_trap_leaves_the_value_as_it_was():
    verdict = graded("def answer(x):\n    return getattr(F, 'xamtfos'[::-1])(x, 1)", read=False)
    assert [row.sentence for row in verdict.aspects] == [
        "Right, but lost to the rule that was broken."
    ] * 2


def test_the_trap_notes_methods_classes_and_aliases_in_loaded_modules():
    backward = (
        "def answer(x):\n    x = x.requires_grad_()\n    x.sum().backward()\n    return x.grad"
    )
    assert trapped(backward, "torch.Tensor.backward") == ["torch.Tensor.backward"]
    layer = "def answer(x):\n    return torch.nn.Linear(2, 3)(x)"
    assert trapped(layer, "torch.nn.Linear") == ["torch.nn.Linear"]
    inherited = "def answer(x):\n    return x.softmax(1)"
    assert trapped(inherited, "torch.Tensor.softmax") == ["torch.Tensor.softmax"]
    other_home = "def answer(x):\n    return torch._C._nn.scaled_dot_product_attention(x, x, x)"
    assert trapped(other_home, FUSED) == [FUSED]
    looked_up = "def answer(x):\n    return getattr(torch._VF, 'mm')(x[0], x[0])"
    assert trapped(looked_up, "torch._VF.mm") == ["torch._VF.mm"]


def test_the_trap_is_silent_about_the_rest_and_about_packages_that_are_not_loaded():
    source = "def answer(x):\n    return torch.softmax(x, 1)"
    assert trapped(source, "torch.nn.functional.softmax", "no_such.package.function") == []


def test_the_trap_is_gone_after_the_call_also_after_an_error():
    before = torch.nn.functional.softmax, torch.Tensor.backward, dict(vars(torch.Tensor))
    namespace = {"F": torch.nn.functional, "mine": torch.nn.functional.softmax}
    exec("def answer(x):\n    F.softmax(x, dim=1)\n    raise SystemExit", namespace)
    names = ["torch.nn.functional.softmax", "torch.Tensor.backward", "torch.Tensor.argmax"]
    request = Case("", {"x": np.ones((2, 2))}).request("answer", "torch") | {"forbidden": names}
    reply = decode_reply(driver.call(namespace, request))
    assert reply["error"]["type"] == "SystemExit"
    assert reply["forbidden"] == ["torch.nn.functional.softmax"]
    assert namespace["mine"] is before[0]
    assert before == (torch.nn.functional.softmax, torch.Tensor.backward, dict(vars(torch.Tensor)))


def test_all_that_a_module_offers_can_be_trapped_and_pytorch_still_works():
    source = "def answer(x):\n    torch.manual_seed(0)\n    repr(x)\n    return x @ x.mT + torch.nn.Linear(2, 2).weight"
    assert trapped(source, *MODULE.trapped) == []
    conv = "def answer(x):\n    return torch.nn.Conv1d(2, 2, 1)(x)"
    assert trapped(conv, *MODULE.trapped) == ["torch.nn.functional.conv1d"]


def test_the_trap_is_set_in_a_students_process_for_every_call():
    question = softmax_question()
    cases = question.draw(1) * 3
    with Session(Limits(), sandbox="none") as session:
        session.run(
            SETUP.source + "def answer(x):\n    return getattr(F, 'xamtfos'[::-1])(x, dim=1)"
        )
        replies = session.ask(question.requests(cases))
    assert [reply["forbidden"] for reply in replies] == [["torch.nn.functional.softmax"]] * 3
    np.testing.assert_allclose(replies[2]["value"].sum(axis=1), 1, rtol=1e-5)


def test_a_reply_about_rules_is_bounded_and_typed():
    for forbidden in ("torch", {"a": 1}, [1], [["a"]], None):
        with pytest.raises(WireError):
            decode_reply({"value": 1, "forbidden": forbidden})
    many = decode_reply({"value": 1, "forbidden": ["x" * 10_000] * 10_000})["forbidden"]
    assert (len(many), len(many[0])) == (100, 200)
    for held in ("1", 1.5, True, [1], None):
        assert decode_reply({"value": 1, "held": held})["held"] is None


def test_memory_is_measured_also_where_there_is_no_stream():
    namespace = {}
    exec("def answer(x):\n    return (x + [[0.0]] * 1000).sum(axis=0)", {"np": np}, namespace)
    case = Case("", {"x": np.ones((1, 100))}, held_bytes=1)
    reply = decode_reply(driver.call(namespace, case.request("answer", "numpy")))
    assert 800_000 < reply["held"] < 1_100_000
