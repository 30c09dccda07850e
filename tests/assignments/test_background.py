"""01-background: which mistakes the visible checks name, what partly right answers earn, and how a rule is told."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from autograder.assignment import Assignment, Reference
from autograder.course import Course, CourseError
from autograder.verdict import Verdict

from .programs import (
    ROOT,
    Answer,
    banked,
    drawn,
    misconception,
    misconceptions,
    reference,
    run_visible,
    verdict,
)

NAME = "01-background"

OBVIOUS = {
    "not_shifted": "the token that comes next",
    "eos_forgotten": "what comes after the last token",
    "mask_upside_down": "True means it counts",
    "padded_on_the_left": "behind the text",
    "eos_as_an_input": "eos is never read",
    "padding_counted": "does the padding count",
    "divided_by_all_positions": "by what is their sum divided",
    "two_to_the_nats": "in nats or in bits",
    "nats_per_character": "are these nats",
    "bits_per_token": "per token",
    "mean_of_ratios": "8 bits for 13 characters",
    "mask_ignored": "it has weight",
    "masked_after_the_choice": "take a place",
    "the_farthest": "expected [2, 3], the nearest",
    "by_dot_product": "a dot product",
    "own_example_included": "predicted by the other",
    "diagonal_after_softmax": "with weight 1",
    "logarithm_as_bandwidth": "a bandwidth of 1",
    "averaged_over_the_batch": "one loss for each data set",
    "sign_forgotten": "the near ones answer",
    "state_after_the_padding": "did the padding change the state",
    "state_zeroed_at_the_padding": "lost their state",
    "one_token_early": "one token too early",
    "gates_exchanged": "second third",
    "update_inverted": "the other way round",
    "reset_before_the_matrix": "r = 0",
    "bias_outside_the_reset": "r = 0",
    "derivative_forgotten": "tanh's derivative",
    "derivative_of_the_earlier_state": "tanh's derivative",
    "not_transposed": "through W_h",
    "direct_only": "nothing came back",
    "from_the_last_state_only": "its own share",
    "weights_forgotten": "what is its weight",
    "one_step_back": "what came to h_2",
    "one_array_for_both": "expected [[0, 2], [0, 2], [0, 4]]",
    "RunsAlongTheBatch": "along which axis",
    "SoftmaxLeft": "a softmax too many",
    "TargetNotShifted": "the first token is given",
    "ShiftedBackwards": "the first token is given",
    "PaddingCounted": "does the padding count",
    "MeanOfEachText": "sums over the next tokens",
}


def wrong(file: str, question: str) -> Verdict:
    return verdict(banked(NAME, "wrong", file), question)


def lost_aspects(result: Verdict) -> dict[str, str]:
    return {row.title: row.sentence for row in result.aspects if not row.earned}


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


# --- partly right answers ---------------------------------------------------------------------------

BOTH = "both numbers in all of these"
PARTLY_RIGHT = {
    ("wrong_kinds", "teacher_forcing_batch"): ["whole numbers, and a mask of booleans"],
    ("mask_without_eos", "teacher_forcing_batch"): [
        "a mask that follows the lengths",
        "whole numbers, and a mask of booleans",
        "arguments untouched, in any memory layout",
    ],
    ("overflows", "perplexity_and_bits"): ["large logits", BOTH],
    ("log_of_softmax", "perplexity_and_bits"): ["large logits", BOTH],
    ("epsilon", "perplexity_and_bits"): ["large logits", BOTH],
    ("one_hot", "perplexity_and_bits"): ["excluded tokens", BOTH],
    ("padding_inside_the_vocabulary", "perplexity_and_bits"): [
        "padding outside the vocabulary",
        BOTH,
    ],
    ("positive_is_real", "perplexity_and_bits"): ["padding outside the vocabulary", BOTH],
    ("epsilon_in_the_bits", "perplexity_and_bits"): [BOTH],
    ("no_empty_text", "perplexity_and_bits"): [
        "a text of padding only, anything at the padding",
        BOTH,
    ],
    ("multiplies_by_the_mask", "perplexity_and_bits"): [
        "a text of padding only, anything at the padding",
        BOTH,
    ],
    ("no_empty_text", "nearest_weights"): ["fewer keys than k, or none"],
    ("wrong_kinds", "nearest_weights"): ["the dtype of the queries is kept"],
    ("overflows", "leave_one_out_loss"): ["an example far from all others"],
    ("half_gradient", "leave_one_out_loss"): ["gradient reaches the log-bandwidths"],
    ("square_root_at_zero", "leave_one_out_loss"): [
        "gradient reaches the log-bandwidths",
        "gradient reaches the keys",
    ],
    ("no_empty_text", "gru_last_states"): ["an empty text"],
    ("multiplies_by_the_mask", "gru_last_states"): ["anything at the padding"],
    ("longest_fills_the_row", "gru_last_states"): ["anything at the padding"],
    ("softmax_then_log", "NextTokenLoss"): ["improbable tokens"],
    ("epsilon_in_the_loss", "NextTokenLoss"): ["improbable tokens"],
    ("no_empty_text", "NextTokenLoss"): ["a text of one token"],
    ("half_gradient", "NextTokenLoss"): [
        "gradient reaches the recurrent matrix",
        "gradient reaches the embedding",
    ],
} | {
    ("in_place", question): ["arguments untouched, in any memory layout"]
    for question in ("teacher_forcing_batch", "perplexity_and_bits", "leave_one_out_loss")
}


@pytest.mark.parametrize(("file", "question"), PARTLY_RIGHT)
def test_a_partly_right_answer_loses_what_is_wrong_and_nothing_else(
    file: str, question: str
) -> None:
    assert list(lost_aspects(wrong(file, question))) == PARTLY_RIGHT[file, question]


def test_partial_credit_is_given_for_what_is_right() -> None:
    def score(question: str, mistake: str) -> float:
        return verdict(misconception(NAME, question, mistake), question).score

    assert score("teacher_forcing_batch", "mask_by_comparison") == 1.5
    assert score("perplexity_and_bits", "nats_per_character") == 2.5
    assert score("perplexity_and_bits", "two_to_the_nats") == 2.5
    assert score("nearest_weights", "ties_cut_off") == 1.5
    assert score("nearest_weights", "mask_ignored") == 0.25
    assert score("gru_last_states", "state_after_the_padding") == 1.5
    assert score("gradients_by_path", "direct_only") == 1.25
    assert score("NextTokenLoss", "PaddingCounted") == 1.5
    assert wrong("in_place", "gradients_by_path").score == 3.5


def test_what_was_not_computed_earns_nothing() -> None:
    assert wrong("handed_back", "teacher_forcing_batch").score == 0
    assert wrong("handed_back", "perplexity_and_bits").score == 0
    assert (
        "the argument states" in lost_aspects(wrong("handed_back", "gradients_by_path"))["shapes"]
    )
    mask = wrong("handed_back", "nearest_weights")  # equal weights for all that the mask allows
    assert mask.score == 0.75
    assert "no weight on masked keys" not in lost_aspects(mask)


# --- the assignment's own judges --------------------------------------------------------------------


def test_a_mask_made_by_comparison_is_told_that_it_follows_the_lengths() -> None:
    result = verdict(
        misconception(NAME, "teacher_forcing_batch", "mask_by_comparison"), "teacher_forcing_batch"
    )
    assert "the lengths of the texts" in lost_aspects(result)["a mask that follows the lengths"]


def test_weights_on_masked_keys_are_told_as_such() -> None:
    result = verdict(misconception(NAME, "nearest_weights", "mask_ignored"), "nearest_weights")
    assert lost_aspects(result)["no weight on masked keys"] == "Masked keys receive weight."


def test_every_text_of_the_cases_shows_what_its_case_is_for(seeds: range) -> None:
    for seed in seeds:
        for case in drawn(NAME, "teacher_forcing_batch", seed).cases:
            assert case.arguments["pad"] in case.arguments["tokens"]
            assert len(set(case.arguments["lengths"])) > 1
        for case in drawn(NAME, "gru_last_states", seed).cases:
            lengths = case.arguments["lengths"]
            assert case.arguments["inputs"].shape[1] >= lengths.max() > lengths.min()
        [large] = [
            case.arguments["logits"]
            for case in drawn(NAME, "perplexity_and_bits", seed).cases
            if case.name == "large logits"
        ]
        assert np.isinf(np.exp(large[0])).any(axis=-1).all()
        assert (np.exp(large[1]) == 0).all()
        given = drawn(NAME, "nearest_weights", seed)
        for case, reply in zip(given.cases, given.expected, strict=True):
            shared = (reply["value"] > 0).sum(axis=-1)
            assert (shared > case.arguments["k"]).any(), f"no tie in {case.name}"
            if case.name in ("batch", "batch and heads"):
                assert (shared == case.arguments["k"]).any(), f"nothing but ties in {case.name}"
        for case in drawn(NAME, "NextTokenLoss", seed).cases:
            padding = case.arguments["tokens"] == case.construct[2]
            assert padding.any() and not padding.any(axis=1).all()


def test_the_way_back_is_that_of_automatic_differentiation(seeds: range) -> None:
    """The solution against PyTorch, on a network that is run for it."""
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        x, W_h = (
            torch.randn(size, generator=generator, dtype=torch.float64)
            for size in ((2, 6, 4), (4, 4))
        )
        weights = torch.rand(2, 6, generator=generator, dtype=torch.float64)
        upstream = torch.randn(2, 4, generator=generator, dtype=torch.float64)
        h, states = torch.zeros(2, 4, dtype=torch.float64, requires_grad=True), []
        for t in range(6):
            h = torch.tanh(x[:, t] + h @ W_h)
            h.retain_grad()
            states.append(h)
        torch.einsum("bt,tbh,bh->", weights, torch.stack(states), upstream).backward()
        arrays = (torch.stack(states, dim=1).detach(), W_h, weights, upstream)
        solution = reference(NAME).namespace["gradients_by_path"]
        _, total = solution(*(array.numpy() for array in arrays))
        want = torch.stack([state.grad for state in states], dim=1).numpy()
        np.testing.assert_allclose(total, want, rtol=1e-10, atol=1e-12)


def test_the_step_is_that_of_pytorch(seeds: range) -> None:
    for seed in seeds:
        given = drawn(NAME, "gru_last_states", seed)
        for case, reply in zip(given.cases, given.expected, strict=True):
            x, lengths, *weights = map(torch.from_numpy, case.arguments.values())
            h = x.new_zeros(len(x), weights[1].shape[1])
            for t in range(x.shape[1]):
                step = torch.gru_cell(x[:, t], h, *weights)
                h = torch.where((t < lengths)[:, None], step, h)
            np.testing.assert_allclose(reply["value"], h.numpy(), rtol=1e-4, atol=1e-6)


# --- rules ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "question", "told"),
    [
        ("ready_made_gru", "gru_last_states", "The task forbids ready-made recurrent layers"),
        ("ready_made_cell", "gru_last_states", "The task forbids ready-made recurrent layers"),
        ("ready_made_kernel", "gru_last_states", "The task forbids ready-made recurrent layers"),
        ("differentiated", "gradients_by_path", "The task forbids automatic differentiation"),
    ],
)
def test_what_is_forbidden_breaks_a_rule_and_is_no_wrong_answer(
    file: str, question: str, told: str, seeds: range
) -> None:
    for seed in seeds:
        result = verdict(banked(NAME, "wrong", file), question, seed)
        assert result.score == 0
        assert not any(row.case for row in result.aspects), "the values are right"
        assert not result.misconception
        [sentence] = result.broken
        assert sentence.startswith(told)


# --- the checks themselves notice a broken solution -------------------------------------------------


def test_a_solution_that_counts_its_padding_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "solutions" / NAME
    shutil.copytree(ROOT / "solutions" / NAME, folder, ignore=shutil.ignore_patterns("*.ipynb"))
    source = folder / "background.md"
    ignored = "ignore_index=self.pad, "
    assert source.read_text().count(ignored) == 1
    source.write_text(source.read_text().replace(ignored, ""))
    with pytest.raises(CourseError, match="does the padding count"):  # its own visible check
        Reference(Assignment(Course(tmp_path, tmp_path), NAME).paper)


def test_the_faulty_listing_fails_at_once_and_earns_its_shape() -> None:
    listing = Answer(NAME, {"NextTokenLoss": reference(NAME).namespace["FaultyLoss"]})
    assert "along which axis" in str(run_visible(listing, "NextTokenLoss"))
    result = verdict(listing, "NextTokenLoss")
    assert result.score == 0.5
    assert not result.misconception
