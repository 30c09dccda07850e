"""A hand-in's process in a container of its own, made by Docker or podman."""

import base64
import io
import json
import os
import secrets
import shlex
import shutil
import socket
import subprocess
import tempfile
import zipfile
from dataclasses import asdict
from functools import cache

from autograder.shell.limits import Limits
from autograder.shell.warm import INSIDE, NotStarted, environment

ANOTHER = "name another sandbox with --sandbox"
IMAGE = "attention-course-grader"
IMAGE_SETTING = "AUTOGRADER_IMAGE"
CONTAINERFILE = "autograder/shell/Containerfile"
HANG_UP = 5.0  # seconds in which a container ends by itself once the grader has hung up
ANSWER = 60.0  # seconds for a command of the engine
LIBRARIES = (
    500_000_000  # bytes that the libraries take, which a hand-in's own memory is counted without
)
PATH = "/usr/local/bin:/usr/bin:/bin"
HOME = "/tmp"
# The code that serves a session comes as an argument: no folder of this machine is mounted, so neither its
# permissions nor its security labels matter, and the image need not be built again when the grader changes.
BOOT = f"""
import base64, sys
code = "{HOME}/inside.zip"
with open(code, "xb") as file:
    file.write(base64.b64decode(sys.argv[1]))
sys.path.insert(0, code)
from inside.contained import main
main(code, *sys.argv[2:])
"""
NEEDED = ("IPython", "matplotlib", "numpy", "torch")
TRIAL = f"""
import sys
from importlib.util import find_spec
lacking = [name for name in {NEEDED} if find_spec(name) is None]
sys.exit(f"its image lacks {{', '.join(lacking)}}" if lacking else 0)
"""
ENGINES = ("docker", "podman")
# Each prints the names of what the engine can limit.
CONTROLLERS = {
    "docker": "{{if .MemoryLimit}}memory{{end}} {{if .PidsLimit}}pids{{end}} {{if .CPUCfsQuota}}cpu{{end}}",
    "podman": "{{range .Host.CgroupControllers}}{{.}} {{end}}",
}
# What only one of them has, or does unless told otherwise: podman gives a container further folders to write
# into and this machine's list of hosts.
OPTIONS = {
    "docker": [],
    "podman": ["--read-only-tmpfs=false", "--no-hosts"],
}


def image() -> str:
    """The image that containers are made from; the environment may name another."""
    return os.environ.get(IMAGE_SETTING) or IMAGE


def how_to_build(engine: str) -> str:
    """The command that makes the image, in the course's folder."""
    return f"{engine} build -t {shlex.quote(image())} -f {CONTAINERFILE} ."


@cache
def unusable(engine: str) -> str:
    """Why no hand-in can run in this engine's containers here, and what to do; empty where one can."""
    if shutil.which(engine) is None:
        return f"{engine} is not installed: install it, or {ANOTHER}"
    try:
        limited = _controllers(engine)
        if "memory" not in limited or "pids" not in limited:
            return (
                f"{engine} cannot limit memory and processes for this user: run it on a system with "
                f"cgroups version 2, or {ANOTHER}"
            )
        if _run(engine, "image", "inspect", "--format", "ok", image()).returncode:
            return f"{engine} has no image {image()}: run `{how_to_build(engine)}` in the course's folder"
        tried = _run(*command(engine, _new_name(), Limits(), ["python", "-I", "-c", TRIAL]))
    except NotStarted as error:
        return str(error)
    if tried.returncode:
        return f"{engine} starts no container ({_last_line(tried)}): put that right, or {ANOTHER}"
    return ""


class Container:
    """One container for one hand-in; it serves on its standard input and output."""

    def __init__(self, engine: str, channel: socket.socket, limits: Limits, seed: int) -> None:
        if why := unusable(engine):
            raise NotStarted(why)
        self._engine, self._name = engine, _new_name()
        self._folder = tempfile.TemporaryDirectory(prefix="container-")
        inner = ["python", "-I", "-c", BOOT, _code(), json.dumps(asdict(limits)), str(seed)]
        self._process = subprocess.Popen(
            command(engine, self._name, limits, inner),
            stdin=channel,
            stdout=channel,
            stderr=subprocess.DEVNULL,
            cwd=self._folder.name,  # podman leaves a note there of a container that ran out of memory
            start_new_session=True,  # an interrupt is for the grader, which then closes the session
        )

    def memory(self) -> int:
        """See Confined; always 0, because the engine counts a container's memory and ends it itself."""
        return 0

    def close(self) -> None:
        """See Confined; the container ends by itself once the channel is closed, and by force otherwise."""
        try:
            self._process.wait(HANG_UP)
        except subprocess.TimeoutExpired:
            _run(self._engine, "rm", "--force", self._name)
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()


def command(engine: str, name: str, limits: Limits, inner: list[str]) -> list[str]:
    """The engine's command line for a container that runs `inner`, sees nothing and reaches nobody."""
    memory = str(int(limits.memory_bytes) + LIBRARIES)
    folder = f"{HOME}:rw,exec,nosuid,nodev,mode=1777,size={int(limits.disk_bytes)}"
    processor = ["--cpus", "1"] if "cpu" in _controllers(engine) else []
    variables = [f"{key}={value}" for key, value in {**environment(HOME), "PATH": PATH}.items()]
    # `env -i`, because an engine adds variables of this machine and of the image to those it is told.
    return [
        *(engine, "run", "--name", name, "--rm", "--interactive"),
        *("--pull", "never", "--stop-timeout", "0"),
        *("--network", "none", "--ipc", "private", "--log-driver", "none"),
        *("--user", "65534:65534", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
        *("--read-only", "--tmpfs", folder, "--workdir", HOME),
        *("--memory", memory, "--memory-swap", memory, "--pids-limit", str(limits.processes + 1)),
        *processor,
        *OPTIONS[engine],
        *("--entrypoint", "env", image(), "-i", *variables, *inner),
    ]


@cache
def _controllers(engine: str) -> frozenset[str]:
    """What the engine can limit; NotStarted where it does not answer."""
    answer = _run(engine, "info", "--format", CONTROLLERS[engine])
    if answer.returncode:
        raise NotStarted(
            f"{engine} does not answer ({_last_line(answer)}): start it or let this user use it, or {ANOTHER}"
        )
    return frozenset(answer.stdout.split())


@cache
def _code() -> str:
    """The files of `inside` as a zip archive in base64."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(INSIDE.glob("*.py")):
            archive.write(path, f"inside/{path.name}")
    return base64.b64encode(raw.getvalue()).decode()


def _new_name() -> str:
    return f"hand-in-{secrets.token_hex(8)}"


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            arguments, capture_output=True, text=True, timeout=ANSWER, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotStarted(
            f"{arguments[0]} does not answer ({error}): start it or let this user use it, or {ANOTHER}"
        ) from error


def _last_line(answer: subprocess.CompletedProcess[str]) -> str:
    lines = answer.stderr.strip().splitlines()
    return lines[-1][:300] if lines else f"status {answer.returncode}"
