"""The softmax and its masks against PyTorch, against loops and against finite differences."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from attend import softmax as library

# All different, so that a wrong axis cannot pass.
BATCH, N, M = 2, 3, 5


def twin(name: str, kind: str):
    """A function of the library that takes and gives arrays, in NumPy or in PyTorch."""
    if kind == "numpy":
        return getattr(library, name)
    function = getattr(library, f"{name}_torch")

    def run(*arguments):
        result = function(*(torch.tensor(a) if isinstance(a, np.ndarray) else a for a in arguments))
        return result.numpy()

    return run


def scores_and_mask(leading: tuple[int, ...] = (BATCH,), seed: int = 0):
    """Scores and a mask without an empty row."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(*leading, N, M)) * 3
    mask = rng.random(scores.shape) < 0.6
    mask[..., 1] |= ~mask.any(axis=-1)
    return scores, mask


def row_by_loop(scores, mask):
    """Weights of one row, number by number."""
    total = sum(math.exp(s) for s, seen in zip(scores, mask, strict=True) if seen)
    if not any(mask):
        return [0.0] * len(scores)
    return [math.exp(s) / total if seen else 0.0 for s, seen in zip(scores, mask, strict=True)]


both_kinds = pytest.mark.parametrize("kind", ["numpy", "torch"])


@both_kinds
class TestSoftmax:
    def test_equals_the_formula(self, kind):
        scores, mask = scores_and_mask()
        mask[0, 2] = False  # one empty row
        expected = [
            [row_by_loop(*pair) for pair in zip(*example, strict=True)]
            for example in zip(scores, mask, strict=True)
        ]
        weights = twin("softmax", kind)(scores, mask)
        np.testing.assert_allclose(weights, expected, rtol=1e-12, atol=0)

    def test_equals_pytorch_without_a_mask(self, kind):
        scores, _ = scores_and_mask(leading=(2, 4))
        expected = F.softmax(torch.tensor(scores), dim=-1).numpy()
        np.testing.assert_allclose(twin("softmax", kind)(scores), expected, rtol=1e-12)

    def test_the_mask_means_what_pytorchs_attention_means_by_it(self, kind):
        """True may be attended: the identity as values shows the weights of PyTorch's attention."""
        scores, mask = scores_and_mask()
        queries = torch.tensor(scores) * math.sqrt(M)  # the keys are the identity too
        eye = torch.eye(M, dtype=torch.float64).expand(BATCH, M, M)
        expected = F.scaled_dot_product_attention(queries, eye, eye, attn_mask=torch.tensor(mask))
        weights = twin("softmax", kind)(scores, mask)
        np.testing.assert_allclose(weights, expected.numpy(), atol=1e-12)

    @pytest.mark.parametrize("shape", [(M,), (1, M), (N, 1), (N, M), (BATCH, 1, M), (1, N, M)])
    def test_a_mask_is_broadcast(self, shape, kind):
        scores, _ = scores_and_mask()
        mask = np.random.default_rng(1).random(shape) < 0.6
        full = np.broadcast_to(mask, scores.shape).copy()
        softmax = twin("softmax", kind)
        np.testing.assert_array_equal(softmax(scores, mask), softmax(scores, full))

    def test_works_alike_over_any_leading_axes(self, kind):
        scores, mask = scores_and_mask(leading=(2, 4))
        softmax = twin("softmax", kind)
        weights = softmax(scores, mask)
        for index in np.ndindex(2, 4):
            np.testing.assert_allclose(weights[index], softmax(scores[index], mask[index]))
        np.testing.assert_allclose(weights[1, 2, 0], softmax(scores[1, 2, 0], mask[1, 2, 0]))

    @pytest.mark.parametrize("shift", [1e4, -1e4])
    def test_large_scores_overflow_nowhere(self, shift, kind):
        scores, mask = scores_and_mask()
        softmax = twin("softmax", kind)
        with np.errstate(all="raise", under="ignore"):
            shifted = softmax(scores + shift, mask)
        np.testing.assert_allclose(shifted, softmax(scores, mask), rtol=1e-10)

    def test_an_empty_row_has_weights_of_zero(self, kind):
        scores, mask = scores_and_mask()
        mask[1, 0] = False
        scores[0, 1] = -np.inf  # another way to hide all keys
        with np.errstate(all="raise", under="ignore"):
            weights = twin("softmax", kind)(scores, mask)
        sums = np.ones((BATCH, N))
        sums[1, 0] = sums[0, 1] = 0
        np.testing.assert_allclose(weights.sum(axis=-1), sums, atol=1e-12)

    def test_what_is_masked_cannot_be_noticed(self, kind):
        scores, mask = scores_and_mask()
        other = np.where(mask, scores, np.random.default_rng(1).choice([np.nan, np.inf, 1e9]))
        softmax = twin("softmax", kind)
        np.testing.assert_array_equal(softmax(scores, mask), softmax(other, mask))

    @pytest.mark.parametrize("dtype", [np.float16, np.float32])
    def test_keeps_its_type_and_its_arguments(self, dtype, kind):
        scores, mask = scores_and_mask()
        scores = scores.astype(dtype)
        before = scores.copy(), mask.copy()
        assert twin("softmax", kind)(scores, mask).dtype == dtype
        assert twin("softmax", kind)(scores).dtype == dtype
        np.testing.assert_array_equal(scores, before[0])
        np.testing.assert_array_equal(mask, before[1])

    @pytest.mark.parametrize("shape", [(N,), (M, N), (BATCH, N, 2), (4, BATCH, N, M)])
    def test_a_mask_that_does_not_fit(self, shape, kind):
        with pytest.raises(ValueError, match="does not broadcast to scores"):
            twin("softmax", kind)(scores_and_mask()[0], np.ones(shape, dtype=bool))

    @pytest.mark.parametrize("dtype", [np.float64, np.int64])
    def test_a_mask_of_numbers(self, dtype, kind):
        """An additive mask, 0 and -inf, would be read the wrong way round."""
        scores, mask = scores_and_mask()
        with pytest.raises(ValueError, match="not boolean"):
            twin("softmax", kind)(scores, mask.astype(dtype))


def test_gradient_with_an_empty_row():
    scores, mask = scores_and_mask()
    mask[1, 0] = False
    leaf = torch.tensor(scores, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: library.softmax_torch(s, torch.tensor(mask)), leaf)
    library.softmax_torch(leaf, torch.tensor(mask)).square().sum().backward()
    assert (leaf.grad[1, 0] == 0).all() and (leaf.grad[~torch.tensor(mask)] == 0).all()
    assert (leaf.grad[torch.tensor(mask)] != 0).any()


@both_kinds
class TestBackward:
    @pytest.mark.parametrize("leading", [(), (BATCH,), (2, 4)])
    def test_equals_autograd(self, leading, kind):
        scores, mask = scores_and_mask(leading)
        mask[..., 2, :] = False
        grad_weights = np.random.default_rng(1).normal(size=scores.shape)
        leaf = torch.tensor(scores, requires_grad=True)
        weights = library.softmax_torch(leaf, torch.tensor(mask))
        (expected,) = torch.autograd.grad(weights, leaf, torch.tensor(grad_weights))
        gradient = twin("softmax_backward", kind)(weights.detach().numpy(), grad_weights)
        np.testing.assert_allclose(gradient, expected.numpy(), rtol=1e-10, atol=1e-14)

    def test_refuses_a_gradient_of_another_shape(self, kind):
        weights = np.full((N, M), 1 / M)
        with pytest.raises(ValueError, match=r"weights have shape \(3, 5\), their gradient \(5,\)"):
            twin("softmax_backward", kind)(weights, np.ones(M))

    def test_keeps_float32(self, kind):
        weights = np.full((N, M), 1 / M, dtype=np.float32)
        assert twin("softmax_backward", kind)(weights, weights).dtype == np.float32


@both_kinds
class TestMasks:
    @pytest.mark.parametrize(("n", "m"), [(1, 1), (4, 4), (1, 5), (3, 5)])
    def test_causal(self, n, m, kind):
        mask = twin("causal_mask", kind)(n, m)
        assert mask.dtype == bool
        for i in range(n):
            for j in range(m):
                assert mask[i, j] == (j <= i + m - n)
        assert mask[-1].all() and mask.any(axis=-1).all()

    def test_causal_is_square_where_nothing_else_is_said(self, kind):
        causal_mask = twin("causal_mask", kind)
        np.testing.assert_array_equal(causal_mask(4), causal_mask(4, 4))
        expected = torch.nn.Transformer.generate_square_subsequent_mask(4) == 0
        np.testing.assert_array_equal(causal_mask(4), expected.numpy())

    def test_causal_with_fewer_keys_than_queries(self, kind):
        with pytest.raises(ValueError, match="5 queries but 3 keys"):
            twin("causal_mask", kind)(5, 3)

    @pytest.mark.parametrize("given", [list, np.array])
    def test_padding(self, given, kind):
        mask = twin("padding_mask", kind)(given([5, 0, 2]), M)
        assert mask.shape == (3, 1, M) and mask.dtype == bool
        expected = [[True] * 5, [False] * 5, [True] * 2 + [False] * 3]
        np.testing.assert_array_equal(mask[:, 0], expected)

    def test_padding_over_other_axes(self, kind):
        assert twin("padding_mask", kind)(np.array([[1, 2], [3, 4], [5, 0]]), M).shape == (3, 2, 1, M)

    @pytest.mark.parametrize("lengths", [[2, 6], [-1, 2]])
    def test_padding_with_impossible_lengths(self, lengths, kind):
        with pytest.raises(ValueError, match="each must lie between 0 and m"):
            twin("padding_mask", kind)(lengths, M)

    def test_both_together(self, kind):
        mask = twin("causal_mask", kind)(N, M) & twin("padding_mask", kind)([5, 1], M)
        assert mask.shape == (BATCH, N, M)
        np.testing.assert_array_equal(mask[0], library.causal_mask(N, M))
        assert mask[1, :, 0].all() and not mask[1, :, 1:].any()
