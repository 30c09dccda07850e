"""A hand-in in a container: shut in, counted, and gone afterwards. The tests with an engine need its image."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from autograder.grading import grade
from autograder.sample import solve
from autograder.shell import container, sandbox
from autograder.shell.inside import wire
from autograder.shell.limits import Limits
from autograder.shell.session import Session, Stopped
from autograder.shell.warm import NotStarted
from autograder.store import task_for

ROOT = Path(__file__).parents[2]
QUICK = Limits(
    cell_seconds=60,
    check_seconds=2,
    memory_bytes=600_000_000,
    disk_bytes=20_000_000,
    processes=16,
)


@pytest.fixture(autouse=True)
def forgetful(request):
    """What was found out about an engine is found out again where a test replaces the engine."""
    if "fake" in request.fixturenames:
        container.unusable.cache_clear()
        container._controllers.cache_clear()
        yield
        container.unusable.cache_clear()
        container._controllers.cache_clear()
    else:
        yield


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """`fake(script)` is an engine named docker that does what the shell script says."""

    def install(script: str) -> None:
        program = tmp_path / "docker"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")

    return install


@pytest.fixture(scope="module", params=["docker", "podman"])
def engine(request):
    """Each engine that can run a container here; the reason is the skip's where it cannot."""
    if why := container.unusable(request.param):
        pytest.skip(why)
    return request.param


@pytest.fixture(scope="module")
def session(engine):
    """A session that the tests of what is seen from inside share."""
    with Session(QUICK, engine) as session:
        session.run("import os, socket, signal, time\nimport numpy as np")
        yield session


def shown(session: Session, source: str) -> str:
    """What a cell printed; it must have run to its end."""
    reply = session.run(source)
    assert reply["success"], reply["outputs"]
    return "".join(output.get("text", "") for output in reply["outputs"])


def containers(engine: str) -> list[str]:
    """The names of all containers of the engine, running or not."""
    listed = [engine, "ps", "--all", "--format", "{{.Names}}"]
    return subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()


# Without an engine: what is asked of it, and what is said where it cannot.


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_the_command_line_opens_no_way_out(engine, monkeypatch):
    monkeypatch.setattr(container, "_controllers", lambda _: frozenset(["memory", "pids", "cpu"]))
    words = container.command(engine, "name", QUICK, ["inner"])
    before_image = words[: words.index(container.image())]
    text = " ".join(before_image)
    for wanted in (
        "--network none",
        "--read-only",
        "--cap-drop ALL",
        "--security-opt no-new-privileges",
        "--user 65534:65534",
        "--memory 1100000000 --memory-swap 1100000000",
        "--pids-limit 17",
        "--cpus 1",
        "--pull never",
        "--log-driver none",
        "--rm",
    ):
        assert wanted in text
    assert not {"--volume", "-v", "--mount", "--privileged", "--env", "-e"} & set(before_image)
    assert words[-1] == "inner"


def test_a_limit_that_the_engine_does_not_have_is_not_asked_for(monkeypatch):
    monkeypatch.setattr(container, "_controllers", lambda _: frozenset(["memory", "pids"]))
    assert "--cpus" not in container.command("podman", "name", QUICK, ["inner"])


def test_an_engine_that_is_not_installed(fake, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert container.unusable("docker").startswith("docker is not installed: ")


def test_an_engine_that_does_not_answer(fake):
    fake("echo 'first line' >&2; echo 'Is the daemon running?' >&2; exit 1")
    assert container.unusable("docker").startswith(
        "docker does not answer (Is the daemon running?): "
    )


def test_an_engine_that_cannot_count_memory_is_refused(fake):
    fake("echo pids cpu")
    assert "cannot limit memory" in container.unusable("docker")


def test_an_image_that_is_not_there(fake, monkeypatch):
    monkeypatch.setenv(container.IMAGE_SETTING, "somewhere/other:2")
    fake('[ "$1" = info ] && echo memory pids')
    build = "docker build -t somewhere/other:2 -f autograder/shell/Containerfile ."
    assert container.unusable("docker") == (
        f"docker has no image somewhere/other:2: run `{build}` in the course's folder"
    )


def test_an_engine_that_starts_no_container(fake):
    fake('case "$1" in info) echo memory pids;; run) echo "no such option" >&2; exit 125;; esac')
    assert container.unusable("docker").startswith("docker starts no container (no such option): ")
    with pytest.raises(NotStarted, match="no such option"):
        Session(QUICK, "docker")


def test_the_containerfile_is_where_the_advice_says_and_takes_only_the_pins():
    text = (ROOT / container.CONTAINERFILE).read_text()
    copied = [line.split()[1] for line in text.splitlines() if line.startswith("COPY")]
    allowed = (ROOT / ".dockerignore").read_text().splitlines()
    assert [f"!{name}" for name in copied] == [line for line in allowed if line.startswith("!")]
    assert all((ROOT / name).exists() for name in copied)


# With an engine.


def test_it_is_found_usable(engine):
    assert sandbox.available(engine) == ""


def test_cells_run_and_calls_are_answered(session):
    assert (
        shown(session, "def double(x):\n    return 2 * x\nprint('hi'); os.system('echo spoil')")
        == "hi\n"
    )
    request = {"function": "double", "arguments": {"x": wire.encode(21)}}
    assert session.ask([request, request])[1]["value"] == 42


def test_a_call_without_an_end_costs_only_itself(session):
    session.run("def loop():\n    while True: pass")
    [reply] = session.ask([{"function": "loop", "arguments": {}}])
    assert reply["stopped"] == "stopped after 2 s"
    assert shown(session, "print('alive')") == "alive\n"


def test_a_call_that_wants_more_memory_than_allowed_costs_only_itself(session):
    session.run("def eat():\n    return b'x' * 10**10")
    [reply] = session.ask([{"function": "eat", "arguments": {}}])
    assert reply["error"]["type"] == "MemoryError"
    assert shown(session, "print('alive')") == "alive\n"


def test_the_memory_of_all_its_processes_is_counted_together(session):
    # Each is within the limit of one process; all of them are not within the container's.
    source = """
def hold():
    child = os.fork()
    if child == 0:
        held = b"x" * 300_000_000
        time.sleep(100)
        os._exit(0)
    return child
children = {hold() for _ in range(4)}
first, status = os.waitpid(-1, 0)
print(os.WTERMSIG(status) == signal.SIGKILL)
for child in children - {first}:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""
    assert shown(session, source) == "True\n"
    assert not Path("oom").exists()  # podman's note


def test_the_number_of_processes_is_bounded(session):
    source = """
children = []
try:
    for _ in range(40):
        children.append(os.fork())
        if children[-1] == 0:
            time.sleep(20)
            os._exit(0)
except OSError as error:
    print(type(error).__name__, len(children) <= 16)
for child in children:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""
    assert shown(session, source) == "BlockingIOError True\n"


def test_its_own_folder_is_bounded_and_nothing_else_can_be_written(session):
    source = """
def write(path, size):
    try:
        with open(path, "wb") as file: file.write(bytes(size))
        return "written"
    except OSError as error:
        return error.strerror
print(write("/tmp/a", 10**6), write("/tmp/b", 3 * 10**7), write("/var/tmp/c", 1), write("/run/d", 1), sep="; ")
os.unlink("/tmp/a"); os.unlink("/tmp/b")
"""
    told = shown(session, source).strip().split("; ")
    assert told[0] == "written"
    assert told[1] == "No space left on device"
    assert told[2] == "Read-only file system"  # a folder that anybody may write into elsewhere
    assert told[3] in ("Read-only file system", "Permission denied")


def test_it_reaches_nobody(session):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        source = f"""
try:
    socket.create_connection(("127.0.0.1", {port}), timeout=2)
except OSError as error:
    print(type(error).__name__, os.listdir("/sys/class/net"))
"""
        assert shown(session, source) == "ConnectionRefusedError ['lo']\n"


def test_it_sees_no_file_and_no_process_of_this_machine(session, tmp_path):
    secret = tmp_path / "gradebook.db"
    secret.write_text("secret")
    source = f"""
print([path for path in ({str(secret)!r}, {str(ROOT)!r}, "/tmp/inside.zip") if os.path.exists(path)])
print(sorted(int(name) for name in os.listdir("/proc") if name.isdigit())[0], len([
    name for name in os.listdir("/proc") if name.isdigit()]) < 5)
"""
    assert shown(session, source) == "[]\n1 True\n"


def test_it_has_no_rights(session):
    source = """
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(os.getuid(), *(int(status[name], 16) for name in ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp")))
"""
    assert shown(session, source) == "65534 0 0 1 2\n"


def test_no_variable_of_the_grader_is_there(engine, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://user:secret@proxy")
    with Session(QUICK, engine) as session:
        seen = shown(session, "import os\nprint(os.environ, open('/proc/1/environ').read())")
    assert "secret" not in seen
    assert "OMP_NUM_THREADS" in seen


def test_an_endless_cell_is_stopped_and_nothing_is_left(engine):
    with Session(Limits(cell_seconds=1), engine) as session:
        name = session._process._name
        assert name in containers(engine)
        # A process that left the cell's group of processes ends with the container too.
        session.run("import subprocess\nkept = subprocess.Popen(['sleep', '1000'])")
        with pytest.raises(Stopped, match="stopped after 1 s"):
            session.run("while True: pass")
    assert name not in containers(engine)


def test_a_container_that_does_not_end_by_itself_is_removed(engine, monkeypatch):
    monkeypatch.setattr(container, "HANG_UP", 0.1)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        started = container.Container(engine, theirs, QUICK, 0)
        ours.recv(4)
        assert started._name in containers(engine)
        started.close()  # although `ours` is open: the container has no reason to end
        assert started._name not in containers(engine)


def test_a_killed_grader_leaves_nothing(engine):
    script = f"""
from autograder.shell.limits import Limits
from autograder.shell.session import Session
session = Session(Limits(cell_seconds=600), {engine!r})
print(session._process._name, flush=True)
session.run("import time\\nwhile True: time.sleep(1)")
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    ) as grader:
        name = grader.stdout.readline().strip()
        assert name in containers(engine)
        time.sleep(0.5)  # into the cell
        os.kill(grader.pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while name in containers(engine) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert name not in containers(engine)


def test_a_right_hand_in_gets_full_marks(engine, assignment, right):
    handed_in = nbformat.writes(solve(assignment, right)).encode()
    record = grade(task_for(assignment, assignment.paper, "ada", handed_in, engine))
    assert {verdict.score / verdict.points for verdict in record.verdicts.values()} == {1}
