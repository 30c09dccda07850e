"""The loss of a trained model: measured by the grader, on targets that no program was given, and told in words."""

import math
from functools import cache

import numpy as np
import pytest
import torch

from autograder.checks.lab_train.trained import (
    CPU_NUMBERS,
    GAP,
    HELD_OUT,
    IMPLAUSIBLE,
    PREFIX,
    RUNGS,
    SYMBOLS,
    held_out,
    next_logits,
)
from autograder.report.feedback import verdict_text
from autograder.shell.inside import driver
from autograder.shell.session import decode_reply
from autograder.verdict import decide

from .course import PROGRAM, model_bytes, pairs


def verdict(program=PROGRAM, raw=None, seed=0):
    """The verdict on a program and a file; a program sees each call in a fresh namespace."""
    cases = next_logits.draw(seed, model_bytes() if raw is None else raw)
    got = []
    for request in next_logits.requests(cases):
        namespace = {"torch": torch, "np": np}
        exec(program, namespace)
        got.append(decode_reply(driver.call(namespace, request)))
    return decide(next_logits, cases, [{}, *got[:1] * (len(cases) - 1)], got)


def answering(body):
    """A program whose `next_logits` has this body."""
    return "def next_logits(weights, sizes, prefixes):\n    " + body.replace("\n", "\n    ")


@cache
def loss_of_pairs():
    prefixes, targets = held_out()
    rows = pairs().numpy().astype(np.float64)[prefixes[:, -1]]
    return float(np.mean(np.log(np.exp(rows).sum(1)) - rows[np.arange(len(targets)), targets]))


def test_the_text_is_what_the_statement_says():
    text = HELD_OUT.read_text(encoding="ascii")
    assert set(text) <= set(SYMBOLS) and len(SYMBOLS) == 96
    prefixes, targets = held_out()
    assert prefixes.shape == (len(targets), PREFIX) and len(targets) > 400
    for number in (0, 1, len(targets) - 1):
        start = number * (PREFIX + 1 + GAP)
        assert "".join(SYMBOLS[t] for t in prefixes[number]) == text[start : start + PREFIX]
        assert SYMBOLS[targets[number]] == text[start + PREFIX]


def test_neither_targets_nor_what_stands_around_them_is_sent():
    whole = HELD_OUT.read_text(encoding="ascii")
    sent = ["".join(SYMBOLS[t] for t in row) for row in held_out()[0]]
    cases = next_logits.draw(0, model_bytes())
    for case in cases:
        assert {"".join(SYMBOLS[t] for t in row) for row in case.arguments["prefixes"]} <= set(sent)
        assert set(case.arguments) == {"weights", "sizes", "prefixes"}
    for request in next_logits.requests(cases):
        assert "target" not in str(request.keys())
    for start in range(PREFIX, len(whole) - 40, PREFIX + 1 + GAP):
        around = whole[start - 8 : start + 9]  # the target in the middle
        assert not any(around in row for row in sent) or whole.count(around) > 1


def test_the_loss_is_measured_here_and_told():
    result = verdict()
    loss = loss_of_pairs()
    assert (
        f"is {loss:.2f} nats per character ({loss / math.log(2):.2f} bits per byte)"
        in result.remark
    )
    assert "holds 9,216 numbers: the thresholds for a CPU's budget" in result.remark
    earned = [row.earned for row in result.aspects]
    assert earned == [float(loss <= rung.cpu) for rung in RUNGS]
    assert 0 < result.score < 6
    assert f"The next one is {RUNGS[int(result.score)].cpu:.2f}" in result.remark
    assert result.remark in verdict_text(result)


def test_thresholds_fall_and_are_stricter_for_the_larger_budget():
    for values in ([rung.cpu for rung in RUNGS], [rung.gpu for rung in RUNGS]):
        assert values == sorted(set(values), reverse=True)
    assert all(rung.gpu <= rung.cpu for rung in RUNGS) and RUNGS[-1].gpu < RUNGS[-1].cpu
    assert next_logits.points == len(RUNGS) == 6
    assert RUNGS[-1].limit(CPU_NUMBERS) == RUNGS[-1].cpu
    assert RUNGS[-1].limit(CPU_NUMBERS + 1) == RUNGS[-1].gpu


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        ("return torch.zeros(len(prefixes), 96)", "an untrained model"),
        (
            "return 20 * torch.nn.functional.one_hot(prefixes[:, 0], 96).float()",
            "an untrained model",
        ),
        (
            "counts = torch.bincount(prefixes.flatten(), minlength=96)\n"
            "return torch.log(counts + 60.0).repeat(len(prefixes), 1)",
            "single",
        ),
    ],
)
def test_each_range_has_its_hint(body, hint):
    assert hint in verdict(answering(body)).remark


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return torch.zeros(len(prefixes), 95)", "another shape or type"),
        ("return torch.zeros(len(prefixes), 64, 96)", "another shape or type"),
        ("return torch.zeros(len(prefixes), 96).long()", "another shape or type"),
        ("return None", "another shape or type"),
        ("return [[0.0] * 96] * len(prefixes)", "another shape or type"),
        ("return torch.full((len(prefixes), 96), torch.nan)", "no finite numbers"),
        ("return torch.full((len(prefixes), 96), torch.inf)", "no finite numbers"),
    ],
)
def test_what_are_no_logits_is_told(body, said):
    result = verdict(answering(body))
    assert result.score == 0
    assert said in result.aspects[0].sentence


def test_logits_of_any_scale_and_kind_become_a_distribution():
    """Nobody promises more than 1: where a target is right, large logits gain nothing beyond certainty."""
    for big in (1e30, 6e4):
        result = verdict(answering(f"return torch.full((len(prefixes), 96), {big}).double()"))
        assert "is 4.56 nats" in result.remark
    half = verdict(PROGRAM.replace("[:, -1]\n", "[:, -1].half()\n"))
    assert half.score == verdict().score


def test_names_and_shapes_that_do_not_fit_are_told_with_pytorchs_words():
    for weights in ({"other.weight": pairs()}, {"embedding.weight": pairs()[:50]}):
        result = verdict(raw=model_bytes(weights))
        assert result.score == 0
        assert "do not fit the class `Trained`" in result.remark
        assert "embedding.weight" in result.remark and len(result.remark) < 700


def test_an_answer_that_depends_on_the_other_prefixes_earns_nothing():
    """All of them together are a sample of the text: pairs counted in it would do as well as a trained model."""
    counted = answering(
        "counts = torch.full((96, 96), 0.05)\n"
        "for row in prefixes:\n"
        "    counts.index_put_((row[:-1], row[1:]), torch.ones(63), accumulate=True)\n"
        "return counts[prefixes[:, -1]].log()"
    )
    result = verdict(counted)
    assert f"is {loss_of_pairs():.2f} nats" in result.remark
    assert result.score == 0
    assert "depend on the prefix and the weights alone" in result.aspects[0].sentence


def test_chance_in_the_answer_as_of_dropout_is_told():
    noisy = PROGRAM.replace("self.embedding(tokens)\n", "self.embedding(tokens) + torch.rand(96)\n")
    result = verdict(noisy)
    assert any("evaluation mode" in row.sentence for row in result.aspects)


def test_the_prefixes_that_are_asked_again_are_the_students_own():
    drawn = [next_logits.draw(seed, model_bytes())[1].target.rows for seed in (0, 1, 0)]
    assert not np.array_equal(drawn[0], drawn[1])
    assert np.array_equal(drawn[0], drawn[2])


def test_a_loss_that_no_model_reaches_keeps_its_points_and_is_told_the_instructor():
    """As with the text itself in the weights."""
    prefixes, targets = held_out()
    answers = torch.zeros(len(targets), 96)
    answers[torch.arange(len(targets)), torch.tensor(targets)] = 9.0
    known = answering(
        "keys = weights['keys'].long()\n"
        "rows = [(keys == row).sum(1).argmax() for row in prefixes]\n"
        "return weights['answers'][torch.stack(rows)]"
    )
    raw = model_bytes({"keys": torch.tensor(prefixes).float(), "answers": answers})
    result = verdict(known, raw)
    assert result.score == 6
    assert "lower than any model of that size" in result.doubt
    assert RUNGS[-1].gpu > IMPLAUSIBLE
    assert result.doubt not in verdict_text(result)


def test_an_answer_that_is_not_the_files_earns_nothing():
    """Pairs counted before, in the program itself: as good as a model, and nobody trained one."""
    table = answering("return torch.tensor(TABLE)[prefixes[:, -1]]")
    result = verdict(f"TABLE = {pairs().tolist()}\n{table}")
    assert f"is {loss_of_pairs():.2f} nats" in result.remark
    assert result.score == 0
    assert "do not come from the weights" in result.aspects[0].sentence
