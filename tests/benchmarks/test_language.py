"""The benchmarks of training, at sizes that take seconds: who wins a race, what is measured where nothing can be."""

import csv

import pytest
import torch
from attend.recipes import CHANGES, RECIPES

from tests.benchmarks import lab, language
from tests.benchmarks.figures import Absent

TINY = {"layers": 1, "heads": 2, "width": 16, "context": 8, "batch": 4}
TEXT = "the cat sat on the mat and the dog sat on the log. " * 60


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """A text, small sizes and few seeds in the place of the real ones."""
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    monkeypatch.setenv("TINY_SHAKESPEARE", str(path))
    monkeypatch.setattr(language, "CPU", TINY | {"steps": 20})
    monkeypatch.setattr(language, "SEEDS", (0, 1))
    return path


def test_the_text_is_asked_for_where_it_is_not_given(monkeypatch):
    for value in ("", "/nowhere/text.txt"):
        monkeypatch.setenv("TINY_SHAKESPEARE", value)
        with pytest.raises(Absent, match="TINY_SHAKESPEARE=path"):
            language.cpu()


def test_a_race_says_when_the_modern_recipe_had_the_baseline_s_loss(tiny):
    modern = {"batch": 4, "steps": 40}
    goal, slow, fast, best = language.race(TEXT, 0, TINY | {"steps": 20}, modern)
    alone = language.trainer(TEXT, "gpt2", seed=0, **TINY | {"steps": 20})
    alone.run()
    assert goal == alone.best, "the baseline is not trained as by itself"
    assert best <= goal and fast > 0 and slow > 0
    again = language.trainer(TEXT, "modern", seed=0, eval_every=1, **TINY | modern)
    again.run()
    reached = [r for r in again.curves.rows if r["validation_loss"] <= goal]
    assert reached and best == again.best


def test_a_race_that_is_lost_is_no_figure(tiny):
    with pytest.raises(RuntimeError, match=r"seed 0: the modern recipe ended at \d\.\d+, above"):
        language.race(TEXT, 0, TINY | {"steps": 60}, {"batch": 4, "steps": 1})


def test_the_figure_is_the_median_of_the_seeds_and_tells_each(tiny, monkeypatch):
    found = iter([(1.8, 100.0, 10.0, 1.7), (1.9, 100.0, 20.0, 1.7)])
    monkeypatch.setattr(language, "race", lambda *_: next(found))
    measured = language.cpu()["lm-cpu"]
    assert measured.value == pytest.approx(0.15) and measured.spread == (0.1, 0.2)
    assert "seed 1: 1.9000 nats after 100.0 s and 20.0 s, best 1.7000" in measured.note


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu_no_figure():
    with pytest.raises(Absent, match="no CUDA device"):
        language.gpu()


def test_steps_are_timed_after_the_warm_up():
    seconds, flops, tokens = language.speed({"vocabulary": 50, **TINY}, warm_up=1, steps=3)
    assert tokens == 3 * 4 * 8
    products = 12 * 16**2 + 50 * 16
    assert flops == tokens * (6 * products + 12 * 16 * 8) and seconds > 0


def test_an_unknown_gpu_has_no_peak():
    assert language.peak("NVIDIA H200") == 989e12
    with pytest.raises(Absent, match="add it to PEAK"):
        language.peak("a GPU of 2040")


def test_the_recipes_of_the_table_lead_from_the_baseline_to_the_modern_one():
    rows = lab.recipes()
    assert rows[0][1] == RECIPES["gpt2"] and rows[-1][1] == RECIPES["modern"]
    assert [name for name, _ in rows[1:]] == [name for name, _ in CHANGES]
    assert all(before.items() <= after.items() for (_, before), (_, after) in zip(rows, rows[1:]))  # noqa: B905, RUF007


def test_both_tables_are_written_whole(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(lab, "MEASURED", tmp_path / "measured")
    monkeypatch.setattr(lab, "CPU", TINY | {"steps": 4})
    monkeypatch.setattr(lab, "STEPS", 3)
    monkeypatch.setattr(lab, "LITTLE", 400)
    monkeypatch.setattr(lab, "SEEDS", (0, 1))
    monkeypatch.setattr(lab, "Parallel", lambda **_: lambda jobs: (f(*a, **k) for f, a, k in jobs))
    monkeypatch.setattr(lab, "OVERFITTING_STEPS", 80)
    assert lab.main([]) == 0
    tables = {}
    for name in lab.TABLES:
        with (tmp_path / "measured" / f"{name}.csv").open() as file:
            tables[name] = list(csv.DictReader(file))
    assert len(tables["changes"]) == 2 * (len(CHANGES) + 1)
    assert {row["steps"] for row in tables["changes"]} == {"3"}
    assert len(tables["overfitting"]) == 2 * len(lab.OVERFITTING)
    for row in tables["overfitting"]:
        assert float(row["best_validation_loss"]) <= float(row["validation_loss"])
    more = [
        {
            row["seed"]: row["training_loss"]
            for row in tables["overfitting"]
            if row["change"] == name
        }
        for name in ("nothing", "four times the text")
    ]
    assert more[0] != more[1], "more text is the same text"
