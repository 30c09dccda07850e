"""Context vectors, their gradients, the decoders and the searches against independent references."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from attend import context

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
