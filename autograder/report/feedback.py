"""A verdict as the student reads it: a table under the graded cell, and the same as plain text."""

from autograder.report import TEMPLATES
from autograder.verdict import Verdict

# The table is shown by nbgrader's feedback page, by formgrader and by JupyterLab, which each bring
# their own styles; inline ones keep it the same in all. Every text is escaped.
TEMPLATE = TEMPLATES.get_template("feedback.html.j2")


def verdict_html(verdict: Verdict) -> str:
    """The verdict as trusted HTML: all of the student's texts in it are escaped."""
    failed = next((aspect for aspect in verdict.aspects if aspect.earned < aspect.points), None)
    colour = "#d93025" if not verdict.score else "#b97900" if failed else "#1a7f37"
    return TEMPLATE.render(v=verdict, failed=failed, colour=colour)


def verdict_text(verdict: Verdict) -> str:
    """The verdict as plain text."""
    lines = [f"{verdict.title}: {verdict.score:g} of {verdict.points:g} points"]
    lines += [*verdict.broken, verdict.advice] if verdict.advice else verdict.broken
    for a in verdict.aspects:
        lines.append(
            f"- {a.title}: {a.earned:g} of {a.points:g}"
            + (f" ({a.case}: {a.sentence})" if a.case else f" ({a.sentence})" if a.sentence else "")
        )
    return "\n".join(lines)
