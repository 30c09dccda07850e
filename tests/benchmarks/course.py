"""How long the course takes to build, and how heavy its pages are."""

import os
import shutil
import subprocess

from playwright.sync_api import sync_playwright

from tests.book.conftest import Pages
from tests.book.test_site_weight import first_view

from .classes import command, folder
from .figures import ROOT, Absent, Measured

SITE = ROOT / "_build" / "html"


def minutes() -> dict[str, Measured]:
    """`make course` in a fresh clone that shares this checkout's environment, and once more."""
    with folder() as root:
        clone = root / "course"
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        (clone / ".venv").symlink_to(ROOT / ".venv")
        for name in ("requirements.txt", "pyproject.toml"):
            os.utime(clone / name, (0, 0))  # so that the environment counts as made
        # The commands in the clone import the clone's packages.
        paths = {"PYTHONPATH": os.pathsep.join([str(clone), str(clone / "book")])}
        cold, warm = (command(clone, "make", "course", **paths) / 60 for _ in range(2))
    return {"course-cold": Measured(cold), "course-warm": Measured(warm)}


def page_weight() -> dict[str, Measured]:
    """The heaviest page of the built site, weighed as the tests weigh it."""
    if not (SITE / "sitemap.xml").is_file():
        raise Absent("the site is not built: run `make book`")
    if (chromium := shutil.which("chromium")) is None:
        raise Absent("the system package chromium of apt.txt is absent")
    pages = [
        page.relative_to(SITE) for page in SITE.glob("*/**/*.html") if "_static" not in page.parts
    ]
    served = Pages(SITE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        weights = {page: first_view(browser, f"{served.url}{page}")[0] / 1024 for page in pages}
        browser.close()
    served.close()
    heaviest = max(weights, key=weights.__getitem__)
    return {"page-weight": Measured(weights[heaviest], None, f"{heaviest}, of {len(pages)} pages")}
