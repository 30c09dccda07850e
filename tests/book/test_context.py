"""Context vectors, their gradients, the decoders and the searches against independent references."""

import os
import sys
from datetime import date

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from attend import context, dates, scores
from torch import nn

os.environ["KERAS_BACKEND"] = "torch"  # read when Keras is imported
keras = pytest.importorskip("keras")

BATCH, N, M, D_K, D_V = 2, 3, 5, 4, 7
SHAPES = [(N, D_K), (M, D_K), (M, D_V)]
MASKS = {
    "none": None,
    "padding": np.arange(M) < np.array([5, 2])[:, None, None],
    "causal": np.tri(N, M, M - N, dtype=bool),
    "an empty row": np.arange(N * M).reshape(N, M) >= M,
}
every_mask = pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)


def arrays(leading=(BATCH,), dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=leading + shape).astype(dtype) for shape in SHAPES]


def run(kind, queries, keys, values, mask=None):
    if kind == "numpy":
        return context.attention(queries, keys, values, mask)
    mask = None if mask is None else torch.tensor(mask)
    results = context.attention_torch(*map(torch.tensor, (queries, keys, values)), mask)
    return tuple(result.numpy() for result in results)


@pytest.mark.parametrize("kind", ["numpy", "torch"])
class TestAttention:
    @every_mask
    def test_equals_pytorchs_own(self, kind, mask):
        result, weights = run(kind, *arrays(), mask)
        tensors = map(torch.tensor, arrays())
        expected = F.scaled_dot_product_attention(
            *tensors, attn_mask=None if mask is None else torch.tensor(mask)
        ).numpy()
        np.testing.assert_allclose(result, np.nan_to_num(expected), rtol=1e-12, atol=1e-12)
        assert weights.shape == (BATCH, N, M)

    def test_equals_a_loop_over_queries_and_keys(self, kind):
        queries, keys, values = arrays(leading=())
        result, _ = run(kind, queries, keys, values)
        for i in range(N):
            exponentials = [np.exp(queries[i] @ keys[j] / np.sqrt(D_K)) for j in range(M)]
            expected = sum(e * v for e, v in zip(exponentials, values, strict=True))
            np.testing.assert_allclose(result[i], expected / sum(exponentials), rtol=1e-12)

    def test_a_query_that_may_look_nowhere_receives_zeros(self, kind):
        result, weights = run(kind, *arrays(), MASKS["an empty row"])
        assert not result[:, 0].any() and not weights[:, 0].any()
        assert np.allclose(weights[:, 1:].sum(axis=-1), 1)

    def test_a_masked_value_has_no_influence(self, kind):
        queries, keys, values = arrays()
        before, _ = run(kind, queries, keys, values, MASKS["padding"])
        values[1, 2:] = 1e9
        keys[1, 2:] = -1e3
        after, _ = run(kind, queries, keys, values, MASKS["padding"])
        np.testing.assert_array_equal(before, after)

    def test_works_alike_over_any_leading_axes(self, kind):
        many = arrays(leading=(2, 10))
        result, weights = run(kind, *many)
        assert result.shape == (2, 10, N, D_V)
        for index in np.ndindex(2, 10):
            one = run(kind, *(array[index] for array in many))
            np.testing.assert_allclose(result[index], one[0], atol=1e-12)
            np.testing.assert_allclose(weights[index], one[1], atol=1e-12)

    def test_keeps_float32_and_its_arguments(self, kind):
        given = arrays(dtype=np.float32)
        before = [array.copy() for array in given]
        assert {result.dtype for result in run(kind, *given)} == {np.dtype(np.float32)}
        for array, copy in zip(given, before, strict=True):
            np.testing.assert_array_equal(array, copy)

    def test_refuses_what_does_not_fit(self, kind):
        queries, keys, values = arrays()
        with pytest.raises(ValueError, match="5 keys but 4 values: each key has one value"):
            run(kind, queries, keys, values[:, :-1])
        with pytest.raises(ValueError, match="queries have width 3 and keys width 4"):
            run(kind, queries[..., :3], keys, values)
        with pytest.raises(ValueError, match="does not broadcast"):
            run(kind, queries, keys, values, np.ones((M, N), bool))


def test_a_weighted_sum_is_an_average():
    weights, values = np.full((BATCH, N, M), 1 / M), arrays()[2]
    mean = np.repeat(values.mean(axis=1, keepdims=True), N, axis=1)
    np.testing.assert_allclose(context.weighted_sum(weights, values), mean)
    twin = context.weighted_sum_torch(torch.tensor(weights), torch.tensor(values))
    np.testing.assert_allclose(twin.numpy(), mean)
    with pytest.raises(ValueError, match="5 weights in a row but 4 values"):
        context.weighted_sum(weights, values[:, :-1])
    with pytest.raises(ValueError, match="5 weights in a row but 4 values"):
        context.weighted_sum_torch(torch.tensor(weights), torch.tensor(values[:, :-1]))


class TestBackward:
    def reference(self, given, mask, grad):
        tensors = [torch.tensor(array, requires_grad=True) for array in given]
        mask = None if mask is None else torch.tensor(mask)
        result = F.scaled_dot_product_attention(*tensors, attn_mask=mask)
        return [g.numpy() for g in torch.autograd.grad(result, tensors, torch.tensor(grad))]

    @pytest.mark.parametrize("mask", [MASKS["none"], MASKS["padding"], MASKS["causal"]])
    def test_equals_automatic_differentiation(self, mask):
        given, grad = arrays(), np.random.default_rng(1).normal(size=(BATCH, N, D_V))
        _, weights = context.attention(*given, mask)
        ours = context.attention_backward(*given, weights, grad)
        for gradient, expected in zip(ours, self.reference(given, mask, grad), strict=True):
            np.testing.assert_allclose(gradient, expected, rtol=1e-10, atol=1e-12)

    def test_an_empty_row_passes_nothing_back(self):
        given, grad = arrays(), np.ones((BATCH, N, D_V))
        _, weights = context.attention(*given, MASKS["an empty row"])
        grad_queries, grad_keys, grad_values = context.attention_backward(*given, weights, grad)
        assert not grad_queries[:, 0].any() and grad_queries[:, 1:].any()
        assert np.isfinite(grad_keys).all() and np.isfinite(grad_values).all()

    def test_the_twin_passes_gradcheck(self):
        tensors = [torch.tensor(array, requires_grad=True) for array in arrays()]
        for mask in MASKS.values():
            mask = None if mask is None else torch.tensor(mask)
            assert torch.autograd.gradcheck(
                lambda *t, mask=mask: context.attention_torch(*t, mask), tensors
            )

    def test_shared_keys_and_values_collect_the_sum(self):
        queries, _, _ = arrays(leading=(6, BATCH))
        _, keys, values = arrays(leading=(1,))
        grad = np.random.default_rng(1).normal(size=(6, BATCH, N, D_V))
        _, weights = context.attention(queries, keys, values)
        ours = context.attention_backward(queries, keys, values, weights, grad)
        assert [g.shape for g in ours] == [queries.shape, keys.shape, values.shape]
        expected = self.reference((queries, keys, values), None, grad)
        for gradient, other in zip(ours, expected, strict=True):
            np.testing.assert_allclose(gradient, other, rtol=1e-10, atol=1e-12)

    def test_shared_weights_collect_the_sum(self):
        queries, keys, _ = (array[0] for array in arrays())
        _, _, values = arrays()
        grad = np.random.default_rng(1).normal(size=(BATCH, N, D_V))
        _, weights = context.attention(queries, keys, values)
        ours = context.attention_backward(queries, keys, values, weights, grad)
        expected = self.reference((queries, keys, values), None, grad)
        for gradient, other in zip(ours, expected, strict=True):
            np.testing.assert_allclose(gradient, other, rtol=1e-10, atol=1e-12)

    def test_refuses_a_gradient_of_another_shape(self):
        given = arrays()
        _, weights = context.attention(*given)
        with pytest.raises(ValueError, match=r"shape \(2, 3, 4\), the context \(2, 3, 7\)"):
            context.attention_backward(*given, weights, np.ones((BATCH, N, D_K)))

    def test_projection(self):
        rng = np.random.default_rng(3)
        x, W, grad = (rng.normal(size=s) for s in [(2, 3, 6), (6, 4), (2, 3, 4)])
        tensors = [torch.tensor(array, requires_grad=True) for array in (x, W)]
        expected = torch.autograd.grad(tensors[0] @ tensors[1], tensors, torch.tensor(grad))
        ours = context.projection_backward(x, W, grad)
        for gradient, other in zip(ours, expected, strict=True):
            np.testing.assert_allclose(gradient, other.numpy(), rtol=1e-12, atol=1e-12)
        with pytest.raises(ValueError, match=r"W has shape \(4, 6\), not \(6, 4\)"):
            context.projection_backward(x, W.T, grad)


def tensors(dtype=torch.float64):
    return [torch.tensor(array, dtype=dtype) for array in arrays()]


class TestAttentionModules:
    """Keras's own layers know no projections and compute in float32: they get what ours has
    projected."""

    @every_mask
    def test_additive_attention_equals_keras(self, mask):
        if mask is not None and mask.ndim == 2:
            pytest.skip("Keras masks positions, not pairs")
        queries, keys, values = tensors()
        layer = context.AdditiveAttention(D_K, D_K, 8).double()
        reference = keras.layers.AdditiveAttention()
        reference.build([(BATCH, N, 8), (BATCH, M, D_V), (BATCH, M, 8)])
        reference.scale.assign(layer.w.detach())
        ours, weights = layer(queries, keys, values, mask if mask is None else torch.tensor(mask))
        masks = None if mask is None else [None, torch.tensor(mask[:, 0])]
        theirs, their_weights = reference(
            [queries @ layer.W_q, values, keys @ layer.W_k],
            mask=masks,
            return_attention_scores=True,
        )
        assert torch.allclose(ours.float(), theirs, atol=1e-6)
        assert torch.allclose(weights.float(), their_weights, atol=1e-6)

    def test_luong_attention_equals_keras(self):
        queries, keys, values = tensors()
        layer = context.LuongAttention(D_K, D_K).double()
        ours, weights = layer(queries, keys, values, torch.tensor(MASKS["padding"]))
        theirs, their_weights = keras.layers.Attention()(
            [queries @ layer.W, values, keys],
            mask=[None, torch.tensor(MASKS["padding"][:, 0])],
            return_attention_scores=True,
        )
        assert torch.allclose(ours.float(), theirs, atol=1e-6)
        assert torch.allclose(weights.float(), their_weights, atol=1e-6)

    def test_scaled_attention_equals_keras(self):
        queries, keys, values = tensors()
        theirs = keras.layers.Attention()([queries / D_K**0.5, values, keys])
        ours, _ = context.attention_torch(queries, keys, values)
        assert torch.allclose(ours.float(), theirs, atol=1e-6)

    def test_queries_may_have_another_width(self):
        _, keys, values = tensors()
        queries = torch.randn(BATCH, N, 6, dtype=torch.float64)
        for layer, score in [
            (context.AdditiveAttention(6, D_K, 8).double(), scores.additive_torch),
            (context.LuongAttention(6, D_K).double(), scores.bilinear_torch),
        ]:
            result, weights = layer(queries, keys, values)
            expected = score(queries, keys, *layer.parameters()).softmax(dim=-1)
            assert torch.allclose(weights, expected, atol=1e-12)
            assert torch.allclose(result, expected @ values, atol=1e-12)


VOCABULARY, D_E, D_HIDDEN = 11, 6, 8
SOURCE = torch.tensor([[3, 1, 4, 1, 5], [9, 2, 6, 0, 0]])
LENGTHS = torch.tensor([5, 3])
TARGET = torch.tensor([[1, 5, 3, 5], [1, 8, 9, 7]])


def encoder(seed=0):
    torch.manual_seed(seed)
    return context.Encoder(10, D_E, D_HIDDEN).double()


def decoder(kind, seed=0):
    torch.manual_seed(seed)
    more = (7,) if kind is context.BahdanauDecoder else ()
    return kind(VOCABULARY, D_E, 9, 2 * D_HIDDEN, *more).double()


every_decoder = pytest.mark.parametrize(
    "kind", [context.Decoder, context.BahdanauDecoder, context.LuongDecoder]
)
attending = pytest.mark.parametrize("kind", [context.BahdanauDecoder, context.LuongDecoder])


class TestEncoder:
    def test_padding_changes_nothing(self):
        model = encoder()
        both = model(SOURCE, LENGTHS)
        alone = model(SOURCE[1:, :3], LENGTHS[1:])
        assert torch.allclose(both.states[1, :3], alone.states[0], atol=1e-12)
        assert torch.allclose(both.summary[1], alone.summary[0], atol=1e-12)
        assert both.mask.tolist() == [[[True] * 5], [[True] * 3 + [False] * 2]]
        assert both.states.shape == (2, 5, 2 * D_HIDDEN)

    def test_the_summary_holds_the_last_state_of_each_direction(self):
        states, _, summary = encoder()(SOURCE, LENGTHS)
        for example, last in enumerate(LENGTHS - 1):
            ends = states[example, last, :D_HIDDEN], states[example, 0, D_HIDDEN:]
            assert torch.allclose(summary[example], torch.cat(ends))


class TestDecoders:
    @every_decoder
    def test_teacher_forcing_equals_step_by_step(self, kind):
        model, memory = decoder(kind), encoder()(SOURCE, LENGTHS)
        logits, weights = model(TARGET, memory)
        state = model.start(memory)
        for t in range(TARGET.shape[1]):
            one, state = model.step(TARGET[:, t], state)
            assert torch.allclose(one, logits[:, t], atol=1e-12)
            if weights is not None:
                assert torch.allclose(state[1], weights[:, t], atol=1e-12)
        assert all(part.shape[0] == len(SOURCE) for part in state)

    @every_decoder
    def test_no_future_leaks(self, kind):
        model, memory = decoder(kind), encoder()(SOURCE, LENGTHS)
        changed = TARGET.clone()
        changed[:, 2] = 2
        before, after = model(TARGET, memory)[0], model(changed, memory)[0]
        assert torch.equal(before[:, :2], after[:, :2])
        assert not torch.allclose(before[:, 2], after[:, 2])

    @attending
    def test_weights_are_shares_of_what_is_real(self, kind):
        _, weights = decoder(kind)(TARGET, encoder()(SOURCE, LENGTHS))
        assert weights.shape == (2, 4, 5)
        assert torch.allclose(weights.sum(dim=-1), torch.ones(2, 4, dtype=torch.float64))
        assert not weights[1, :, 3:].any() and (weights[0] > 0).all()

    def test_bahdanau_attends_before_the_step(self):
        """Against the paper's equations with PyTorch's GRU cell."""
        model, memory = decoder(context.BahdanauDecoder), encoder()(SOURCE, LENGTHS)
        cell = nn.GRUCell(D_E + 2 * D_HIDDEN, 9).double()
        for name, parameter in cell.named_parameters():
            parameter.data = getattr(model.gru, f"{name}_l0").data
        hidden = torch.tanh(model.bridge(memory.summary))
        expected = []
        for tokens in TARGET.T:
            found, _ = model.attention(hidden[:, None], memory.states, memory.states, memory.mask)
            found = found[:, 0]
            hidden = cell(torch.cat([model.embedding(tokens), found], dim=-1), hidden)
            expected.append(model.output(torch.cat([hidden, found], dim=-1)))
        assert torch.allclose(model(TARGET, memory)[0], torch.stack(expected, dim=1), atol=1e-12)

    def test_luong_attends_after_the_step(self):
        model, memory = decoder(context.LuongDecoder), encoder()(SOURCE, LENGTHS)
        cell = nn.GRUCell(D_E, 9).double()
        for name, parameter in cell.named_parameters():
            parameter.data = getattr(model.gru, f"{name}_l0").data
        hidden = torch.tanh(model.bridge(memory.summary))
        expected = []
        for tokens in TARGET.T:
            hidden = cell(model.embedding(tokens), hidden)
            found, _ = model.attention(hidden[:, None], memory.states, memory.states, memory.mask)
            mixed = torch.tanh(model.mix(torch.cat([found[:, 0], hidden], dim=-1)))
            expected.append(model.output(mixed))
        assert torch.allclose(model(TARGET, memory)[0], torch.stack(expected, dim=1), atol=1e-12)

    def test_without_attention_only_the_summary_counts(self):
        model, memory = decoder(context.Decoder), encoder()(SOURCE, LENGTHS)
        logits, weights = model(TARGET, memory)
        assert weights is None
        other = memory._replace(states=torch.zeros_like(memory.states))
        assert torch.equal(model(TARGET, other)[0], logits)
        other = memory._replace(summary=torch.zeros_like(memory.summary))
        assert not torch.allclose(model(TARGET, other)[0], logits)


START, END, TOKENS, LIMIT = 0, 1, 4, 4


def step(tokens, state):
    """Logits that depend on all that was written and on the example."""
    written, example = state
    written = torch.cat([written, tokens[:, None]], dim=1)
    logits = []
    for row, number in zip(written.tolist(), example.tolist(), strict=True):
        generator = torch.Generator().manual_seed(hash((*row, *number)) % 2**31)
        logits.append(2 * torch.randn(TOKENS, generator=generator, dtype=torch.float64))
        logits[-1][END] -= 1.5  # so that most outputs are long
    return torch.stack(logits), (written, example)


def first_state(batch):
    return torch.zeros(batch, 0, dtype=torch.long), torch.arange(batch)[:, None]


def every_output(example):
    """Each output up to the limit with its log-probability, by enumeration."""
    unfinished, finished = [((), 0.0)], []
    for _ in range(LIMIT):
        longer = []
        for tokens, total in unfinished:
            state = (torch.tensor([[START, *tokens][:-1]]), torch.tensor([[example]]))
            logits, _ = step(torch.tensor([[START, *tokens][-1]]), state)
            for token, log_p in enumerate(logits[0].log_softmax(dim=-1).tolist()):
                into = finished if token == END else longer
                into.append(((*tokens, token), total + log_p))
        unfinished = longer
    return finished + unfinished


def plain_beam(example, width, alpha):
    """Beam search of one example as a loop over lists."""
    beams = [((), 0.0)]
    for _ in range(LIMIT):
        candidates = [beam for beam in beams if END in beam[0]]
        for tokens, total in beams:
            if END not in tokens:
                state = (torch.tensor([[START, *tokens][:-1]]).long(), torch.tensor([[example]]))
                logits, _ = step(torch.tensor([[START, *tokens][-1]]), state)
                log_p = logits[0].log_softmax(dim=-1).tolist()
                candidates += [((*tokens, t), total + log_p[t]) for t in range(TOKENS)]
        candidates.sort(key=lambda beam: beam[1] / len(beam[0]) ** alpha, reverse=True)
        beams = candidates[:width]
    return beams[0][0]


class TestSearches:
    @pytest.mark.parametrize("alpha", [0.0, 1.0])
    @pytest.mark.parametrize("width", [2, 3, 5])
    def test_equals_a_loop_over_lists(self, width, alpha):
        found, _ = context.beam_search(
            step, first_state(12), START, END, LIMIT, width=width, alpha=alpha
        )
        for example, row in enumerate(found.tolist()):
            best = plain_beam(example, width, alpha)
            assert row[: len(best)] == list(best)
            assert set(row[len(best) :]) <= {END}

    @pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0])
    def test_a_wide_beam_finds_the_best_of_all(self, alpha):
        found, ranks = context.beam_search(
            step, first_state(3), START, END, LIMIT, width=TOKENS**LIMIT, alpha=alpha
        )
        for example in range(3):
            ranked = {o: total / len(o) ** alpha for o, total in every_output(example)}
            best = max(ranked, key=ranked.get)
            assert found[example].tolist()[: len(best)] == list(best)
            assert set(found[example].tolist()[len(best) :]) <= {END}
            assert ranks[example].item() == pytest.approx(ranked[best], rel=1e-5)

    def test_a_beam_of_one_is_greedy(self):
        greedy = context.greedy_search(step, first_state(20), START, END, LIMIT)
        beam, _ = context.beam_search(step, first_state(20), START, END, LIMIT, width=1)
        assert torch.equal(greedy, beam)

    def test_greedy_takes_the_largest_logit_until_the_end(self):
        found = context.greedy_search(step, first_state(20), START, END, LIMIT).tolist()
        for example, row in enumerate(found):
            written = [START]
            for token in row:
                state = (torch.tensor([written[:-1]]).long(), torch.tensor([[example]]))
                logits, _ = step(torch.tensor(written[-1:]), state)
                ended = END in written[1:]
                assert token == (END if ended else logits.argmax().item())
                written.append(token)
        assert any(END in row[:-1] for row in found) and any(END not in row for row in found)

    def test_examples_do_not_mix(self):
        together, _ = context.beam_search(step, first_state(6), START, END, LIMIT, width=3)
        for example in range(6):
            state = first_state(1)[0], torch.tensor([[example]])
            alone, _ = context.beam_search(step, state, START, END, LIMIT, width=3)
            assert together[example].tolist()[: alone.shape[1]] == alone[0].tolist()

    def test_searches_drive_a_decoder(self):
        model, memory = decoder(context.BahdanauDecoder), encoder()(SOURCE, LENGTHS)
        tokens, _ = context.beam_search(model.step, model.start(memory), 1, 2, 6, width=3)
        assert tokens.shape[0] == 2 and tokens.shape[1] <= 6
        assert context.greedy_search(model.step, model.start(memory), 1, 2, 6).shape[0] == 2

    @pytest.mark.parametrize("search", [context.greedy_search, context.beam_search])
    def test_an_output_has_at_least_one_token(self, search):
        with pytest.raises(ValueError, match="limit is 0: an output has at least one token"):
            search(step, first_state(1), START, END, 0)

    def test_a_beam_keeps_at_least_one(self):
        with pytest.raises(ValueError, match="width is 0: a beam keeps at least one output"):
            context.beam_search(step, first_state(1), START, END, LIMIT, width=0)


class TestDates:
    def test_thousands_of_formats_and_no_text_that_means_two_dates(self):
        formats = dates.formats()
        assert len(formats) == len(set(formats)) > 3000
        assert len({form.language for form in formats}) == 20
        means = {}
        some = [date(2024, month, day) for month in range(1, 13) for day in (1, 2, 11, 12)]
        for form in formats[::7]:
            for day in some:
                assert means.setdefault(dates.write(day, form), day) == day

    def test_writes_as_the_language_does(self):
        day = date(1976, 6, 16)
        assert dates.write(day, dates.Format("de", "d. MMMM y")) == "16. Juni 1976"
        assert dates.write(day, dates.Format("fr", "EEEE d MMMM y")) == "mercredi 16 juin 1976"
        assert dates.write(day, dates.Format("cs", "dd.MM.y")) == "16.06.1976"

    def test_days_are_all_different_and_in_order(self):
        days = dates.days()
        assert days[0] == date(1930, 1, 1) and days[-1] == date(2069, 12, 31)
        assert len(days) == len(set(days)) == 51135 and days == sorted(days)

    def test_without_babel_there_is_one_clear_message(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "babel", None)
        with pytest.raises(ModuleNotFoundError, match="install it with `pip install babel`"):
            dates.formats()
