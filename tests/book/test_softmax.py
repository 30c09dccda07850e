"""The softmax and its masks against PyTorch, against loops and against finite differences."""

import math
from itertools import pairwise

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
        tensors = (torch.tensor(a) if isinstance(a, np.ndarray) else a for a in arguments)
        return function(*tensors).numpy()

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

    @pytest.mark.parametrize("shape", [(N,), (M, N), (BATCH, N, 2), (4, BATCH, N, M), (1, 1, 1, 1)])
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

    # the same where keys are hidden by the scores themselves
    bias = torch.where(torch.tensor(mask), 0.0, -torch.inf)
    (added,) = torch.autograd.grad(library.softmax_torch(leaf + bias).square().sum(), leaf)
    assert torch.equal(added, leaf.grad)


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
        lengths = np.array([[1, 2], [3, 4], [5, 0]])
        assert twin("padding_mask", kind)(lengths, M).shape == (3, 2, 1, M)

    @pytest.mark.parametrize("lengths", [[2, 6], [-1, 2]])
    def test_padding_with_impossible_lengths(self, lengths, kind):
        with pytest.raises(ValueError, match="each must lie between 0 and m"):
            twin("padding_mask", kind)(lengths, M)

    def test_both_together(self, kind):
        mask = twin("causal_mask", kind)(N, M) & twin("padding_mask", kind)([5, 1], M)
        assert mask.shape == (BATCH, N, M)
        np.testing.assert_array_equal(mask[0], library.causal_mask(N, M))
        assert mask[1, :, 0].all() and not mask[1, :, 1:].any()


@both_kinds
class TestLogSumExpAndEntropy:
    def test_logsumexp_equals_its_formula(self, kind):
        scores, _ = scores_and_mask(leading=(2, 4))
        expected = np.log(np.exp(scores).sum(axis=-1))
        np.testing.assert_allclose(twin("logsumexp", kind)(scores), expected, rtol=1e-12)

    @pytest.mark.parametrize("shift", [1e4, -1e4])
    def test_logsumexp_of_large_scores(self, shift, kind):
        scores, _ = scores_and_mask()
        logsumexp = twin("logsumexp", kind)
        np.testing.assert_allclose(logsumexp(scores + shift), logsumexp(scores) + shift)

    def test_logsumexp_of_an_empty_row(self, kind):
        scores, _ = scores_and_mask()
        scores[0, 1] = -np.inf
        with np.errstate(all="raise", under="ignore"):
            result = twin("logsumexp", kind)(scores)
        assert result[0, 1] == -np.inf and np.isfinite(np.delete(result.ravel(), 1)).all()

    def test_log_softmax_equals_pytorchs_cross_entropy(self, kind):
        scores, _ = scores_and_mask()
        scores[0, 0, 0] = 900  # the other weights of this row underflow
        result = twin("log_softmax", kind)(scores)
        for j in range(M):
            classes = torch.full((BATCH, N), j)
            losses = F.cross_entropy(torch.tensor(scores).movedim(-1, 1), classes, reduction="none")
            np.testing.assert_allclose(result[..., j], -losses.numpy(), rtol=1e-12, atol=1e-12)

    def test_entropy_equals_pytorchs(self, kind):
        weights = library.softmax(*scores_and_mask(leading=(2, 4)))
        expected = torch.distributions.Categorical(probs=torch.tensor(weights)).entropy()
        entropy = twin("entropy", kind)(weights)
        np.testing.assert_allclose(entropy, expected.numpy(), rtol=1e-10, atol=1e-12)

    def test_entropy_of_equal_and_of_no_weights(self, kind):
        weights = np.stack([np.full(M, 1 / M), np.eye(M)[2], np.zeros(M)])
        np.testing.assert_allclose(twin("entropy", kind)(weights), [math.log(M), 0, 0], atol=1e-15)

    @pytest.mark.parametrize("name", ["logsumexp", "log_softmax", "entropy"])
    def test_keeps_float32(self, name, kind):
        weights = library.softmax(scores_and_mask()[0].astype(np.float32))
        assert twin(name, kind)(weights).dtype == np.float32


def test_the_gradient_of_the_entropy_of_masked_weights_is_finite():
    scores, mask = scores_and_mask()
    mask[1, 0] = False
    leaf = torch.tensor(scores, requires_grad=True)

    def spread(scores):
        return library.entropy_torch(library.softmax_torch(scores, torch.tensor(mask)))

    assert torch.autograd.gradcheck(spread, leaf)


def sparsemax_by_search(row: np.ndarray) -> np.ndarray:
    """Of all candidate supports, the one whose projection is feasible and nearest."""
    best, nearest = None, math.inf
    for bits in range(1, 2 ** len(row)):
        support = np.array([bits >> j & 1 for j in range(len(row))], dtype=bool)
        point = np.where(support, row - (row[support].sum() - 1) / support.sum(), 0)
        if point.min() >= 0 and (distance := np.sum((point - row) ** 2)) < nearest:
            best, nearest = point, distance
    return best


def by_search(row: np.ndarray, seen: np.ndarray) -> np.ndarray:
    weights = np.zeros_like(row)
    if seen.any():
        weights[seen] = sparsemax_by_search(row[seen])
    return weights


@both_kinds
class TestSparse:
    def test_sparsemax_is_the_nearest_point_of_the_simplex(self, kind):
        scores, mask = scores_and_mask(leading=(8,))
        mask[3, 1] = False
        rows = scores.reshape(-1, M), mask.reshape(-1, M)
        expected = np.reshape(
            [by_search(row, seen) for row, seen in zip(*rows, strict=True)],
            scores.shape,
        )
        result = twin("sparsemax", kind)(scores, mask)
        np.testing.assert_allclose(result, expected, atol=1e-12)
        assert ((result == 0) & mask).any()  # sparse beyond the mask

    @pytest.mark.parametrize("alpha", [1.1, 1.5, 1.9, 2.0])
    def test_entmax_meets_its_conditions(self, alpha, kind):
        """One threshold for each row, sum 1, and nothing below the threshold."""
        scores, _ = scores_and_mask(leading=(8,))
        weights = twin("entmax", kind)(scores, alpha)
        np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-12)
        thresholds = (alpha - 1) * scores - weights ** (alpha - 1)
        for row, threshold, score in zip(
            weights.reshape(-1, M), thresholds.reshape(-1, M), scores.reshape(-1, M), strict=True
        ):
            inside = row > 1e-6
            assert np.ptp(threshold[inside]) < 1e-8
            assert ((alpha - 1) * score[row == 0] <= threshold[inside].mean() + 1e-8).all()

    def test_entmax_lies_between_softmax_and_sparsemax(self, kind):
        scores, mask = scores_and_mask()
        entmax = twin("entmax", kind)
        np.testing.assert_allclose(
            entmax(scores, 2.0, mask), library.sparsemax(scores, mask), atol=1e-12
        )
        np.testing.assert_allclose(
            entmax(scores, 1.00001, mask), library.softmax(scores, mask), atol=1e-3
        )

    @pytest.mark.parametrize("name", ["sparsemax", "entmax"])
    def test_large_scores_and_empty_rows(self, name, kind):
        scores, mask = scores_and_mask()
        mask[1, 0] = False
        more = (1.5, mask) if name == "entmax" else (mask,)
        function = twin(name, kind)
        with np.errstate(all="raise", under="ignore"):
            weights = function(scores + 1e4, *more)
        np.testing.assert_allclose(weights, function(scores, *more), atol=1e-10)
        assert (weights[1, 0] == 0).all() and (weights[~mask] == 0).all()

    @pytest.mark.parametrize("name", ["sparsemax", "entmax"])
    def test_keeps_float32_and_its_arguments(self, name, kind):
        scores = scores_and_mask()[0].astype(np.float32)
        before = scores.copy()
        assert twin(name, kind)(scores).dtype == np.float32
        np.testing.assert_array_equal(scores, before)

    @pytest.mark.parametrize("alpha", [1.0, 0.5, 2.5])
    def test_entmax_out_of_range(self, alpha, kind):
        with pytest.raises(ValueError, match=f"alpha is {alpha}"):
            twin("entmax", kind)(np.zeros((N, M)), alpha)

    def test_a_mask_that_does_not_fit(self, kind):
        with pytest.raises(ValueError, match="does not broadcast"):
            twin("sparsemax", kind)(np.zeros((N, M)), np.ones((M, N), dtype=bool))

    @pytest.mark.parametrize("k", [1, 3, M])
    def test_top_k_keeps_the_largest(self, k, kind):
        scores, _ = scores_and_mask(leading=(2, 4))
        mask = twin("top_k_mask", kind)(scores, k)
        largest = torch.topk(torch.tensor(scores), k).indices
        expected = torch.zeros(scores.shape, dtype=torch.bool).scatter(-1, largest, True)
        np.testing.assert_array_equal(mask, expected.numpy())

    def test_top_k_of_equal_scores_keeps_the_first(self, kind):
        mask = twin("top_k_mask", kind)(np.zeros((2, M)), 2)
        np.testing.assert_array_equal(mask, [[True, True, False, False, False]] * 2)

    @pytest.mark.parametrize("k", [0, M + 1])
    def test_top_k_out_of_range(self, k, kind):
        with pytest.raises(ValueError, match=f"k is {k}, for 5 keys"):
            twin("top_k_mask", kind)(np.zeros((N, M)), k)


@pytest.mark.parametrize("alpha", [1.2, 1.5, 2.0])
def test_gradient_of_entmax(alpha):
    scores, mask = scores_and_mask()
    mask[1, 0] = False
    leaf = torch.tensor(scores / 3, requires_grad=True)
    seen = torch.tensor(mask)
    assert torch.autograd.gradcheck(lambda s: library.entmax_torch(s, alpha, seen), leaf)


def test_gradient_of_sparsemax():
    scores, mask = scores_and_mask()
    mask[1, 0] = False
    leaf = torch.tensor(scores / 3, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: library.sparsemax_torch(s, torch.tensor(mask)), leaf)


def streamed(kind, scores, values, widths):
    """online_softmax over blocks of the given widths."""
    edges = np.cumsum([0, *widths])
    blocks = [(scores[..., a:b], values[..., a:b, :]) for a, b in pairwise(edges)]
    if kind == "numpy":
        return library.online_softmax(blocks)
    blocks = [tuple(torch.tensor(array) for array in block) for block in blocks]
    return tuple(result.numpy() for result in library.online_softmax_torch(iter(blocks)))


@both_kinds
class TestOnlineSoftmax:
    @pytest.mark.parametrize("widths", [(5,), (1, 1, 1, 1, 1), (2, 3), (4, 1)])
    @pytest.mark.parametrize("factor", [1, 500, -500])
    def test_equals_attention_in_one_piece(self, widths, factor, kind):
        scores, mask = scores_and_mask(leading=(2, 4))
        scores = np.where(mask, scores * factor, -np.inf)
        values = np.random.default_rng(1).normal(size=(2, 4, M, 7))
        with np.errstate(all="raise", under="ignore"):
            context, lse = streamed(kind, scores, values, widths)
        whole = torch.softmax(torch.tensor(scores), dim=-1) @ torch.tensor(values)
        np.testing.assert_allclose(context, whole.numpy(), rtol=1e-10, atol=1e-12)
        expected = torch.logsumexp(torch.tensor(scores), dim=-1)
        np.testing.assert_allclose(lse, expected.numpy(), rtol=1e-12)

    def test_a_query_that_sees_no_key(self, kind):
        scores, values = scores_and_mask()[0], np.ones((BATCH, M, 7))
        scores[1, 0] = -np.inf
        with np.errstate(all="raise", under="ignore"):
            context, lse = streamed(kind, scores, values, (2, 3))
        assert (context[1, 0] == 0).all() and lse[1, 0] == -np.inf
        np.testing.assert_allclose(np.delete(context.reshape(-1, 7), N, axis=0), 1, rtol=1e-12)

    def test_keeps_float32_and_its_arguments(self, kind):
        scores = scores_and_mask()[0].astype(np.float32)
        values = np.ones((BATCH, M, 7), dtype=np.float32)
        before = scores.copy()
        context, lse = streamed(kind, scores, values, (2, 3))
        assert context.dtype == lse.dtype == np.float32
        np.testing.assert_array_equal(scores, before)

    def test_no_block(self, kind):
        name = "online_softmax" if kind == "numpy" else "online_softmax_torch"
        with pytest.raises(ValueError, match="no block"):
            getattr(library, name)([])


def test_gradient_of_online_softmax():
    scores, mask = scores_and_mask()
    mask[1, 0] = False  # sees nothing at all
    mask[0, 0, :2] = False  # sees nothing of the first block
    hidden = ~torch.tensor(mask)

    def both_results(scores, values):
        scores = scores.masked_fill(hidden, -torch.inf)
        context, lse = library.online_softmax_torch(
            [(scores[..., :2], values[..., :2, :]), (scores[..., 2:], values[..., 2:, :])]
        )
        return context, lse.masked_fill(hidden.all(dim=-1), 0.0)

    values = torch.randn(BATCH, M, 7, dtype=torch.float64, requires_grad=True)
    leaf = torch.tensor(scores, requires_grad=True)
    assert torch.autograd.gradcheck(both_results, (leaf, values))
