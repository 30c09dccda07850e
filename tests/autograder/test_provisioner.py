"""The sandbox for any Jupyter client: a notebook runs as in any kernel, and gets out of it no more than a hand-in."""

import contextlib
import json
import logging
import os
import queue
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError
from nbformat.v4 import new_code_cell, new_notebook
from nbgrader.preprocessors import Execute
from traitlets import TraitError
from traitlets.config import Config

from autograder import kernelspec
from autograder.shell import provisioner, sandbox
from autograder.shell.warm import NotStarted

needs_bubblewrap = pytest.mark.skipif(
    bool(sandbox.available("bwrap")), reason=sandbox.available("bwrap")
)
SMALL = "attention-sandbox-small"  # a kernel with little memory


@pytest.fixture(scope="module", autouse=True)
def kernels(tmp_path_factory):
    """Both kernels, installed into a folder of their own."""
    prefix = tmp_path_factory.mktemp("prefix")
    installed = kernelspec.install(str(prefix))
    spec = json.loads((installed / "kernel.json").read_text())
    spec["metadata"]["kernel_provisioner"]["config"] = {"limits": {"memory_bytes": 10**9}}
    (installed.parent / SMALL).mkdir()
    (installed.parent / SMALL / "kernel.json").write_text(json.dumps(spec))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(prefix / "share/jupyter"))
        yield


def notebook(*sources):
    return new_notebook(cells=[new_code_cell(source) for source in sources])


def execute(*sources, name=kernelspec.NAME):
    """The outputs of each cell, in nbclient."""
    run = NotebookClient(
        notebook(*sources), kernel_name=name, allow_errors=True, timeout=60
    ).execute()
    return [cell.outputs for cell in run.cells]


@contextlib.contextmanager
def kernel(name=kernelspec.NAME):
    """A running kernel and its blocking client."""
    manager = KernelManager(kernel_name=name)
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        yield manager, client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def printed(client, source):
    """What a cell prints, and its error if it has one."""
    texts = []

    def keep(message):
        content = message["content"]
        texts.append(content.get("text", "") + content.get("ename", ""))

    client.execute_interactive(source, timeout=60, output_hook=keep)
    return "".join(texts).strip()


def wait_until(what, seconds=20):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def processes_with(mark):
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended
            found += [folder.name] if mark in (folder / "cmdline").read_text() else []
    return found


def background(mark):
    """A cell that leaves a process behind."""
    return f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99) # {mark}'])"


@needs_bubblewrap
def test_a_notebook_runs_as_in_any_kernel():
    value, figure, error, question, shell = execute(
        "1 + 1",
        "import matplotlib.pyplot as plt\nplt.plot([1, 2]);",
        "1 / 0",
        "input()",
        "!echo from a program",
    )
    assert value[0]["data"]["text/plain"] == "2"
    assert "image/png" in figure[0]["data"]
    assert error[0]["ename"] == "ZeroDivisionError"
    assert question[0]["ename"] == "StdinNotImplementedError"
    assert shell[0]["text"].strip() == "from a program"


@needs_bubblewrap
def test_neither_files_nor_network_nor_settings_are_seen(tmp_path, monkeypatch):
    (tmp_path / "secret").write_text("x")
    monkeypatch.setenv("A_SECRET_OF_THE_CLIENT", "x")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        socket.create_connection(("127.0.0.1", port)).close()
        here, secret, setting, network, user = execute(
            "import os; sorted(os.listdir('.'))",
            f"os.path.exists({str(tmp_path / 'secret')!r}) or os.path.exists({str(Path(__file__))!r})",
            "'A_SECRET_OF_THE_CLIENT' in os.environ",
            f"import socket; socket.create_connection(('127.0.0.1', {port}), timeout=5)",
            "os.setuid(0)",
        )
    assert here[0]["data"]["text/plain"] == "['.ipython']"
    assert secret[0]["data"]["text/plain"] == "False"
    assert setting[0]["data"]["text/plain"] == "False"
    assert network[0]["ename"] == "ConnectionRefusedError"
    assert user[0]["ename"] == "PermissionError"


@needs_bubblewrap
@pytest.mark.parametrize(
    "loop", ["while True: pass", "import time; time.sleep(99)", "import os; os.system('sleep 99')"]
)
def test_an_endless_cell_can_be_interrupted(loop):
    with kernel() as (manager, client):
        assert printed(client, "kept = 7") == ""
        identity = client.execute(loop)
        reply = None
        deadline = time.monotonic() + 30
        while reply is None:  # it may say that it is busy before it listens to the signal
            assert time.monotonic() < deadline
            manager.interrupt_kernel()
            with contextlib.suppress(queue.Empty):
                reply = client.get_shell_msg(timeout=1)
        assert reply["parent_header"]["msg_id"] == identity
        wait_until(lambda: printed(client, "print(kept)") == "7")


@needs_bubblewrap
def test_two_kernels_do_not_see_each_other():
    with kernel() as (_, one), kernel() as (_, two):
        printed(one, "open('mine', 'w').close()")
        printed(one, background("of-the-first"))
        wait_until(lambda: processes_with("of-the-first"))
        see = (
            "import glob\n"
            "print([p for p in glob.glob('/proc/[0-9]*/cmdline') if b'of-the-first' in open(p, 'rb').read()])"
        )
        assert printed(one, see) != "[]"
        assert printed(two, see) == "[]"
        assert printed(two, "import os; print('mine' in os.listdir('.'))") == "False"
        first, second = (
            printed(client, "import torch; print(torch.rand(1))") for client in (one, two)
        )
        assert first != second


@needs_bubblewrap
@pytest.mark.parametrize("end", ["shutdown", "now", "itself"])
def test_nothing_outlives_a_kernel(end):
    mark = f"outlives-{end}"
    with kernel() as (manager, client):
        printed(client, background(mark))
        wait_until(lambda: processes_with(mark))
        if end == "itself":
            client.execute("import os; os._exit(0)")
        else:
            manager.shutdown_kernel(now=end == "now")
            assert not processes_with(mark)
            assert not list(Path(manager.ip).parent.glob(f"{manager.kernel_id}*"))
        wait_until(lambda: not processes_with(mark))
        wait_until(lambda: not manager.is_alive())


@needs_bubblewrap
def test_a_restarted_kernel_is_new_and_serves_the_same_client():
    with kernel() as (manager, client):
        printed(client, "old = 1; open('old', 'w').close()")
        manager.restart_kernel()
        client.wait_for_ready(timeout=60)
        assert printed(client, "import os; print(os.path.exists('old'), 'old' in dir())") == (
            "False False"
        )


CLIENT = f"""
import sys, time
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(kernel_name={kernelspec.NAME!r})
client.execute(sys.argv[1])
print(manager.ip, flush=True)
time.sleep(99)
"""


@needs_bubblewrap
def test_a_kernel_ends_with_its_client_even_if_that_is_killed(tmp_path):
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT, background("of-a-killed-client")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "JUPYTER_RUNTIME_DIR": str(tmp_path)},
    )
    with client:
        folder = Path(client.stdout.readline().strip()).parent
        wait_until(lambda: len(processes_with("of-a-killed-client")) == 2)
        assert folder.exists()
        client.send_signal(signal.SIGKILL)
    wait_until(lambda: not processes_with("of-a-killed-client"))
    wait_until(lambda: not folder.exists())


HOARD = """
import os, numpy as np, time
for _ in range(3):
    if not os.fork():
        a = np.ones(5 * 10**7)
        time.sleep(60)
"""


@needs_bubblewrap
def test_memory_is_limited(monkeypatch):
    # Not caplog: other tests run nbgrader's applications, which turn loggers off or quieter.
    said = []
    monkeypatch.setattr(logging.Logger, "error", lambda _, text, *parts: said.append(text % parts))
    much, after = execute("import numpy as np; np.ones(10**9)", "1", name=SMALL)
    assert much[0]["ename"].endswith("MemoryError")
    assert after
    with pytest.raises(DeadKernelError):
        execute(HOARD, "import time; time.sleep(60)", name=SMALL)
    assert "it used more than 1 GB of memory" in str(said)


@needs_bubblewrap
def test_nbgraders_own_execution_runs_in_it(tmp_path):
    book = notebook("import os; print(os.getcwd())", "1 / 0")
    runner = Execute(config=Config({"Execute": {"kernel_name": kernelspec.NAME}}))
    run, _ = runner.preprocess(book, {"metadata": {"path": str(tmp_path)}})
    assert run.cells[0].outputs[0]["text"].strip() == sandbox.FOLDER
    assert run.cells[1].outputs[0]["ename"] == "ZeroDivisionError"


@needs_bubblewrap
def test_the_time_a_kernel_takes_is_shown(capsys):
    """A figure to read (`-s`), not a bound."""
    for name in (kernelspec.NAME, "python3"):
        started = time.monotonic()
        with kernel(name) as (_, client):
            printed(client, "import torch, matplotlib.pyplot")
        with capsys.disabled():
            print(f"\n{name}: {time.monotonic() - started:.2f} s from start to shut down", end="")


def test_without_a_sandbox_there_is_no_kernel_and_a_sentence(monkeypatch):
    def absent(*_):
        raise NotStarted("no bwrap")

    monkeypatch.setattr(provisioner, "Bubblewrap", absent)
    with pytest.raises(NotStarted, match=r"no bwrap\): install Debian's package bubblewrap"):
        KernelManager(kernel_name=kernelspec.NAME).start_kernel()


def test_an_unknown_limit_is_refused_by_name():
    with pytest.raises(TraitError, match="'memory'"):
        provisioner.SandboxProvisioner(limits={"memory": 1})


def test_the_kernel_is_installed_once_and_removed(tmp_path):
    prefix = str(tmp_path)
    assert not kernelspec.remove(prefix)
    folder = kernelspec.install(prefix)
    (tmp_path / "any").mkdir()
    assert folder.stat().st_mode == (tmp_path / "any").stat().st_mode  # others may read it
    (folder / "kernel.json").write_text("{}")  # as an older version had it
    assert not kernelspec.installed(prefix)
    assert kernelspec.install(prefix) == folder
    assert kernelspec.installed(prefix)
    found = KernelSpecManager(kernel_dirs=[str(folder.parent)]).get_all_specs()
    assert found[kernelspec.NAME]["spec"]["display_name"] == "Python 3 (sandboxed)"
    assert kernelspec.remove(prefix)
    assert not folder.exists()


def test_a_client_without_provisioners_starts_nothing():
    argv = [sys.executable, *kernelspec.SPEC["argv"][1:]]
    refused = subprocess.run(argv, capture_output=True, text=True)
    assert refused.returncode == 1
    assert "sandbox" in refused.stderr
