"""The report on a class: what it did not understand, question by question, and who needs help."""

from collections import defaultdict
from dataclasses import dataclass, field
from os.path import relpath
from pathlib import Path
from urllib.parse import quote

from autograder.assignment import Assignment
from autograder.classrun import problems, records
from autograder.course import CourseError
from autograder.gradebook import open_gradebook
from autograder.question import Question
from autograder.record import Record
from autograder.report import TEMPLATES
from autograder.report.pages import page_path


@dataclass
class QuestionRow:
    """How the class did on one question. `share` is the mean share of its points, from 0 to 1."""

    title: str
    points: float
    share: float
    full: int
    misconceptions: list[tuple[str, list[str]]] = field(default_factory=list)
    lost: list[tuple[str, int]] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)
    doubts: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class StudentRow:
    """One student's total, as the gradebook has it, and the way to the feedback page."""

    student: str
    score: float
    points: float
    manual: bool
    link: str


def write_report(assignment: Assignment) -> Path:
    """Write `report-<assignment>.html` into the class's folder and return its path."""
    graded = records(assignment)
    if not graded:
        raise CourseError(
            f"Nothing is graded yet for {assignment.name}: run `autograder grade {assignment.name}`."
        )
    target = assignment.course.class_folder / f"report-{assignment.name}.html"
    students = student_rows(assignment, target.parent)
    page = TEMPLATES.get_template("classreport.html.j2").render(
        assignment=assignment.name,
        questions=[question_row(question, graded) for question in assignment.checks.values()],
        students=students,
        problems=sorted(problems(assignment).items()),
        mean=sum(row.score for row in students) / max(1, len(students)),
    )
    temporary = target.with_suffix(".part")
    temporary.write_text(page, encoding="utf-8")
    temporary.replace(target)
    return target


def question_row(question: Question, graded: dict[str, Record]) -> QuestionRow:
    """Sum up one question over the class; misconceptions with most students first."""
    verdicts = {student: record.verdicts[question.name] for student, record in graded.items()}
    by_name: dict[str, list[str]] = defaultdict(list)
    lost: dict[str, int] = defaultdict(int)
    unnamed, unanswered = [], []
    for student, verdict in verdicts.items():
        if verdict.misconception:
            by_name[verdict.misconception].append(student)
        elif not verdict.answered:
            unanswered.append(student)
        elif verdict.score < verdict.points:
            unnamed.append(student)
        if verdict.answered:
            for aspect in verdict.aspects:
                lost[aspect.title] += aspect.earned < aspect.points
    sentences = {m.name: m.sentence for m in question.misconceptions}
    return QuestionRow(
        title=question.title,
        points=question.points,
        share=sum(v.score for v in verdicts.values()) / (question.points * len(verdicts)),
        full=sum(v.score == v.points for v in verdicts.values()),
        misconceptions=[
            (sentences[n], by_name[n]) for n in sorted(by_name, key=lambda n: -len(by_name[n]))
        ],
        lost=[(title, count) for title, count in lost.items() if count],
        unanswered=unanswered,
        unnamed=unnamed,
        doubts=[(student, v.doubt) for student, v in verdicts.items() if v.doubt],
    )


def student_rows(assignment: Assignment, folder: Path) -> list[StudentRow]:
    """Every student of the gradebook who handed this assignment in; links relative to `folder`."""
    rows = []
    with open_gradebook(assignment.course) as gradebook:
        for submission in gradebook.assignment_submissions(assignment.name):
            page = page_path(assignment, submission.student.id)
            link = quote(relpath(page, folder)) if page.exists() else ""
            rows.append(
                StudentRow(
                    submission.student.id,
                    submission.score,
                    submission.max_score,
                    submission.needs_manual_grade,
                    link,
                )
            )
    return sorted(rows, key=lambda row: row.student)
