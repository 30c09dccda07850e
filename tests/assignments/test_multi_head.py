"""05-multi-head: what the visible checks name, what partly right answers earn, and that the book says the same."""

import numpy as np
import pytest
import torch
from attend.context import attention
from attend.multi_head import (
    Block,
    multi_head_attention_torch,
    over_heads,
    rotary,
    split_heads,
)
from torch.utils.flop_counter import FlopCounterMode

from autograder.verdict import Verdict

from .programs import (
    Answer,
    banked,
    misconception,
    misconceptions,
    reference,
    run_visible,
    verdict,
)

NAME = "05-multi-head"

OBVIOUS = {
    "reshaped_straight": "that row of packed begins with 24",
    "heads_behind_positions": "heads before positions",
    "three_equal_parts": "how wide is one head",
    "features_dealt_in_turn": "are neighbours",
    "values_before_keys": "keys and values exchanged",
    "groups_forgotten": "query heads and key heads",
    "gate_forgotten": "three matrices",
    "embedding_counted_twice": "counted once",
    "multiply_add_as_one": "what is one FLOP",
    "attention_without_flops": "every query with every key",
    "contexts_without_flops": "scores and contexts",
    "logits_without_flops": "logits",
    "last_norm_forgotten": "all norms",
    "neighbours_paired": "which is its partner",
    "turned_backwards": "what is the sign",
    "rates_over_all_features": "expected 0.0100",
    "positions_counted_anew": "are the given positions used",
    "one_rate_for_all": "expected 0.0100",
    "exponent_halved": "expected 0.0100",
    "rest_dropped": "features that do not turn",
    "mask_inverted": "padding changes the output",
    "offset_forgotten": "which offset",
    "future_seen": "is the future hidden",
    "padding_seen": "padding changes the output",
    "masked_after_the_softmax": "sum to 1",
    "cut_along_positions": "its own features",
    "output_projection_forgotten": "where is the output projection",
    "heads_dealt_in_turn": "neighbours form a group",
    "scaling_forgotten": "where is the scaling",
    "softmax_over_the_group": "which softmax",
    "first_key_head_for_all": "which heads",
    "queries_averaged": "not queries",
    "contexts_added_up": "each of the 6 query heads",
    "MaskMultiplies": "becomes of a hidden score",
    "HeadsNotMovedBack": "belong to positions",
    "ValueNotProjected": "are these layers used",
    "SecondResidualMissing": "what is added to what",
    "AddedToTheNorm": "what is added to what",
    "MaskTurnedRound": "becomes of a hidden score",
    "chunks_alone": "what is kept",
    "future_of_the_chunk_seen": "is the future hidden",
    "window_ignored": "with window 2",
    "window_one_too_long": "with window 2",
    "queries_counted_from_0": "which keys does it see",
    "last_chunk_kept": "how far does the cache",
    "cut_before_attending": "see its window",
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
        ("in_place", "unpack_heads", ["argument untouched, in any memory layout"]),
        ("cache_in_numbers", "decoder_costs", ["bytes of the cache", "argument untouched"]),
        ("in_place", "decoder_costs", ["argument untouched"]),
        ("float32_angles", "rotary_positions", ["far positions in float32"]),
        ("widened", "rotary_positions", ["the dtype of x is kept"]),
        ("wrong_at_an_edge", "unpack_heads", ["any leading axes, one position"]),
        ("wrong_at_an_edge", "rotary_positions", ["all features turned"]),
        ("wrong_at_an_edge", "multi_head_attention", ["values"]),
        ("wrong_at_an_edge", "cached_attention", ["a cache of one window"]),
        ("repeated_by_an_index", "grouped_query_attention", ["keys and values are not repeated"]),
        ("repeated_by_a_join", "grouped_query_attention", ["keys and values are not repeated"]),
        ("repeated_by_a_reshape", "grouped_query_attention", ["keys and values are not repeated"]),
        ("one_layer_frozen", "PreNormBlock", ["gradients"]),
        ("nothing_cached", "cached_attention", ["a cache of one window"]),
        (
            "mean_for_the_empty",
            "multi_head_attention",
            ["zeros where nothing may be seen", "gradients where nothing may be seen"],
        ),
        (
            "nan_gradient_for_the_empty",
            "multi_head_attention",
            ["gradients where nothing may be seen"],
        ),
        ("overflows", "grouped_query_attention", ["large scores"]),
        ("repeated", "grouped_query_attention", ["keys and values are not repeated"]),
        ("repeated_in_torch", "grouped_query_attention", ["keys and values are not repeated"]),
        ("no_gradient", "PreNormBlock", ["gradients"]),
        ("whole_stream", "cached_attention", ["a cache of one window"]),
        ("widened", "cached_attention", ["the dtype of the arguments is kept"]),
    ],
)
def test_a_slip_costs_what_it_concerns_and_nothing_else(
    file: str, question: str, titles: list[str]
) -> None:
    assert lost(wrong(file, question)) == titles


def test_partial_credit_is_given_for_a_mask_that_is_right() -> None:
    question = "multi_head_attention"
    assert mistaken("scaled_by_all_heads", question).score == 1
    assert "padding is hidden" in lost(mistaken("padding_seen", question))
    assert "the future is hidden" not in lost(mistaken("padding_seen", question))
    assert "the future is hidden" in lost(mistaken("future_seen", question))
    assert "padding is hidden" not in lost(mistaken("future_seen", question))
    stream = lost(mistaken("window_ignored", "cached_attention"))
    assert "what is beyond the window is hidden" in stream
    assert "the future is hidden" not in stream


MENDED = {
    "MaskMultiplies": "what is hidden does not matter",
    "HeadsNotMovedBack": "every row belongs to its position",
    "ValueNotProjected": "the value projection is used",
    "SecondResidualMissing": "x arrives past both sublayers",
    "AddedToTheNorm": "x arrives past both sublayers",
}


@pytest.mark.parametrize("left", MENDED)
def test_each_mended_fault_earns_its_part(left: str) -> None:
    titles = set(lost(mistaken(left, "PreNormBlock")))
    leaks = {"what is hidden does not matter"} if left == "HeadsNotMovedBack" else set()
    assert titles & set(MENDED.values()) == {MENDED[left]} | leaks


def test_the_faulty_listing_fails_at_once_and_earns_nothing() -> None:
    listing = Answer(NAME, {"PreNormBlock": reference(NAME).namespace["FaultyBlock"]})
    assert "belong to positions" in str(run_visible(listing, "PreNormBlock"))
    assert verdict(listing, "PreNormBlock").score == 0


def test_pytorchs_own_attention_breaks_a_rule_and_is_no_wrong_answer() -> None:
    result = wrong("attention_of_pytorch", "multi_head_attention")
    assert result.score == 0
    assert not any(row.case for row in result.aspects), "the values are right"
    assert not result.misconception
    [sentence] = result.broken
    assert sentence.startswith("The task forbids PyTorch's own attention (here `")


def test_a_wrong_count_is_shown_with_both_numbers() -> None:
    row = wrong("cache_in_numbers", "decoder_costs").aspects[2]
    assert row.sentence == "The number of cached bytes is wrong."
    assert int(row.expected.replace(",", "")) == 2 * int(row.got.replace(",", ""))
    rows = wrong("returns_lists", "decoder_costs").aspects
    assert {row.sentence for row in rows} == {"The result is not of the expected kind."}


# --- the solutions say what the book says -----------------------------------------------------------


def solution(question: str):
    return reference(NAME).namespace[question]


def test_unpacked_heads_are_those_of_the_chapter() -> None:
    packed = np.random.default_rng(0).normal(size=(2, 3, 40))
    queries, keys, values = solution("unpack_heads")(packed, 4, 2)
    for part, columns, heads in (
        (queries, slice(20), 4),
        (keys, slice(20, 30), 2),
        (values, slice(30, 40), 2),
    ):
        np.testing.assert_array_equal(part, split_heads(packed[..., columns], heads))


def test_flops_are_those_that_pytorch_counts() -> None:
    vocab, d, layers, n = 11, 6, np.array([[4, 2, 3, 5], [2, 1, 7, 8]]), 9
    with FlopCounterMode(display=False) as counter:
        x = torch.zeros(n, d)
        for h, g, d_k, d_ff in layers.tolist():
            q, k, v = (x @ torch.zeros(d, heads * d_k) for heads in (h, g, g))
            q = q.unflatten(1, (h, d_k)).transpose(0, 1)
            k, v = (
                a.unflatten(1, (g, d_k)).transpose(0, 1).repeat_interleave(h // g, 0)
                for a in (k, v)
            )
            context = (q @ k.mT).softmax(-1) @ v
            x = context.transpose(0, 1).flatten(1) @ torch.zeros(h * d_k, d)
            x = (x @ torch.zeros(d, d_ff) * (x @ torch.zeros(d, d_ff))) @ torch.zeros(d_ff, d)
        x @ torch.zeros(d, vocab)
    assert solution("decoder_costs")(vocab, d, layers, n)[1] == counter.get_total_flops()


def test_halves_are_neighbours_in_another_order() -> None:
    rng = np.random.default_rng(0)
    x, positions = rng.normal(size=(2, 3, 5, 8)), rng.integers(0, 50, size=(2, 5))
    order = np.arange(8).reshape(2, 4).T.ravel()  # feature t beside feature t + 4
    expected = rotary(x[..., order], positions[:, None])
    got = solution("rotary_positions")(x, positions, 8, 10000.0)
    np.testing.assert_allclose(got[..., order], expected, atol=1e-12)
    np.testing.assert_array_equal(
        solution("rotary_positions")(x, positions, 6, 10.0)[..., 6:], x[..., 6:]
    )


def test_masked_attention_is_that_of_the_chapter() -> None:
    torch.manual_seed(0)
    sizes = ((2, 3, 6), (2, 5, 9), (6, 12), (9, 12), (9, 21), (21, 8))
    queries, memory, *W = (torch.randn(*size, dtype=torch.float64) for size in sizes)
    lengths = torch.tensor([5, 2])
    mask = torch.ones(3, 5).tril(1).bool() & (torch.arange(5) < lengths[:, None, None])
    expected, _ = multi_head_attention_torch(queries, memory, memory, *W, 3, mask)
    got = solution("multi_head_attention")(queries, memory, *W, 3, lengths, 1)
    torch.testing.assert_close(got, expected)


def test_groups_are_repeated_keys() -> None:
    rng = np.random.default_rng(0)
    q, k, v = (rng.normal(size=size) for size in ((2, 6, 3, 4), (2, 2, 5, 4), (2, 2, 5, 7)))
    expected, _ = attention(q, np.repeat(k, 3, axis=1), np.repeat(v, 3, axis=1))
    np.testing.assert_allclose(solution("grouped_query_attention")(q, k, v), expected)


def test_the_mended_block_is_that_of_the_chapter() -> None:
    torch.manual_seed(0)
    mended = solution("PreNormBlock")(12, 3, 7)
    theirs = Block(12, 3, 7, activation=torch.nn.ReLU)
    names = {
        **{name: f"attention.{name}" for name in ("query", "key", "value", "output")},
        "norm_1": "attention_norm",
        "norm_2": "feed_forward_norm",
        "expand": "feed_forward.0",
        "contract": "feed_forward.2",
    }
    for ours, name in names.items():
        theirs.get_submodule(name).load_state_dict(mended.get_submodule(ours).state_dict())
    x, mask = torch.randn(2, 5, 12), torch.ones(2, 5, 5, dtype=torch.bool).tril()
    torch.testing.assert_close(mended(x, mask), theirs(x, mask))


@pytest.mark.parametrize("lengths", [(9,), (3, 1, 2, 3), (1,) * 9])
def test_a_stream_in_any_chunks_is_one_pass_under_a_window(lengths: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 9, 5))
    W = [rng.normal(size=size) for size in ((5, 12), (5, 12), (5, 9), (9, 4))]
    behind = np.arange(9)[:, None] - np.arange(9)
    heads = [split_heads(x @ matrix, 3) for matrix in W[:3]]
    context, _ = attention(*heads, over_heads((behind >= 0) & (behind < 4)))
    expected = np.swapaxes(context, 1, 2).reshape(2, 9, 9) @ W[3]
    chunks = iter(np.split(x, np.cumsum(lengths)[:-1], axis=1))
    np.testing.assert_allclose(solution("cached_attention")(chunks, *W, 3, 4), expected)
