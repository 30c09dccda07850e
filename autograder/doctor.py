"""What a machine lacks for building the book, grading a class and running the tests."""

import os
import re
import shutil
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from autograder import kernelspec
from autograder.course import Course
from autograder.shell.sandbox import SANDBOXES, available

REQUIREMENT = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;#]+)")
PROGRAMS = {
    "chromium": "for the browser tests only: install Debian's package chromium, or Chromium from your system",
    "initdb": "for the tests of a gradebook on PostgreSQL only: install Debian's package postgresql",
}
PLACES = ("/usr/lib/postgresql/*/bin",)  # of programs that Debian keeps out of the PATH
# Settings of the kernel that keep an ordinary user from making a sandbox: what they must not be, and what to do.
SETTINGS = {
    "kernel/apparmor_restrict_unprivileged_userns": (
        "1",
        "AppArmor forbids it: `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or a profile for bwrap",
    ),
    "kernel/unprivileged_userns_clone": (
        "0",
        "the kernel forbids it: `sudo sysctl kernel.unprivileged_userns_clone=1`",
    ),
    "user/max_user_namespaces": (
        "0",
        "the kernel forbids it: `sudo sysctl user.max_user_namespaces=10000`",
    ),
}


@dataclass(frozen=True)
class Finding:
    """One thing looked at; `optional` things keep some tests from running and nothing else."""

    what: str
    fine: bool
    advice: str = ""  # what to do where it is not
    optional: bool = False


def findings(course: Course) -> list[Finding]:
    """Everything the course needs, in the order in which one would put it right."""
    python = ".".join(map(str, sys.version_info[:3]))
    found = [
        Finding(f"Python {python}", sys.version_info >= (3, 11), "install Python 3.11 or later")
    ]
    found += [_package(name, version) for name, version in _requirements(course)]
    found = _summed(found)
    found += sandboxes()
    found += [
        Finding(program, _is_installed(program), advice, optional=True)
        for program, advice in PROGRAMS.items()
    ]
    found.append(
        Finding(
            f"kernel {kernelspec.SPEC['display_name']}",
            kernelspec.installed(),
            "to run any notebook in the sandbox: `autograder doctor --install`",
            optional=True,
        )
    )
    found.append(
        Finding(
            f"assignments: {', '.join(course.assignments()) or 'none'}",
            bool(course.assignments()),
            "add one under solutions/",
        )
    )
    return found


def sandboxes() -> list[Finding]:
    """Each sandbox, tried by starting one; without any of them no hand-in is graded."""
    why_not = {name: available(name) for name in SANDBOXES if name != "none"}
    if why_not["bwrap"] and shutil.which("bwrap") and os.geteuid():
        why_not["bwrap"] += forbidden()
    spare = not all(why_not.values())
    return [Finding(f"sandbox {name}", not why, why, spare) for name, why in why_not.items()]


def forbidden(settings: Path = Path("/proc/sys")) -> str:
    """Which of the kernel's settings keeps an ordinary user from making a sandbox, and what to do; or nothing."""
    found = [
        advice
        for name, (bad, advice) in SETTINGS.items()
        if (settings / name).exists() and (settings / name).read_text().strip() == bad
    ]
    return "".join(f"; {advice}" for advice in found)


def _is_installed(program: str) -> bool:
    return bool(shutil.which(program)) or any(
        list(Path("/").glob(f"{place[1:]}/{program}")) for place in PLACES
    )


def _requirements(course: Course) -> list[tuple[str, str]]:
    lines = (course.root / "requirements.txt").read_text().splitlines()
    return [match.group(1, 2) for line in lines if (match := REQUIREMENT.match(line))]


def _package(name: str, wanted: str) -> Finding:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding(f"{name} {wanted}", False, "run `make env`")
    # A local label such as +cpu is another build of the same version.
    return Finding(
        f"{name} {wanted}", version.split("+")[0] == wanted, f"found {version}: run `make env`"
    )


def _summed(found: list[Finding]) -> list[Finding]:
    """One line for all packages that are as they should be; the others each have theirs."""
    bad = [finding for finding in found[1:] if not finding.fine]
    good = len(found) - 1 - len(bad)
    return [found[0], Finding(f"{good} packages of requirements.txt", True), *bad]
