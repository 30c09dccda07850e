"""The student's process: cells run as in a notebook, calls are isolated, nothing escapes its bounds."""

import contextlib
import time
from pathlib import Path

import numpy as np
import pytest

from autograder.assignment import CellToRun
from autograder.grading import run_cells
from autograder.record import SHOWN_BYTES, bounded
from autograder.shell import sandbox
from autograder.shell.inside import wire
from autograder.shell.limits import Limits
from autograder.shell.session import Session, Stopped

QUICK = Limits(cell_seconds=4, check_seconds=1, notebook_seconds=60)


needs_bubblewrap = pytest.mark.skipif(
    bool(sandbox.available("bwrap")), reason=sandbox.available("bwrap")
)


@pytest.fixture(scope="module", params=[pytest.param("bwrap", marks=needs_bubblewrap), "none"])
def kind(request):
    """The sandboxes a session can run in."""
    return request.param


@pytest.fixture(scope="module")
def session(kind):
    with Session(QUICK, kind) as session:
        session.run("import numpy as np\nkept = []")
        yield session


def call(session, request):
    """The reply to one call."""
    [reply] = session.ask([request])
    return reply


def request(function, **arguments):
    return {"function": function, "arguments": {k: wire.encode(v) for k, v in arguments.items()}}


def test_a_cell_shows_what_a_notebook_shows(session):
    reply = session.run("print('one')\nimport sys\nprint('two', file=sys.stderr)\n1 + 1")
    kinds = [output["output_type"] for output in reply["outputs"]]
    assert kinds == ["stream", "stream", "execute_result"]
    assert reply["outputs"][2]["data"]["text/plain"] == "2"
    assert reply["success"]


def test_a_figure_is_shown_as_png(session):
    reply = session.run(
        "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"
    )
    assert any("image/png" in output.get("data", {}) for output in reply["outputs"])


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("import matplotlib.pyplot as plt\nplt.plot([1, 2]);", ["display_data"]),
        ("1 + 1;", []),
        ("1 + 1", ["execute_result"]),
        ("!echo said", ["stream"]),
    ],
)
def test_what_is_shown_is_what_a_notebook_shows(session, source, shown):
    assert [output["output_type"] for output in session.run(source)["outputs"]] == shown


@pytest.mark.parametrize(
    ("source", "name"),
    [("1/0", "ZeroDivisionError"), ("def f(:", "SyntaxError"), ("input()", "EOFError")],
)
def test_an_error_is_an_output_and_the_state_lives_on(session, source, name):
    reply = session.run(source)
    assert not reply["success"]
    assert reply["outputs"][-1]["ename"] == name
    assert session.run("kept")["success"]


def test_a_flood_of_output_is_cut_and_the_error_after_it_still_told(session):
    reply = session.run("for _ in range(10**5): print('flood' * 10)\nraise ValueError('after')")
    assert sum(len(str(output)) for output in reply["outputs"]) < 500_000
    assert "output stopped" in str(reply["outputs"])
    assert reply["outputs"][-1]["evalue"] == "after"


def test_a_call_gets_the_arguments_and_returns_the_value(session):
    session.run("def product(a, b):\n    return a @ b")
    reply = call(session, request("product", a=np.eye(2), b=np.array([3.0, 4.0])))
    np.testing.assert_array_equal(reply["value"], [3, 4])


def test_a_call_changes_nothing_for_the_next(session):
    session.run("def count(x):\n    kept.append(x)\n    return len(kept)")
    assert [call(session, request("count", x=1))["value"] for _ in range(2)] == [1, 1]


LEAVES_SOMETHING = {
    "a name": "global new; new = 1",
    "an item": "kept.append(1)",
    "a number twice replaced": "for _ in range(2): globals()['number'] = number + 0.5",
    "an entry": "table['a'] = 1",
    "a value in an array": "array[0] = 7",
    "a value in a tensor": "tensor[0] = 7",
    "an attribute of a function": "probe.seen = 1",
    "an attribute of a class": "Own.seen = 1",
    "an attribute of an object": "own.seen = 1",
    "a setting": "torch.set_default_dtype(torch.float64)",
    "a way to treat errors": "np.seterr(divide='raise')",
    "a filter of warnings": "warnings.simplefilter('error')",
    "a folder": "os.chdir('/')",
    "a thread": "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
    "a child": "subprocess.Popen(['sleep', '60'])",
    "an alarm": "signal.alarm(60)",
    "memory": "sys.modules['numpy'].hidden = np.ones(10**7)",
}


@pytest.mark.parametrize("what", LEAVES_SOMETHING)
def test_what_a_question_leaves_behind_the_next_one_does_not_see(kind, what):
    with Session(QUICK, kind) as session:
        session.run(
            "import os, signal, subprocess, sys, threading, time, warnings\n"
            "import numpy as np\nimport torch\n"
            "kept, table, array, tensor = [], {}, np.zeros(3), torch.zeros(3)\n"
            "number = float('0.25')\n"
            "class Own: pass\nown = Own()\n"
            "def probe(): return os.getpid()\n"
            f"def leave():\n    {LEAVES_SOMETHING[what]}\n    return os.getpid()"
        )
        first, again = (call(session, request("probe"))["value"] for _ in range(2))
        assert first == again, "one process answers questions that leave nothing behind"
        assert call(session, request("leave"))["value"] == first
        assert call(session, request("probe"))["value"] != first


def test_every_question_finds_the_random_numbers_that_the_cells_left(session):
    session.run(
        "import random, torch\n"
        "def draw(): return [random.random(), np.random.rand(), float(torch.rand(()))]"
    )
    assert call(session, request("draw")) == call(session, request("draw"))


def test_a_cell_between_two_questions_counts(session):
    session.run("def state(): return now")
    for now in (1, 2):
        session.run(f"now = {now}")
        assert call(session, request("state"))["value"] == now


def test_a_question_that_ends_a_used_process_is_asked_again_in_a_new_one(session):
    """What the questions before it did to the process, unseen, cannot cost it anything."""
    session.run(
        "import os, sys\n"
        "def mark(): sys.modules['os'].marked = True; return 1\n"
        "def fall(): return os._exit(1) if hasattr(os, 'marked') else 2"
    )
    assert call(session, request("mark"))["value"] == 1
    assert call(session, request("fall"))["value"] == 2


def test_the_calls_of_one_question_are_answered_in_order(session):
    session.run("def double(x):\n    return 2 * x")
    replies = session.ask([request("double", x=float(i)) for i in range(20)])
    assert [reply["value"] for reply in replies] == [2.0 * i for i in range(20)]


def test_a_call_that_crashes_costs_that_call_and_an_endless_one_the_rest_of_its_question(session):
    session.run(
        "def fickle(x):\n"
        "    if x == 1: import os; os.kill(os.getpid(), 11)\n"
        "    while x == 3: pass\n"
        "    return x"
    )
    replies = session.ask([request("fickle", x=i) for i in range(5)])
    assert [reply.get("value") for reply in replies] == [0, None, 2, None, None]
    assert "SIGSEGV" in replies[1]["stopped"]
    assert replies[3]["stopped"] == "stopped after 1 s"
    assert "not tried" in replies[4]["stopped"]
    assert session.ask([request("fickle", x=7)])[0]["value"] == 7


def test_too_large_a_reply_is_refused(kind):
    with Session(Limits(reply_bytes=1_000_000), kind) as session:
        session.run("def much(x):\n    return 'x' * 2_000_000")
        assert "more than 1 MB" in call(session, request("much", x=1))["stopped"]
        assert call(session, request("nobody"))["error"]["type"] == "NameError"


def test_a_changed_argument_is_reported(session):
    session.run("def spoil(a):\n    a[0] = 9\n    return a")
    reply = call(session, request("spoil", a=np.zeros(2)))
    np.testing.assert_array_equal(reply["changed"]["a"], [9, 0])


def test_a_missing_function_is_an_error_with_its_name(session):
    assert call(session, request("nobody"))["error"] == {
        "type": "NameError",
        "message": "nobody is not defined",
        "line": "",
    }


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("while True: pass", "stopped after 1 s"),
        (
            "while True:\n        try:\n            while True: pass\n        except BaseException: pass",
            "stopped",
        ),
        ("import os; os._exit(0)", "exit function"),
        ("import os; os.kill(os.getpid(), 11)", "SIGSEGV"),
        ("import os; os.fork(); import time; time.sleep(60)", "stopped after 1 s"),
    ],
)
def test_a_call_that_does_not_return_costs_that_call_only(session, body, why):
    session.run(f"def bad():\n    {body}")
    assert why in call(session, request("bad"))["stopped"]
    assert call(session, request("product", a=np.eye(1), b=np.ones(1)))["value"] == [1]


def test_sys_exit_in_a_call_is_an_error_not_an_end(session):
    session.run("def leave():\n    raise SystemExit")
    assert call(session, request("leave"))["error"]["type"] == "SystemExit"


def test_too_much_memory_is_an_error_of_that_call(session):
    session.run("def hoard():\n    return np.ones(10**11)")
    assert call(session, request("hoard"))["error"]["type"].endswith("MemoryError")


def test_gradients_come_back_by_name(session):
    session.run("import torch\ndef square(x, y):\n    return x * x * y")
    reply = call(
        session,
        {
            **request("square", x=np.array([3.0]), y=np.array([2.0])),
            "library": "torch",
            "upstream": wire.encode(np.array([10.0])),
            "gradient_of": ["x"],
        },
    )
    np.testing.assert_allclose(reply["gradients"]["x"], [120])


def test_a_module_is_built_with_given_weights(session):
    session.run("import torch\nclass Line(torch.nn.Linear):\n    pass")
    reply = call(
        session,
        {
            **request("Line", x=np.array([[1.0, 2.0]], dtype=np.float32)),
            "library": "torch",
            "construct": [2, 1],
            "state": {
                "weight": wire.encode(np.array([[3.0, 4.0]], dtype=np.float32)),
                "bias": wire.encode(np.array([5.0], dtype=np.float32)),
            },
        },
    )
    np.testing.assert_allclose(reply["value"], [[16]])


def test_forged_answers_on_the_channel_are_not_believed(kind):
    """A student's cell finds the descriptor and writes a perfect answer ahead of time."""
    forge = (
        "import os, json, struct, socket, stat\n"
        "raw = json.dumps({'id': 'guess', 'reply': json.dumps({'value': 1.0})}).encode()\n"
        "for d in range(3, 64):\n"
        "    try:\n"
        "        if stat.S_ISSOCK(os.fstat(d).st_mode): os.write(d, struct.pack('>I', len(raw)) + raw)\n"
        "    except OSError: pass\n"
    )
    with Session(QUICK, kind) as session:
        with pytest.raises(Stopped, match="protocol"):
            session.run(forge)
        assert "protocol" in call(session, request("anything"))["stopped"]


def test_the_process_sees_a_bare_environment_and_an_empty_folder(kind):
    import os

    os.environ["A_SECRET_OF_THE_GRADER"] = "x"
    with Session(QUICK, kind) as fresh:
        reply = fresh.run(
            "import os\nprint('A_SECRET_OF_THE_GRADER' in os.environ, os.listdir('.'))"
        )
    assert "False" in reply["outputs"][0]["text"]


def test_nothing_lives_on_after_the_session(kind):
    """Not even a process that the student started, which counts in a pipe's other end."""
    with Session(QUICK, kind) as session:
        session.run(
            "import subprocess, sys\n"
            "subprocess.Popen([sys.executable, '-c', 'import time; mark = \"still-alive\"; time.sleep(60)'])"
        )
        deadline = time.monotonic() + 5
        while not processes_with(
            "still-alive"
        ):  # its command line is there a moment after its start
            assert time.monotonic() < deadline
    assert not processes_with("still-alive")


def processes_with(mark):
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended
            found += [folder.name] if mark in (folder / "cmdline").read_text() else []
    return found


def run_all(*sources, limits=QUICK):
    cells = [source and CellToRun(source) for source in sources]
    return run_cells(cells, limits)


def test_an_endless_cell_costs_that_cell_only():
    session, runs = run_all("a = 1", None, "while True: pass", "b = a + 1")
    with session:
        assert [run and run.stopped for run in runs] == ["", None, "stopped after 4 s", ""]
        assert session.run("b")["outputs"][0]["data"]["text/plain"] == "2"


def test_a_cell_that_ends_the_process_costs_that_cell_only():
    session, runs = run_all("a = 1", "import os; os._exit(0)", "b = a")
    session.close()
    assert runs[1].stopped.startswith("the process ended itself")
    assert runs[2].success


def test_many_endless_cells_cost_their_own_cells_only():
    session, runs = run_all("a = 1", *["while True: pass"] * 5, limits=Limits(cell_seconds=0.5))
    with session:
        assert [bool(run.stopped) for run in runs] == [False, *[True] * 5]
        assert session.run("a")["success"]


def test_a_notebook_is_not_run_beyond_its_time():
    limits = Limits(cell_seconds=0.5, notebook_seconds=0.1)
    session, runs = run_all("a = 1", "while True: pass", "b = 1", limits=limits)
    session.close()
    assert runs[0].success or runs[0].stopped
    assert "not run" in runs[2].stopped


def test_a_check_binds_no_name_of_the_student(session):
    session.run("def helper(): return 1")
    session.run("helper = 2\nleft_behind = 3", keep=False)
    assert session.run("helper()")["outputs"][0]["data"]["text/plain"] == "1"
    assert not session.run("left_behind")["success"]


def test_a_process_that_does_not_read_holds_nobody_up(kind):
    deaf = "import sys, time\nsys.modules['inside.channel'].Channel.receive = lambda c: time.sleep(10**6)"
    with Session(Limits(cell_seconds=1, check_seconds=1), kind) as deaf_session:
        deaf_session.run(deaf)
        started = time.monotonic()
        big = request("f", a=np.zeros(10**6))
        for _ in range(3):
            assert "stopped" in call(deaf_session, big)
        assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    "reply",
    [r"'\ud800'", "'[' * 10**5", "'{\"value\": ' + '{\"list\": [' * 900 + '1' + ']}' * 900 + '}'"],
)
def test_a_reply_that_cannot_be_read_is_refused_in_words(kind, reply):
    with Session(QUICK, kind) as hostile:
        hostile.run(
            "import sys\n"
            "answerer = sys.modules['inside.answering'].Answerer\n"
            f"answerer.answer = lambda *a: {{'answers': [{{'reply': {reply}}}]}}"
        )
        assert "stopped" in call(hostile, request("f"))


def test_a_call_after_parallel_torch_does_not_hang(kind):
    with Session(Limits(check_seconds=5), kind) as parallel:
        parallel.run(
            "import torch\ntorch.set_num_threads(4)\nx = torch.randn(1500, 1500)\ny = x @ x"
        )
        parallel.run("def f(a): return (torch.randn(1500, 1500) @ x).sum() * 0 + a")
        assert float(call(parallel, request("f", a=1.0))["value"]) == 1.0


def test_outputs_are_reduced_to_what_is_shown():
    hostile = [
        {"output_type": "stream", "text": "x" * 10**6, "extra": [[]]},
        "text",
        None,
        {},
    ] * 1000
    kept = bounded(hostile)
    assert len(str(kept)) < 2 * SHOWN_BYTES
    assert bounded([{"output_type": "stream", "text": "\ud83d"}]) == [
        {"output_type": "stream", "text": "?"}
    ]
    assert bounded("no list") == []


def test_a_deep_tree_left_behind_is_removed():
    """Limits only: in a sandbox the folder is gone with its namespace."""
    deep = "import os\nfor _ in range(1200):\n    os.mkdir('d'); os.chdir('d')"
    with Session(QUICK, "none") as digging:
        digging.run(deep)
        folder = digging._process.folder
    assert not Path(folder).exists()
