"""07-lab-train: visible checks, partly right answers, what chance may do, and the trained model."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from attend import recipes
from attend.language_model import Configuration, next_token_probabilities
from attend.language_model import LanguageModel as Theirs
from attend.optimizers import parameter_groups, rate_factor
from attend.training import Trainer
from safetensors import safe_open

from autograder.assignment import NOT_GRADED
from autograder.checks.lab_train.chance import frequencies, largest_distance
from autograder.checks.lab_train.trained import CPU_NUMBERS, RUNGS, SYMBOLS
from autograder.sample import bank
from autograder.verdict import Verdict, decide
from book._ext.published_branch import BRANCH, WHEEL

from .programs import (
    ROOT,
    Answer,
    ask,
    assignment,
    banked,
    drawn,
    files,
    misconception,
    misconceptions,
    questions,
    reference,
    release,
    run_visible,
    solved,
    verdict,
)

NAME = "07-lab-train"
MODEL = bank(assignment(NAME)) / "model.safetensors"

OBVIOUS = {
    "targets_not_shifted": "what follows each input",
    "targets_before_inputs": "what follows each input",
    "targets_two_later": "what follows each input",
    "targets_first": "are exchanged",
    "wraps_around": "nothing follows the last token",
    "last_token_repeated": "nothing follows the last token",
    "targets_padded_with_0": "nothing follows the last token",
    "padding_counted": "3 tokens of 2 bits",
    "divided_by_all": "that are not -1",
    "mean_of_means": "weigh the same",
    "bits_for_nats": "these are bits",
    "two_to_the_nats": "how many equally likely",
    "mean_of_perplexities": "of which number",
    "nats_per_byte": "these are nats",
    "bytes_of_the_vocabulary": "3 tokens of 2 bits",
    "mean_of_rates": "3 tokens of 2 bits",
    "first_step_lost": "teaches nothing",
    "cosine_from_step_0": "from where to where",
    "floor_one_step_late": "in the last step",
    "cut_off_at_the_floor": "from where to where",
    "floor_added_on_top": "above the highest",
    "rises_again": "beyond the end",
    "straight_line": "where is the cosine",
    "whole_period": "in the last step",
    "all_weights_decay": "gain of a norm does not",
    "embeddings_decay": "an embedding does not",
    "biases_decay": "a bias does not",
    "tied_matrix_decays": "named once",
    "tied_matrix_twice": "under another name",
    "lists_exchanged": "matrix of a linear layer does",
    "share_of_tensors": "of numbers",
    "FutureSeen": "see the future",
    "DocumentsIgnored": "first of two documents",
    "ItselfHidden": "is itself seen",
    "MaskTransposed": "is itself seen",
    "HiddenAfterTheSoftmax": "see the future",
    "ScaledByTheWidth": "how wide is a head",
    "LastNormForgotten": "normalised sum",
    "PostNorm": "normalised sum",
    "EmbeddingScaled": "normalised sum",
    "PositionsForgotten": "positions told apart",
    "ResidualsNotScaled": "begins with deviation",
    "PytorchsOwnWeights": "how large are the weights",
    "NotTied": "parameters and buffers",
    "mean_of_micro_means": "in the other",
    "each_clipped_alone": "which norm is clipped",
    "clipped_in_between": "when is it clipped",
    "gradient_left_over": "left of the first gradient",
    "temperature_multiplies": "which is to sharpen",
    "nucleus_too_small": "who has at least",
    "not_renormalised": "top_k 2",
    "top_p_before_top_k": "0.75 of what",
    "likeliest_taken": "1000 draws",
    "drawn_from_all": "has no probability",
    "one_number_for_all_rows": "draw for itself",
    "left_in_order": "in this order",
}


def wrong(file: str, question: str) -> Verdict:
    return verdict(banked(NAME, "wrong", file), question)


def mistaken(mistake: str, question: str) -> Verdict:
    return verdict(misconception(NAME, question, mistake), question)


def lost(result: Verdict) -> list[str]:
    return [row.title for row in result.aspects if row.earned < row.points]


@pytest.mark.parametrize(
    ("question", "mistake"), [pair for pair in misconceptions(NAME) if pair[1] in OBVIOUS]
)
def test_visible_checks_name_the_obvious_mistake(question: str, mistake: str) -> None:
    error = run_visible(misconception(NAME, question, mistake), question)
    assert error is not None
    assert OBVIOUS[mistake] in str(error)
    assert "\n" not in str(error)


def test_every_obvious_mistake_is_a_misconception() -> None:
    assert set(OBVIOUS) <= {mistake for _, mistake in misconceptions(NAME)}


@pytest.mark.parametrize(
    ("file", "question", "titles"),
    [
        ("in_place", "windows", ["arguments untouched, in any memory layout"]),
        ("in_the_arguments_type", "windows", ["int64, also of 16-bit tokens"]),
        ("in_the_arguments_type", "losses", ["precision"]),
        ("overflows", "losses", ["large logits"]),
        ("in_place", "learning_rate", ["argument untouched, in any memory layout"]),
        ("wrong_at_an_edge", "learning_rate", ["no warm-up"]),
        ("no_gradient", "CausalAttention", ["gradients"]),
        ("no_gradient", "LanguageModel", ["gradients, through both uses of the tied matrix"]),
        (
            "drawn_too_wide",
            "LanguageModel",
            ["initial weights", "initial weights of what is added"],
        ),
        ("wrong_at_an_edge", "training_steps", ["a micro-batch in which nothing counts"]),
        ("wrong_at_an_edge", "draw", ["temperature 0"]),
        ("overflows", "draw", ["temperature 0"]),
        ("ties_any_order", "draw", ["ties", "temperature 0"]),
    ],
)
def test_a_slip_costs_what_it_concerns_and_nothing_else(
    file: str, question: str, titles: list[str]
) -> None:
    assert lost(wrong(file, question)) == titles


def test_partial_credit_is_given_for_what_is_right() -> None:
    assert lost(mistaken("targets_padded_with_0", "windows"))[0] == "over the end of the text"
    assert "nats per token" not in lost(mistaken("nats_per_byte", "losses"))
    assert "warm-up" not in lost(mistaken("rises_again", "learning_rate"))
    assert "embeddings" not in lost(mistaken("biases_decay", "decay_groups"))
    assert "one document" not in lost(mistaken("DocumentsIgnored", "CausalAttention"))
    assert lost(mistaken("ResidualsNotScaled", "LanguageModel")) == [
        "initial weights of what is added"
    ]
    assert "probabilities" not in lost(mistaken("likeliest_taken", "draw"))


MENDED = {
    "mean_of_micro_means": "each counted token weighs the same",
    "each_clipped_alone": "one norm for all parameters",
    "clipped_in_between": "clipped after accumulation",
    "gradient_left_over": "no gradient is left over",
}


@pytest.mark.parametrize("left", MENDED)
def test_each_mended_fault_earns_its_part(left: str) -> None:
    titles = set(lost(mistaken(left, "training_steps"))) & set(MENDED.values())
    # Clipped alone is clipped wrongly after accumulation too.
    both = {"clipped after accumulation"} if left == "each_clipped_alone" else set()
    assert titles == {MENDED[left]} | both


def test_the_faulty_listing_fails_at_once_and_earns_nothing() -> None:
    faulty = reference(NAME).namespace["faulty_training_steps"]
    listing = Answer(NAME, {"training_steps": faulty})
    assert "in the other" in str(run_visible(listing, "training_steps"))
    assert verdict(listing, "training_steps").score == 0


# --- what chance may do -----------------------------------------------------------------------------


def test_the_bound_on_frequencies_holds_and_is_not_idle() -> None:
    """With a false alarm of 1 in 20 it is exceeded, and in no more than one of 20; with 1e-8 never."""
    rng = np.random.default_rng(0)
    p = np.array([0.4, 0.3, 0.2, 0.1])
    distances = [np.abs(frequencies(rng.choice(4, 500, p=p), 4) - p).sum() for _ in range(2000)]
    assert np.mean(np.array(distances) > largest_distance(4, 500, 0.05)) < 0.05
    assert max(distances) > largest_distance(4, 500, 0.9) * 0.7
    assert max(distances) < largest_distance(4, 500, 1e-8)


def test_a_right_program_never_fails_the_statistics() -> None:
    given = drawn(NAME, "draw", 0)
    answer = solved(NAME)
    for _ in range(50):
        got = ask(answer, given.requests)
        assert decide(questions(NAME)["draw"], given.cases, given.expected, got).score == 4


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_draws_that_are_a_little_uneven_are_noticed(share: float) -> None:
    """A share of the draws takes the likeliest token in place of one that is drawn."""
    right = solved(NAME).namespace["draw"]

    def uneven(logits, temperature, top_k, top_p, count):
        probabilities, tokens = right(logits, temperature, top_k, top_p, count)
        tokens[:, : int(share * count)] = probabilities.argmax(-1, keepdim=True)
        return probabilities, tokens

    result = verdict(Answer(NAME, {"draw": uneven}), "draw")
    assert "tokens as likely as they should be" in lost(result)
    assert not result.misconception


def test_initial_weights_of_any_draw_are_right() -> None:
    question = questions(NAME)["LanguageModel"]
    for seed in range(20):
        given = drawn(NAME, "LanguageModel", 0)
        torch.manual_seed(seed)
        got = ask(solved(NAME), given.requests)
        assert decide(question, given.cases, given.expected, got).score == question.points


# --- the solutions say what the library does --------------------------------------------------------


def solution(question: str):
    return reference(NAME).namespace[question]


def test_the_schedule_is_that_of_the_training_loop() -> None:
    settings = recipes.Settings(steps=50, warmup=7, floor=0.1)
    expected = [0.3 * rate_factor(step, settings) for step in range(50)]
    got = solution("learning_rate")(np.arange(50), 50, 7, 0.3, 0.03)
    np.testing.assert_allclose(got, expected)


def test_groups_are_those_of_the_optimiser() -> None:
    model = Theirs(Configuration(vocabulary=11, layers=2, heads=2, width=8, context=5))
    kinds = {id(p): type(m).__name__ for m in model.modules() for p in m.parameters(recurse=False)}
    names = {name: p for name, p in model.named_parameters()}
    rows = [[name, kinds[id(p)], tuple(p.shape)] for name, p in names.items()]
    decayed, others, share = solution("decay_groups")(rows, np.arange(len(rows)))
    matrices, rest = parameter_groups(model)
    assert {id(names[name]) for name in decayed} == {id(p) for p in matrices}
    assert {id(names[name]) for name in others} == {id(p) for p in rest}
    assert math.isclose(share, sum(p.numel() for p in matrices) / model.parameter_count())


def test_the_model_is_that_of_the_library() -> None:
    torch.manual_seed(0)
    ours = solution("LanguageModel")(11, 2, 2, 8, 6)
    theirs = Theirs(Configuration(vocabulary=11, layers=2, heads=2, width=8, context=6))
    renamed = {"expand": "feed_forward.hidden", "contract": "feed_forward.output"}
    state = {
        re.sub("expand|contract", lambda found: renamed[found[0]], name): tensor
        for name, tensor in ours.state_dict().items()
    }
    theirs.load_state_dict(state)
    tokens = torch.randint(11, (3, 5))
    # The library has GELU's tanh form, as GPT-2.
    torch.testing.assert_close(ours(tokens), theirs(tokens), atol=5e-3, rtol=0)


def test_probabilities_are_those_of_the_library() -> None:
    torch.manual_seed(0)
    logits = torch.randn(3, 9, dtype=torch.float64)
    for options in ((1.3, 4, 0.6), (0.7, None, 0.5), (0.0, 3, 0.5), (1.0, 5, None)):
        got, _ = solution("draw")(logits, *options, 1)
        torch.testing.assert_close(got, next_token_probabilities(logits, *options))


# --- the trained model ------------------------------------------------------------------------------


def not_graded() -> list[str]:
    return [
        cell.source
        for cell in release(NAME)
        if cell.cell_type == "code" and NOT_GRADED in cell.metadata.get("tags", [])
    ]


def measured(answer: Answer) -> Verdict:
    """The verdict on the bank's model, asked by an answer's `next_logits`."""
    question = questions(NAME)["next_logits"]
    cases = question.draw(0, MODEL.read_bytes())
    got = ask(answer, question.requests(cases))
    return decide(question, cases, [{}] + got[:1] * (len(cases) - 1), got)


@pytest.mark.parametrize("style", files(NAME, "right"))
def test_the_bank_s_model_earns_all_points_in_every_style(style: str) -> None:
    result = measured(banked(NAME, "right", style))
    assert result.score == result.points, [row.sentence for row in result.aspects]


@pytest.mark.parametrize(
    "file", ["handed_back", "no_gradient", "other_parameters", "quiet_slips", "squeezed"]
)
def test_wrong_ways_to_ask_the_model_earn_little(file: str) -> None:
    assert measured(banked(NAME, "wrong", file)).score <= 1


def test_the_bank_s_model_is_one_of_the_training_cells() -> None:
    with safe_open(MODEL, framework="pt") as file:
        sizes = json.loads(file.metadata()["sizes"])
        state = {name: tuple(file.get_tensor(name).shape) for name in file.keys()}  # noqa: SIM118
    [training] = [source for source in not_graded() if "train(model" in source]
    assert f"[len(SYMBOLS), {', '.join(map(str, sizes[1:]))}]" in training
    model = solution("LanguageModel")(*sizes)
    assert {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()} == state
    assert sum(math.prod(shape) for shape in state.values()) <= CPU_NUMBERS


def statement() -> str:
    [cell] = [c for c in release(NAME) if c.source.startswith("## 9 ·")]
    return cell.source


def test_the_statement_has_the_checks_numbers() -> None:
    rows = re.findall(r"^\| (\d) · (.+) \| ([\d.]+) \| ([\d.]+) \|$", statement(), re.MULTILINE)
    assert [row[1:] for row in rows] == [
        (rung.title, f"{rung.cpu:.2f}", f"{rung.gpu:.2f}") for rung in RUNGS
    ]
    assert f"up to {CPU_NUMBERS / 1e6:g} million" in statement()
    assert reference(NAME).namespace["SYMBOLS"] == SYMBOLS


def test_the_training_cells_install_what_is_published() -> None:
    address = re.search(r"url: (\S+)", (ROOT / "_config.yml").read_text())[1]
    [install] = [source for source in not_graded() if "pip install" in source]
    assert f"--no-deps {address}/raw/{BRANCH}/{WHEEL}\n" in install + "\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_training_cells_write_a_model_and_go_on_where_they_were_stopped(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a tiny budget: stopped after half of the steps, and run again."""
    scope = dict(reference(NAME).namespace)
    training, hand_in = (source for source in not_graded() if "pip" not in source)
    small = re.sub(r"sizes = \[.*?\]", "sizes = [len(SYMBOLS), 1, 2, 16, 32]", training)
    small = re.sub(
        r"Settings\(.*?\)", "Settings(steps=8, batch=4, eval_every=4, save_every=4)", small
    )
    update = Trainer.update

    def stopped(self: Trainer) -> None:
        if self.step == 6:
            raise KeyboardInterrupt
        update(self)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "update", stopped)
        with pytest.raises(KeyboardInterrupt):
            exec(small, scope)
    exec(small, scope)
    exec(hand_in, scope)
    assert "model.safetensors: 5,360 parameters" in capsys.readouterr().out
    question = questions(NAME)["next_logits"]
    [first, *_] = question.cases(
        np.random.default_rng(0), (here / "model.safetensors").read_bytes()
    )
    assert first.arguments["sizes"] == [96, 1, 2, 16, 32]
