"""One trial: all attackers and some honest students graded as one class by the command line, and what came of it."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autograder.course import Course

from .attack import ATTACKS, Attack
from .pages import alive
from .prelude import CANARY
from .stage import LEFT, NAME, NOTEBOOK, Stage

JOBS = 4
SECONDS = 240  # in which a class run must be over
MEMORY = 4_500_000_000  # that it may take, all its workers together
RECORD_BYTES = 3_000_000  # that one hand-in may leave in a file
NEIGHBOURS = 6  # honest students, spread among the attackers
PROOF = "proof-of-harm"
CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069]")
TYPED, TITLE = (
    "typed-by-a-student",
    "\x1b]0;",
)  # on the terminal: text, or a new title of its window
FORGED = "FORGED-VERDICT"
POINTS = {"test_target": 4.0, "test_plain": 2.0, "test_tensor": 2.0, "test_rate": 2.0}


@dataclass
class Trial:
    """What was found after a class run."""

    attacks: dict[str, Attack]
    told: dict[str, Any]  # by the launcher
    grades: dict[str, dict[str, tuple]]  # by student and cell: automatic, by hand, extra
    alone: dict[str, dict[str, tuple]]
    files: dict[str, dict[str, bytes]]  # by student and path: everything written about a student
    files_alone: dict[str, dict[str, bytes]]
    problems: dict[str, str]
    canaries: dict[str, str]
    changed: list[str]
    harmed: str  # the text of all files outside that students' names could turn up in
    contacts: list[str]
    honest: list[str]
    bystander: str  # its state; empty when it is gone
    scratch: list[str]
    stray: dict[str, list[str]] = field(default_factory=dict)

    def harm(self, attack: Attack) -> list[str]:
        """Every way in which an attack got through; empty when it was contained."""
        return [*self._gained(attack), *self._saw(attack), *self._did(attack)]

    def _gained(self, attack: Attack) -> list[str]:
        found = []
        grades = self.grades.get(attack.student, {})
        if attack.refused or attack.student not in self.grades:
            if attack.student not in self.problems:
                found.append("neither graded nor listed with a reason")
            return found + (
                [f"refused, but graded {grades}"] if any(g[0] for g in grades.values()) else []
            )
        attacked = [
            name for name in ("target", "plain", "tensor", "rate") if name in dict(attack.answers)
        ] or ["target"]
        for name in attacked:
            if grades.get(f"test_{name}", (None,))[0] != 0:
                found.append(f"{name}: {grades.get(f'test_{name}')} for a wrong answer")
        for name in attack.spared:
            if grades[f"test_{name}"][0] != POINTS[f"test_{name}"]:
                found.append(f"{name} was right, and got {grades[f'test_{name}']}")
        for name, (automatic, by_hand, extra) in grades.items():
            if by_hand is not None or extra or (automatic or 0) > POINTS.get(name, 0):
                found.append(f"{name}: the gradebook says {automatic, by_hand, extra}")
        return found

    def _saw(self, attack: Attack) -> list[str]:
        found = []
        for path, raw in self.files.get(attack.student, {}).items():
            text = raw.decode("utf-8", "replace")
            found += [
                f"{path} tells the canary {place}"
                for place, value in self.canaries.items()
                if value in text
            ]
            if path.endswith(".html"):
                found += [f"{path} is alive: {part}" for part in alive(text)]
                found += [f"{path} holds raw control characters"] * bool(CONTROLS.search(text))
            elif FORGED in text:
                found.append(f"{path} shows a verdict that it brought")
            if PROOF in text:
                found.append(f"{path}: {text[text.index(PROOF) :][:100]!r}")
            if len(raw) > RECORD_BYTES:
                found.append(f"{path} has {len(raw)} bytes")
        return found

    def _did(self, attack: Attack) -> list[str]:
        found = (
            ["a file outside carries its name"]
            if f"harmed by {attack.student}\n" in self.harmed
            else []
        )
        return found + ["it reached a service"] * any(
            attack.student in contact for contact in self.contacts
        )

    def disturbances(self) -> list[str]:
        """What befell others, or the machine, whoever did it."""
        told, found = self.told, []
        if told["status"] not in (0, 1):
            found.append(f"the run ended with {told['status']}: {told['shown'][-500:]!r}")
        found += [f"left running: {process}" for process in told["left"]]
        if told["peak"] > MEMORY:
            found.append(f"the run took {told['peak'] / 1e9:.1f} GB")
        if TYPED in told["shown"] or TITLE in told["shown"]:
            found.append("a student wrote on the instructor's terminal")
        found += [f"changed: {path}" for path in self.changed]
        found += [f"left in the scratch folder: {name}" for name in self.scratch]
        if self.bystander not in ("S", "R"):
            found.append(f"a process outside was stopped or killed ({self.bystander})")
        if self.contacts:
            found.append(f"services were reached: {self.contacts[:5]}")
        for student in self.honest:
            if self.grades.get(student) != self.alone.get(student):
                found.append(
                    f"{student}: {self.grades.get(student)}, alone {self.alone.get(student)}"
                )
            if _decisive(self.files[student]) != _decisive(self.files_alone[student]):
                found.append(f"{student}: the record is not what it is alone")
        known = set(self.honest) | {attack.student for attack in self.attacks.values()}
        found += [f"a student that nobody is: {student}" for student in set(self.grades) - known]
        return found + [
            f"{path} tells the canary {place}"
            for path, told in self.stray.items()
            for place in told
        ]


def _decisive(files: dict[str, bytes]) -> list[Any]:
    """What a record says, times apart."""
    records = [
        json.loads(raw) for path, raw in sorted(files.items()) if path.endswith(f"{NOTEBOOK}.json")
    ]
    times = ("seconds", "digest")  # the digest covers the seconds
    return [{key: record[key] for key in record if key not in times} for record in records]


def hold(user: int | None, attacks: dict[str, Attack] = ATTACKS, sandbox: str = "bwrap") -> Trial:
    """Grade these attackers and some honest students as one class, as that user (None: whoever runs this)."""
    stage = Stage(user)
    try:
        names = sorted(attacks)
        step = max(1, len(names) // NEIGHBOURS)
        honest = ["ada", *(f"{name}-neighbour" for name in names[::step][:NEIGHBOURS])]
        for student in honest:
            stage.hand_in_right(student)
        for attack in attacks.values():
            stage.hand_in(attack)
        stage.own()
        before = stage.files()
        alone = run(
            stage,
            ["grade", NAME, "--class", "alone", "--jobs", "2", "--sandbox", sandbox],
        )
        assert alone["status"] == 0, alone["shown"][-2000:]
        told = run(stage, ["grade", NAME, "--jobs", str(JOBS), "--sandbox", sandbox])
        pages = run(stage, ["feedback", NAME])
        told["shown"] += pages["shown"]
        told["status"] = (
            max(told["status"] or 0, pages["status"] or 0) if told["status"] is not None else None
        )
        return _look(stage, attacks, honest, before, told)
    finally:
        stage.close()


def run(stage: Stage, arguments: list[str]) -> dict[str, Any]:
    """The command line on a terminal, as the stage's user, and what the launcher tells."""
    command = [*as_user(stage.user), sys.executable, "-m", "autograder", *arguments]
    task = {
        "command": command,
        "cwd": str(stage.course_folder),
        "env": stage.environment,
        "seconds": SECONDS,
    }
    launcher = Path(__file__).with_name("launcher.py")
    done = subprocess.run(
        [sys.executable, "-I", str(launcher), json.dumps(task)],
        capture_output=True,
        text=True,
        timeout=SECONDS + 60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def as_user(user: int | None) -> list[str]:
    """The command that becomes another user who sees Python even where it is installed in somebody's home."""
    if user is None:
        return []
    change = f'exec setpriv --reuid={user} --regid={user} --clear-groups "$@"'
    hidden = _hidden(Path(sys.base_prefix).resolve())
    if hidden is None:
        return ["bash", "-c", change, "as-user"]
    prefix = Path(sys.base_prefix).resolve()
    # In a mount namespace of its own: the closed folder is covered by an open one that holds Python only.
    script = (
        f'set -e; kept=$(mktemp -d); mount --bind "{prefix}" "$kept"; mount -t tmpfs -o mode=755 none "{hidden}"; '
        f'mkdir -p "{prefix}"; mount --bind "$kept" "{prefix}"; umount "$kept"; rmdir "$kept"; {change}'
    )
    return ["unshare", "--mount", "bash", "-c", script, "as-user"]


def _hidden(path: Path) -> Path | None:
    """The first folder on the way to `path` that other users may not pass."""
    return next((part for part in reversed(path.parents) if not part.stat().st_mode & 1), None)


def _look(
    stage: Stage, attacks: dict[str, Attack], honest: list[str], before: dict, told: dict
) -> Trial:
    after = stage.files()
    class_ = stage.class_folder
    outside = [stage.harm_file, stage.canary_file, *_written(stage)]
    students = [*honest, *(attack.student for attack in attacks.values())]
    files = {student: _about(stage, class_, student) for student in students}
    told_about = {path for found in files.values() for path in found}
    canaries = {**stage.canaries, "left": LEFT}
    return Trial(
        attacks=attacks,
        told=told,
        grades=_grades(stage, class_),
        alone=_grades(stage, stage.course_folder / "alone"),
        files=files,
        files_alone={s: _about(stage, stage.course_folder / "alone", s) for s in honest},
        problems=_problems(class_),
        canaries=canaries,
        changed=[
            path for path in before.keys() | after.keys() if before.get(path) != after.get(path)
        ],
        harmed="".join(path.read_text(errors="replace") for path in outside),
        contacts=list(stage.listeners.contacts),
        honest=honest,
        bystander=_state(stage.bystander.pid),
        scratch=sorted(path.name for path in stage.tmp.iterdir()),
        stray=_stray(stage, told_about, canaries),
    )


def _written(stage: Stage) -> list[Path]:
    """Files that a class run writes, outside the hand-ins."""
    found = (path for path in stage.root.rglob("*") if path.is_file() and not path.is_symlink())
    return [
        path
        for path in found
        if "submitted" not in path.parts and path.suffix not in (".py", ".html", ".ipynb")
    ]


def _about(stage: Stage, class_: Path, student: str) -> dict[str, bytes]:
    """All that was written about a student: records, autograded notebooks without their sources, feedback."""
    found = {}
    for path in sorted(class_.rglob("*")):
        inside = path.relative_to(class_).parts
        if inside[0] != "submitted" and student in inside and path.is_file():
            raw = path.read_bytes()
            found["/".join(inside)] = _outputs(raw) if path.suffix == ".ipynb" else raw
    return found


def _outputs(raw: bytes) -> bytes:
    cells = json.loads(raw)["cells"]
    return json.dumps([cell.get("outputs") for cell in cells]).encode()


def _stray(stage: Stage, told_about: set[str], canaries: dict[str, str]) -> dict[str, list[str]]:
    """Canaries in what a class run wrote for everybody; the gradebook may hold its own."""
    found = {}
    for path in _written(stage):
        if not path.is_relative_to(stage.class_folder) or path.name == "secret":
            continue
        inside = str(path.relative_to(stage.class_folder))
        own = {"gradebook", "left"} if path.name.startswith("gradebook.db") else {"left"}
        values = (
            set(CANARY.findall(path.read_text(errors="replace")))
            if inside not in told_about
            else set()
        )
        if told := [
            place for place, value in canaries.items() if value in values and place not in own
        ]:
            found[inside] = told
    return found


def _grades(stage: Stage, class_: Path) -> dict[str, dict[str, tuple]]:
    from nbgrader.api import Gradebook

    with Gradebook(Course(stage.course_folder, class_).database_url) as gradebook:
        return {
            submission.student.id: {
                grade.name: (grade.auto_score, grade.manual_score, grade.extra_credit)
                for notebook in submission.notebooks
                for grade in notebook.grades
            }
            for submission in gradebook.assignment_submissions(NAME)
        }


def _problems(class_: Path) -> dict[str, str]:
    found = next(iter(class_.rglob("problems.json")), None)
    return json.loads(found.read_text()) if found else {}


def _state(process: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    return ""


def users() -> dict[str, int | None]:
    """Who grades in the suite: whoever runs it and, where that is root, an ordinary user too."""
    if os.geteuid():
        return {"ordinary": None}
    return {"root": None, "ordinary": 65534}


def missing() -> str:
    """Why the suite cannot run here, empty where it can."""
    for program in ("bwrap", *(("setpriv", "unshare") if os.geteuid() == 0 else ())):
        if shutil.which(program) is None:
            return f"the program {program} is absent"
    return ""
