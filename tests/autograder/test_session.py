"""The student's process: cells run as in a notebook, calls are isolated, nothing escapes its bounds."""

import time
from pathlib import Path

import numpy as np
import pytest

from autograder.assignment import CellToRun
from autograder.grading import run_cells
from autograder.record import SHOWN_BYTES, bounded
from autograder.shell.inside import wire
from autograder.shell.session import Limits, Session, Stopped

QUICK = Limits(cell_seconds=2, call_seconds=1, notebook_seconds=60)


@pytest.fixture(scope="module")
def session():
    with Session(QUICK) as session:
        session.run("import numpy as np\nkept = []")
        yield session


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
    reply = session.call(request("product", a=np.eye(2), b=np.array([3.0, 4.0])))
    np.testing.assert_array_equal(reply["value"], [3, 4])


def test_a_call_changes_nothing_for_the_next(session):
    session.run("def count(x):\n    kept.append(x)\n    return len(kept)")
    assert [session.call(request("count", x=1))["value"] for _ in range(2)] == [1, 1]


def test_a_changed_argument_is_reported(session):
    session.run("def spoil(a):\n    a[0] = 9\n    return a")
    reply = session.call(request("spoil", a=np.zeros(2)))
    np.testing.assert_array_equal(reply["arguments_after"]["a"], [9, 0])


def test_a_missing_function_is_an_error_with_its_name(session):
    assert session.call(request("nobody"))["error"] == {
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
    with pytest.raises(Stopped, match=why):
        session.call(request("bad"))
    assert session.call(request("product", a=np.eye(1), b=np.ones(1)))["value"] == [1]


def test_sys_exit_in_a_call_is_an_error_not_an_end(session):
    session.run("def leave():\n    raise SystemExit")
    assert session.call(request("leave"))["error"]["type"] == "SystemExit"


def test_too_much_memory_is_an_error_of_that_call(session):
    session.run("def hoard():\n    return np.ones(10**11)")
    assert session.call(request("hoard"))["error"]["type"].endswith("MemoryError")


def test_gradients_come_back_by_name(session):
    session.run("import torch\ndef square(x, y):\n    return x * x * y")
    reply = session.call(
        {
            **request("square", x=np.array([3.0]), y=np.array([2.0])),
            "library": "torch",
            "upstream": wire.encode(np.array([10.0])),
            "gradient_of": ["x"],
        }
    )
    np.testing.assert_allclose(reply["gradients"]["x"], [120])


def test_a_module_is_built_with_given_weights(session):
    session.run("import torch\nclass Line(torch.nn.Linear):\n    pass")
    reply = session.call(
        {
            **request("Line", x=np.array([[1.0, 2.0]], dtype=np.float32)),
            "library": "torch",
            "construct": [2, 1],
            "state": {
                "weight": wire.encode(np.array([[3.0, 4.0]], dtype=np.float32)),
                "bias": wire.encode(np.array([5.0], dtype=np.float32)),
            },
        }
    )
    np.testing.assert_allclose(reply["value"], [[16]])


def test_forged_answers_on_the_channel_are_not_believed():
    """A student's cell finds the descriptor and writes a perfect answer ahead of time."""
    forge = (
        "import os, json, struct, socket, stat\n"
        "raw = json.dumps({'id': 'guess', 'reply': json.dumps({'value': 1.0})}).encode()\n"
        "for d in range(3, 64):\n"
        "    try:\n"
        "        if stat.S_ISSOCK(os.fstat(d).st_mode): os.write(d, struct.pack('>I', len(raw)) + raw)\n"
        "    except OSError: pass\n"
    )
    with Session(QUICK) as session, pytest.raises(Stopped, match="protocol"):
        session.run(forge)
        session.call(request("anything"))


def test_the_process_sees_a_bare_environment_and_an_empty_folder(session):
    import os

    os.environ["A_SECRET_OF_THE_GRADER"] = "x"
    with Session(QUICK) as fresh:
        reply = fresh.run(
            "import os\nprint('A_SECRET_OF_THE_GRADER' in os.environ, os.listdir('.'))"
        )
    assert "False" in reply["outputs"][0]["text"]


def test_nothing_lives_on_after_the_session(tmp_path):
    mark = tmp_path / "alive"
    with Session(QUICK) as session:
        session.run(
            "import subprocess, sys\n"
            f"subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1.5); open({str(mark)!r}, \"w\")'])"
        )
    time.sleep(2)
    assert not mark.exists()


def run_all(*sources, limits=QUICK):
    cells = [source and CellToRun(source) for source in sources]
    return run_cells(cells, limits)


def test_an_endless_cell_costs_that_cell_only():
    session, runs = run_all("a = 1", None, "while True: pass", "b = a + 1")
    with session:
        assert [run and run.stopped for run in runs] == ["", None, "stopped after 2 s", ""]
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


def test_a_process_that_does_not_read_holds_nobody_up():
    deaf = "import sys, time\nsys.modules['inside.serve'].receive = lambda c: time.sleep(10**6)"
    with Session(Limits(cell_seconds=1, call_seconds=1)) as deaf_session:
        deaf_session.run(deaf)
        started = time.monotonic()
        big = request("f", a=np.zeros(10**6))
        for _ in range(3):
            with pytest.raises(Stopped):
                deaf_session.call(big)
        assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    "reply",
    [r"'\ud800'", "'[' * 10**5", "'{\"value\": ' + '{\"list\": [' * 900 + '1' + ']}' * 900 + '}'"],
)
def test_a_reply_that_cannot_be_read_is_refused_in_words(reply):
    with Session(QUICK) as hostile:
        hostile.run(
            f"import sys\nsys.modules['inside.serve'].call_in_fork = lambda *a: {{'reply': {reply}}}"
        )
        with pytest.raises((Stopped, wire.WireError)):
            hostile.call(request("f"))


def test_a_call_after_parallel_torch_does_not_hang():
    with Session(Limits(call_seconds=5)) as parallel:
        parallel.run(
            "import torch\ntorch.set_num_threads(4)\nx = torch.randn(1500, 1500)\ny = x @ x"
        )
        parallel.run("def f(a): return (torch.randn(1500, 1500) @ x).sum() * 0 + a")
        assert float(parallel.call(request("f", a=1.0))["value"]) == 1.0


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
    deep = "import os\nfor _ in range(1200):\n    os.mkdir('d'); os.chdir('d')"
    with Session(QUICK) as digging:
        digging.run(deep)
        scratch = digging._scratch
    assert not Path(scratch).exists()
