"""No hostile hand-in gains a point, sees what it may not, or disturbs anybody; as root and as an ordinary user."""

import pytest

from .every import ATTACKS
from .trial import POINTS, hold, missing, users

if why := missing():
    pytest.skip(f"{why}: the attacks are not run", allow_module_level=True)

# What is harmless to this machine even if it is not contained.
HARMLESS = (
    "reads-the-course",
    "reads-the-environment",
    "connects-to-localhost",
    "connects-to-unix-sockets",
)


@pytest.fixture(scope="module", params=users())
def trial(request):
    return hold(users()[request.param])


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_an_attack_is_contained(trial, name):
    assert trial.harm(ATTACKS[name]) == [], ATTACKS[name].tries


def test_nobody_else_is_disturbed(trial):
    assert trial.disturbances() == []


def test_honest_students_keep_their_points(trial):
    for student in trial.honest:
        grades = trial.grades[student]
        assert {cell: grades[cell][0] for cell in POINTS} == POINTS


def test_without_a_sandbox_the_same_attacks_are_seen_to_do_harm():
    trial = hold(None, {name: ATTACKS[name] for name in HARMLESS}, sandbox="none")
    for name in HARMLESS:
        assert trial.harm(ATTACKS[name]), name
    assert trial.disturbances()


@pytest.mark.parametrize(
    ("page", "parts"),
    [
        ("<script>1</script>", ["<script>"]),
        (
            "<p>&lt;script&gt;</p><a href='https://example.org'>a</a><img src='data:image/png;base64,A'>",
            [],
        ),
        ("<img src=x ONERROR=a()>", ['<img onerror="a()">']),
        ("<a href=' java\nscript:a()'>", ['<a href="javascript:a()">']),
        ("<meta http-equiv=Refresh><img src=//x>", ['<img src="//x">']),
    ],
)
def test_live_parts_of_a_page_are_seen(page, parts):
    from .pages import alive

    assert set(parts) <= set(alive(page))
    assert parts or not alive(page)
