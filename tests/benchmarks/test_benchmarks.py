"""The benchmarks themselves: that rows are kept, that the page follows them, that stock gets the same tests.

Nothing is timed here.
"""

import ast
import json
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from autograder.assignment import Reference, replies
from autograder.verdict import decide
from tests.benchmarks import __main__ as command
from tests.benchmarks import bank, classes, estimate, figures, memory, page, speed
from tests.benchmarks.damage import DAMAGES
from tests.benchmarks.figures import FIGURES, Absent, Measured, Row, read, row, write
from tests.benchmarks.inkernel import points
from tests.benchmarks.stock import stock_notebook

COSTS = {
    "cost-hand-in": 0.36,
    "cost-page": 0.0,
    "cost-gradebook": 5.0,
    "cost-task": 1.0,
    "grade-resume": 0.01,
    "bytes-gradebook": 10.0,
    "bytes-record": 20.0,
    "bytes-notebook": 30.0,
    "bytes-page": 40.0,
    "files": 7.0,
}


def rows(**values: float) -> list[Row]:
    """A row for every figure, with 1 where nothing else is said."""
    values = {name.replace("_", "-"): value for name, value in values.items()}
    return [row(name, Measured(values.get(name, 1.0), (0.5, 2.0))) for name in FIGURES]


# --- rows ------------------------------------------------------------------------------------------


def test_a_row_takes_the_place_of_the_older_one(tmp_path):
    file = tmp_path / "deeper" / "bench.json"
    for name, value in (("bank-wrong", 0.5), ("bank-named", 1.0), ("bank-wrong", 0.0)):
        write(row(name, Measured(value)), file)
    assert [(r.name, r.value) for r in read(file)] == [("bank-named", 1.0), ("bank-wrong", 0.0)]
    keys = {"name", "value", "goal", "unit", "better", "device", "date", "command"}
    assert all(keys <= set(data) for data in json.loads(file.read_text()))
    assert [path.name for path in file.parent.iterdir()] == ["bench.json"]


def test_a_row_that_cannot_be_written_leaves_the_file_as_it_was(tmp_path):
    file = tmp_path / "bench.json"
    write(row("bank-named", Measured(1.0)), file)
    before = file.read_text()
    with pytest.raises(TypeError):
        write(row("bank-wrong", Measured(object())), file)
    assert file.read_text() == before


def test_goals_are_met_from_the_right_side():
    assert row("grade-throughput", Measured(30.0)).met
    assert not row("grade-throughput", Measured(29.9)).met
    assert row("grade-overhead", Measured(2.0)).met
    assert not row("grade-overhead", Measured(2.1)).met
    assert row("cost-task", Measured(5.0)).met is None


def test_every_figure_is_measured_by_one_benchmark():
    assert sorted(sum(command.BENCHMARKS.values(), ())) == sorted(FIGURES)


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Where the command keeps its rows in this test."""
    file = tmp_path / "bench.json"
    monkeypatch.setattr(command, "write", lambda row: write(row, file))
    return file


def test_the_command_prints_and_keeps_the_figure_that_is_named(kept, monkeypatch, capsys):
    monkeypatch.setattr(
        command,
        "BENCHMARKS",
        {
            lambda: {"bank-right": Measured(0.75, None, "3 of 4")}: ("bank-right",),
            lambda: {"files": Measured(1.0)}: ("files",),
        },
    )
    assert command.main("bank-right") == 0
    assert "bank-right" in (said := capsys.readouterr().out)
    assert "missed" in said and "3 of 4" in said
    assert [r.name for r in read(kept)] == ["bank-right"]


def test_what_cannot_be_measured_is_said_and_leaves_no_row(kept, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tests.attacks", None)
    assert command.main("attacks-contained") == 0
    assert "attacks-contained: not measured: the attack suite" in capsys.readouterr().out
    assert not kept.exists()


def test_the_attack_suite_is_asked_for_its_numbers(monkeypatch):
    suite = type(sys)("tests.attacks")
    suite.contained = lambda: (45, 50)
    monkeypatch.setitem(sys.modules, "tests.attacks", suite)
    assert bank.attacks()["attacks-contained"].value == 0.9


def test_an_unknown_figure_is_one_sentence(capsys):
    assert command.main("grade-thruput") == 2
    assert "Unknown figure grade-thruput" in capsys.readouterr().out


# --- the page --------------------------------------------------------------------------------------


def test_the_committed_page_is_what_its_own_rows_give():
    text = page.PAGE.read_text()
    assert page.render(page.rows_of(text)) == text, "run `python -m tests.benchmarks.page`"


def test_the_page_shows_every_figure_and_carries_its_rows():
    measured = rows(grade_throughput=12345.0)
    text = page.render(measured)
    assert page.rows_of(text) == measured
    assert "not measured yet" not in text
    for name in FIGURES:
        assert f"| {name} | " in text
    assert re.search(r"grade-throughput \|.*\| 12,345 times \| 0.5 to 2 \| ≥ 30 \| met \|", text)
    assert re.search(r"page-weight \|.*\| 1 KiB", text)


def test_the_page_without_rows_says_so_and_makes_no_estimate():
    text = page.render([])
    assert text.count("| not measured yet |") == len(FIGURES)
    assert "not measured yet." in text and "core-hours · " not in text


def test_the_estimate_is_its_formulas():
    lines = {line.what: line.values for line in estimate.lines(COSTS)}
    assert lines["core-hours"] == ("0.1", "10", "100")
    assert lines["price of the cores, USD"] == ("0.00425", "0.425", "4.25")
    assert lines["hours"] == ("0.05", "0.156", "0.195")
    assert lines["one gradebook writer is busy"] == ("3%", "89%", "711%")
    assert lines["grading hours with one writer and one scheduler"][2] == "1.39"
    assert lines["all that is kept, GB"] == ("0.1", "10", "100")
    assert lines["files and folders on a disk"][1] == "700,000"
    assert estimate.cores_of_one_writer(COSTS) == pytest.approx(72)
    assert estimate.missing({}) == list(estimate.NEEDED)


# --- what is measured ------------------------------------------------------------------------------


def test_start_and_marginal_cost_are_told_apart():
    assert speed.per_hand_in(one=3.5, many=13.4, count=100) == pytest.approx((3.4, 0.1))


def looks(leak: float) -> list[tuple[int, float]]:
    """Memory that fluctuates by a quarter, grows at first, and then by `leak` MB per hand-in."""
    rng = np.random.default_rng(0)
    return [
        (done, min(done, 100) * 5 + leak * done + rng.uniform(0, 200)) for done in range(0, 1000, 8)
    ]


def test_memory_that_grows_is_seen_through_the_noise():
    flat, leaking = memory.growth(looks(0.0)), memory.growth(looks(0.2))
    assert flat.value < FIGURES["grade-memory"].goal
    assert flat.spread[0] < 0 < flat.spread[1]
    assert leaking.value > 100 and leaking.spread[0] > FIGURES["grade-memory"].goal


def test_memory_that_was_not_watched_over_the_run_is_no_figure():
    with pytest.raises(Absent, match="100 to 300"):
        memory.growth([(done, 100.0) for done in range(0, 301, 10)])


def test_a_class_repeats_the_sample_class_but_the_one_that_never_ends():
    class_ = classes.class_of(100)
    assert len(class_) == 100
    assert set(class_.values()) == set(classes.kinds().values())
    assert not any("endless" in student for student in class_)


def test_every_damage_is_one():
    [right] = [text for kind, text in classes.kinds().items() if kind == "right-matmul"]
    made = {name: damage(json.loads(right)) for name, damage in DAMAGES.items()}
    assert json.loads(right) not in made.values()
    assert len(made) >= 20


COUNTS = {
    "questions": 1,
    "misconceptions": 2,
    "misconceptions tried": 40,
    "named": 39,
    "wrong programs": 3,
    "wrong tried": 60,
    "wrong at full marks": 1,
    "right programs": 5,
    "right tried": 100,
    "right losing points": 0,
}


def test_the_page_shows_the_bank_of_every_assignment(tmp_path):
    measured = Measured(39 / 40, None, "", {"01-first": COUNTS, "02-second": COUNTS})
    write(row("bank-named", measured), tmp_path / "bench.json")
    text = page.render(read(tmp_path / "bench.json"))
    for name in ("01-first", "02-second"):
        assert f"| {name} | 1 | 2 | 39 of 40 | 3 | 1 of 60 | 5 | 0 of 100 |" in text
    assert page.render(page.rows_of(text)) == text


@pytest.fixture
def one_question(monkeypatch):
    """The bank's figures on one question and two students, in this process."""
    monkeypatch.setattr(bank.programs, "ASSIGNMENTS", ["02-scores"])
    question = bank.programs.questions("02-scores")["scaled_dot_scores"]
    monkeypatch.setattr(bank.programs, "questions", lambda _: {question.name: question})
    monkeypatch.setattr(bank, "STUDENTS", 2)
    monkeypatch.setenv("N_JOBS", "1")


def test_the_bank_is_counted(one_question):
    found = bank.bank_rows()
    assert [found[f"bank-{n}"].value for n in ("named", "right", "wrong")] == [1, 1, 0]
    [counts] = found["bank-named"].parts.values()
    assert counts.keys() == COUNTS.keys()
    assert counts["misconceptions tried"] == 2 * counts["misconceptions"] >= 8
    assert found["bank-right"].note.endswith("of 1 assignments, 2 students")


def test_the_bank_counts_what_is_not_as_it_should_be(one_question, monkeypatch):
    def exchanged(name, kind, file):
        return banked(name, *{"right": ("wrong", "in_place"), "wrong": ("right", "loops")}[kind])

    banked = bank.programs.banked
    monkeypatch.setattr(bank.programs, "banked", exchanged)
    monkeypatch.setattr(
        bank.programs, "misconception", lambda name, *_: banked(name, "right", "loops")
    )
    found = bank.bank_rows()
    assert [found[f"bank-{n}"].value for n in ("named", "right", "wrong")] == [0, 0, 1]


def test_figures_can_be_named_by_what_they_begin_with(kept, monkeypatch):
    found = {name: Measured(1.0) for name in FIGURES}
    named = {"bank-named", "bank-right", "bank-wrong"}
    monkeypatch.setattr(
        command, "BENCHMARKS", {lambda: found: tuple(named), lambda: {}: ("files",)}
    )
    assert command.main("bank") == 0
    assert {r.name for r in read(kept)} == named


# --- stock nbgrader gets the same tests --------------------------------------------------------------


@pytest.fixture(scope="module")
def reference():
    return Reference(classes.repository().paper)


@pytest.mark.filterwarnings("ignore:(overflow|invalid value):RuntimeWarning")
@pytest.mark.parametrize("name", classes.repository().questions)
def test_the_hidden_tests_of_stock_give_the_points_of_the_verdict(name, reference):
    question = classes.repository().questions[name]
    cases = question.draw(0)
    expected = reference.replies(question, cases)
    programs = [known.source(name) for known in question.misconceptions]
    for source in [*programs, f"def {name}(*arguments):\n    raise NotImplementedError()\n"]:
        namespace = {"np": np, "torch": torch}
        exec(source, namespace)
        verdict = decide(question, cases, expected, replies(namespace, question, cases))
        got = points(question, namespace[name], reference.namespace[name])
        assert got == verdict.score < question.points, source


def test_the_stock_notebook_gives_its_own_solution_full_marks_and_knows_no_marker():
    assignment = classes.repository()
    notebook = stock_notebook(assignment)
    namespace, given = {}, {}
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        *body, last = ast.parse(cell.source).body
        exec(compile(ast.Module(body, []), "cell", "exec"), namespace)
        if isinstance(last, ast.Expr):
            given[cell.metadata.nbgrader.grade_id] = eval(ast.unparse(last), namespace)
        else:
            exec(ast.unparse(last), namespace)
    full = {name: question.points for name, question in assignment.checks.items()}
    assert {name: given[name] for name in full} == full
    assert not any("check(" in cell.source for cell in notebook.cells)


def test_rows_may_be_written_by_later_benchmarks_that_this_version_does_not_know():
    unknown = replace(row("files", Measured(1.0)), name="lm-cpu")
    assert figures.from_data(json.loads(figures.to_text([unknown]))) == [unknown]
