"""Attacks by the files of a hand-in: links, names, and files beside the notebook that programs pick up."""

import os

from .attack import placed


def _link(stage, name, target):
    folder = stage.folder(name)
    (folder / "hostile.ipynb").symlink_to(target)


@placed("hands in a link to a better student's notebook")
def links_to_a_better_student(stage, text):
    _link(stage, "links-to-a-better-student", stage.folder("ada") / "hostile.ipynb")


@placed("hands in a link to the gradebook")
def links_to_the_gradebook(stage, text):
    _link(stage, "links-to-the-gradebook", stage.class_folder / "gradebook.db")


@placed("hands in a link to a device that never ends")
def links_to_a_device(stage, text):
    _link(stage, "links-to-a-device", "/dev/zero")


@placed("hands in a pipe that nobody writes to")
def hands_in_a_pipe(stage, text):
    os.mkfifo(stage.folder("hands-in-a-pipe") / "hostile.ipynb")


@placed("hands in a folder that is a link to another student's")
def links_its_folder(stage, text):
    folder = stage.folder("links-its-folder")
    folder.rmdir()
    folder.symlink_to(stage.folder("ada"))


@placed("hands in a hard link to a file outside, and a date that is a link to a secret")
def links_its_date(stage, text):
    folder = stage.folder("links-its-date")
    (folder / "hostile.ipynb").write_text(text)
    (folder / "timestamp.txt").symlink_to(stage.canary_file)


@placed("hands in a date that is a pipe to which nobody writes")
def dates_with_a_pipe(stage, text):
    folder = stage.folder("dates-with-a-pipe")
    (folder / "hostile.ipynb").write_text(text)
    os.mkfifo(folder / "timestamp.txt")


@placed("hands in files that Python, pytest, Jupyter and nbgrader would run if they were found")
def brings_files_that_run(stage, text):
    folder = stage.folder("brings-files-that-run")
    (folder / "hostile.ipynb").write_text(text)
    harm = f"open({str(stage.harm_file)!r}, 'a').write('harmed by brings-files-that-run\\n')\n"
    names = (
        "sitecustomize",
        "usercustomize",
        "numpy",
        "torch",
        "json",
        "nbgrader_config",
        "conftest",
        "autograder",
    )
    for name in (*names, "jupyter_config", "ipython_config", "startup", "IPython"):
        for place in (folder, folder.parent):
            (place / f"{name}.py").write_text(harm)
    (folder / "start.pth").write_text(f"import os; {harm}")
    (folder / "hostile.md").write_text("# another source")
    (folder / "other.ipynb").write_text(text)
    (folder.parent / ".nbgrader.log").mkdir()


NAMES = {
    "named-by-a-glob": "*",
    "named-by-a-set": "[a-z]*",
    "named-by-an-option": "--help",
    "named-by-dots": "a..",
    "named-by-a-newline": "two\nlines",
    "named-by-escapes": "\x1b]0;titled-by-a-student\x07\x1b[2J",
    "named-by-markup": "[bold red]x[bold] {student_id} %(asctime)s",
    "named-by-quotes": "o'; drop table grade; --\"`touch x`",
    "named-by-reversal": "\u202egnp.evil",
    "named-by-surrogates": "bad\udcff\udcfebytes",
    "named-at-length": "n" * 240,
}


def _named(name, folder):
    @placed(
        f"has a name at which a glob, a shell, a database or a terminal may stumble: {folder!r}",
        name,
        folder,
    )
    def place(stage, text):
        (stage.folder(folder) / "hostile.ipynb").write_text(text)


for _name, _folder in NAMES.items():
    _named(_name, _folder)
