"""The attack suite: hostile hand-ins, graded with honest ones as a class."""


def contained() -> tuple[int, int]:
    """How many attacks were contained, of how many; every harm to others counts as one that was not."""
    from .every import ATTACKS
    from .trial import hold, users

    worst = len(ATTACKS)
    for user in users().values():
        trial = hold(user)
        harmful = sum(bool(trial.harm(attack)) for attack in ATTACKS.values())
        worst = min(worst, len(ATTACKS) - harmful - len(trial.disturbances()))
    return max(0, worst), len(ATTACKS)
