"""nbgrader's configuration: the course around this file, with the grader's own steps in it.

Read by `nbgrader …` and by formgrader. The class folder is `class/`, or what AUTOGRADER_CLASS names.
"""

from pathlib import Path

from autograder.course import Course

Course.find(start=Path(__file__).parent).configure(get_config())  # noqa: F821 - given by traitlets
