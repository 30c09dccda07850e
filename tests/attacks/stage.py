"""The stage of a trial: a course of its own, canaries where nobody may look, and services nobody may reach."""

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from autograder.assignment import Assignment
from autograder.course import Course
from autograder.sample import solve

from . import assignment
from .attack import Attack

ROOT = Path(__file__).parents[2]
NAME, NOTEBOOK = "66-hostile", "hostile"
PRELUDE = Path(__file__).with_name("prelude.py").read_text()
LEFT = "canary-" + "ab" * 16  # what one student leaves for the next
OTHERS = {"imports": "import numpy as np\nimport torch", **assignment.RIGHT}


def canary() -> str:
    """A value that turns up nowhere by chance."""
    return f"canary-{secrets.token_hex(16)}"


CANARIES = (
    *("solutions", "checks", "secret", "gradebook", "ada", "home", "file"),
    *("environment", "process", "service"),
)


class Listeners:
    """Services of this machine: TCP, UDP, Unix sockets. Whoever reaches one gets a canary and is noted."""

    def __init__(self, folder: Path, banner: str) -> None:
        self.contacts: list[str] = []
        self.banner = banner.encode()
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.port = self.tcp.getsockname()[1]
        self.udp = socket.socket(type=socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.path, self.abstract = str(folder / "service"), secrets.token_hex(8)
        servers = [self.tcp]
        for address in (self.path, f"\0{self.abstract}"):
            servers.append(socket.socket(socket.AF_UNIX))
            servers[-1].bind(address)
            servers[-1].listen()
        Path(self.path).chmod(0o666)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.free = taken.getsockname()[1]  # where a student's own service would be reached
        self._all = [*servers, self.udp]
        for server in servers:
            threading.Thread(target=self._accept, args=(server,), daemon=True).start()
        threading.Thread(target=self._receive, daemon=True).start()
        threading.Thread(target=self._probe, daemon=True).start()

    def _accept(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                talk, _ = server.accept()
                with talk, contextlib.suppress(OSError):
                    talk.settimeout(1)
                    talk.sendall(self.banner)
                    self.contacts.append(talk.recv(200).decode(errors="replace") or "silent")

    def _receive(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                raw, sender = self.udp.recvfrom(200)
                self.contacts.append(raw.decode(errors="replace"))
                self.udp.sendto(self.banner, sender)

    def _probe(self) -> None:
        while self._all:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.free), 0.2) as talk,
            ):
                self.contacts.append(talk.recv(200).decode(errors="replace"))
            time.sleep(0.3)

    def close(self) -> None:
        """Close every socket."""
        while self._all:
            self._all.pop().close()


class Stage:
    """One course with one assignment, graded by one user; `folder` belongs to that user."""

    def __init__(self, user: int | None) -> None:
        self.user = user  # None is whoever runs the tests
        self.root = Path(tempfile.mkdtemp(prefix="attacks-"))
        self.root.chmod(0o755)
        self.course_folder, self.class_folder = self.root / "course", self.root / "course" / "class"
        self.home, self.tmp = self.root / "home", self.root / "tmp"
        self.canaries = {place: canary() for place in CANARIES}
        self.canary_file, self.harm_file = self.root / "canary.txt", self.root / "harm.txt"
        self._write_course()
        self.listeners = Listeners(self.root, self.canaries["service"])
        self.environment = {
            "PATH": os.defpath,
            "HOME": str(self.home),
            "TMPDIR": str(self.tmp),
            "PYTHONPATH": str(self.course_folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "API_TOKEN": self.canaries["environment"],
            "TERM": "xterm",
        }
        self._release()
        self.bystander = subprocess.Popen(
            [self.canaries["process"], "900"],
            executable=shutil.which("sleep"),
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            **self._identity(),
        )

    def _identity(self) -> dict[str, int]:
        return {} if self.user is None else {"user": self.user, "group": self.user}

    def _write_course(self) -> None:
        course = self.course_folder
        shutil.copytree(
            ROOT / "autograder", course / "autograder", ignore=shutil.ignore_patterns("__pycache__")
        )
        for name in ("nbgrader_config.py", "requirements.txt"):
            shutil.copy(ROOT / name, course / name)
        for folder in (
            course / "solutions" / NAME,
            course / "exercises",
            self.class_folder,
            self.tmp,
            self.home / ".ssh",
        ):
            folder.mkdir(parents=True, exist_ok=True)
        (course / "solutions" / NAME / f"{NOTEBOOK}.md").write_text(
            assignment.source(self.canaries["solutions"])
        )
        (course / "autograder" / "checks" / f"{NOTEBOOK}.py").write_text(
            assignment.checks(self.canaries["checks"])
        )
        (self.class_folder / "secret").write_text(self.canaries["secret"])
        (self.home / ".ssh" / "id_ed25519").write_text(self.canaries["home"])
        self.canary_file.write_text(self.canaries["file"])
        self.harm_file.write_text("")

    def _release(self) -> None:
        subprocess.run(
            [sys.executable, "-m", "autograder", "release", NAME],
            cwd=self.course_folder,
            env=self.environment,
            check=True,
            capture_output=True,
            timeout=600,
        )
        course = Course(self.course_folder, self.class_folder)
        from nbgrader.api import Gradebook

        with Gradebook(course.database_url) as gradebook:
            gradebook.add_student("ada", first_name=self.canaries["gradebook"])
        self.released = Assignment(course, NAME)
        shutil.copytree(self.class_folder, self.course_folder / "alone")

    def folder(self, student: str, class_name: str = "class") -> Path:
        """The folder of a student's hand-in, made if it is not there."""
        folder = self.course_folder / class_name / "submitted" / student / NAME
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def hand_in_right(self, student: str) -> None:
        """An honest student with right answers, in the class and in the class without attackers."""
        said = nbformat.v4.new_code_cell(f"print('{self.canaries['ada']}')", id="said")
        notebook = solve(self.released, OTHERS)
        notebook.cells.append(said)
        self.hand_in_honest(student, notebook)

    def hand_in_honest(self, student: str, notebook: NotebookNode) -> None:
        """The same hand-in in both classes."""
        for class_name in ("class", "alone"):
            folder = self.folder(student, class_name)
            (folder / f"{NOTEBOOK}.ipynb").write_text(json.dumps(notebook))
            (folder / "model.safetensors").write_bytes(assignment.model_bytes())

    def hand_in(self, attack: Attack) -> None:
        """Write an attack's hand-in."""
        programs = OTHERS | {"target": assignment.WRONG} | dict(attack.answers)
        notebook = solve(self.released, programs)
        cells = [self._prelude(attack), *attack.cells] if attack.cells or attack.answers else []
        notebook.cells[1:1] = [
            nbformat.v4.new_code_cell(source, id=f"attack-{number}")
            for number, source in enumerate(cells)
        ]
        text = attack.mangle(notebook) if attack.mangle else notebook
        text = json.dumps(text) if isinstance(text, NotebookNode) else text
        if attack.place:
            attack.place(self, text)
        else:
            (self.folder(attack.student) / f"{NOTEBOOK}.ipynb").write_text(text)

    def _prelude(self, attack: Attack) -> str:
        where = {
            "student": attack.student,
            "course": str(self.course_folder),
            "class": str(self.class_folder),
            "places": [str(place) for place in self.places()],
            "bystander": self.bystander.pid,
            "tcp": self.listeners.port,
            "udp": self.listeners.udp.getsockname()[1],
            "unix": self.listeners.path,
            "abstract": self.listeners.abstract,
            "free": self.listeners.free,
        }
        return PRELUDE.replace("WHERE = {}", f"WHERE = {where!r}")

    def places(self) -> list[Path]:
        """What an attack would like to read or write."""
        course, class_ = self.course_folder, self.class_folder
        inside = [
            class_ / name
            for name in ("secret", "gradebook.db", "submitted", "autograded", "records", "feedback")
        ]
        return [
            course / "solutions",
            course / "exercises",
            course / "autograder",
            *inside,
            self.home / ".ssh",
            self.canary_file,
            self.harm_file,
        ]

    def files(self) -> dict[str, bytes]:
        """What must not change: everything but what grading itself writes."""
        kept = [self.canary_file, self.harm_file, *(self.home / ".ssh").rglob("*")]
        for path in self.course_folder.rglob("*"):
            if "__pycache__" in path.parts:  # Python's own, written by the grader
                continue
            inside = path.relative_to(self.course_folder).parts
            if inside[0] not in ("class", "alone") or inside[:2] in (
                ("class", "submitted"),
                ("class", "secret"),
            ):
                kept.append(path)
        return {
            str(path): path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            for path in kept
            if path.is_symlink() or not path.is_dir()
        }

    def own(self) -> None:
        """Give all of it to the user who grades."""
        if self.user is not None:
            for path in (self.root, *self.root.rglob("*")):
                os.chown(path, self.user, self.user, follow_symlinks=False)

    def close(self) -> None:
        """End the services and the bystander, and remove everything."""
        self.listeners.close()
        self.bystander.kill()
        self.bystander.wait()
        subprocess.run(["rm", "-rf", "--", self.root], check=False)
