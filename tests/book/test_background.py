"""attend.background against PyTorch's own functions, loops, finite differences and limits."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from attend import background

# All different, so that a wrong axis cannot pass.
BATCH, T, V = 2, 5, 7
N, M, D_K, D_V = 3, 6, 4, 8
BANDWIDTH = 0.8


def language(seed=0, leading=(BATCH, T)):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(*leading, V)), rng.integers(V, size=leading)


def memory(seed=0, leading=(BATCH,)):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(*leading, *shape)) for shape in [(N, D_K), (M, D_K), (M, D_V)]]


def run(name, arrays, kind):
    if kind == "numpy":
        return getattr(background, name)(*arrays)
    tensors = [torch.tensor(x) if isinstance(x, np.ndarray) else x for x in arrays]
    return getattr(background, f"{name}_torch")(*tensors).numpy()


both = pytest.mark.parametrize("kind", ["numpy", "torch"])


@both
class TestPerplexity:
    def test_surprise_is_the_cross_entropy_of_pytorch(self, kind):
        logits, targets = language()
        expected = F.cross_entropy(
            torch.tensor(logits).reshape(-1, V),
            torch.tensor(targets).reshape(-1),
            reduction="none",
        ).reshape(BATCH, T)
        ours = run("negative_log_likelihood", [logits, targets], kind)
        np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-12)

    def test_the_mean_runs_over_the_tokens_that_count(self, kind):
        logits, targets = language()
        mask = np.array([[True] * 5, [True, True, False, False, False]])
        total, count = 0.0, 0
        for b in range(BATCH):
            for t in range(T):
                if mask[b, t]:
                    z = logits[b, t]
                    total -= math.log(
                        math.exp(z[targets[b, t]]) / sum(math.exp(entry) for entry in z)
                    )
                    count += 1
        ours = run("perplexity", [logits, targets, mask], kind)
        np.testing.assert_allclose(ours, math.exp(total / count), rtol=1e-12)
        everything = run("perplexity", [logits, targets, np.ones((BATCH, T), bool)], kind)
        np.testing.assert_allclose(run("perplexity", [logits, targets], kind), everything)

    def test_a_mask_broadcasts(self, kind):
        logits, targets = language()
        one_row = np.array([True, False, True, True, False])
        full = np.broadcast_to(one_row, (BATCH, T)).copy()
        np.testing.assert_allclose(
            run("perplexity", [logits, targets, one_row], kind),
            run("perplexity", [logits, targets, full], kind),
        )

    def test_what_does_not_count_has_no_influence_whatever_it_is(self, kind):
        logits, targets = language()
        mask = np.array([[True] * 5, [True, True, False, False, False]])
        clean = run("perplexity", [logits, targets, mask], kind)
        logits[~mask], targets[~mask] = np.nan, -100
        assert run("perplexity", [logits, targets, mask], kind) == clean

    def test_its_range(self, kind):
        _, targets = language()
        ignorant = np.zeros((BATCH, T, V))
        np.testing.assert_allclose(run("perplexity", [ignorant, targets], kind), V)
        certain = 1e4 * np.eye(V)[targets]
        assert run("perplexity", [certain, targets], kind) == 1
        with np.errstate(over="ignore"):
            assert run("perplexity", [-certain, targets], kind) == np.inf
        assert run("negative_log_likelihood", language(), kind).min() >= 0

    def test_large_logits_do_not_overflow(self, kind):
        logits, targets = language()
        np.testing.assert_allclose(
            run("perplexity", [logits + 1e4, targets], kind),
            run("perplexity", [logits, targets], kind),
            rtol=1e-9,
        )

    def test_impossible_tokens_are_minus_infinity(self, kind):
        logits, targets = language()
        logits[..., 0] = -np.inf
        targets = np.maximum(targets, 1)
        expected = run("negative_log_likelihood", [logits[..., 1:], targets - 1], kind)
        ours = run("negative_log_likelihood", [logits, targets], kind)
        np.testing.assert_allclose(ours, expected, rtol=1e-12)

    def test_any_leading_axes(self, kind):
        logits, targets = language(leading=(2, 3, 4))
        together = run("negative_log_likelihood", [logits, targets], kind)
        for index in np.ndindex(2, 3):
            one = run("negative_log_likelihood", [logits[index], targets[index]], kind)
            np.testing.assert_allclose(together[index], one, atol=1e-12)

    def test_keeps_float32_and_its_arguments(self, kind):
        logits, targets = language()
        logits = logits.astype(np.float32)
        before = logits.copy(), targets.copy()
        assert run("negative_log_likelihood", [logits, targets], kind).dtype == np.float32
        assert run("perplexity", [logits, targets], kind).dtype == np.float32
        np.testing.assert_array_equal(logits, before[0])
        np.testing.assert_array_equal(targets, before[1])

    def test_errors(self, kind):
        logits, targets = language()
        with pytest.raises(ValueError, match=r"logits have shape \(2, 5, 7\) and targets \(2, 4\)"):
            run("perplexity", [logits, targets[:, :4]], kind)
        for wrong in (-1, V):
            outside = targets.copy()
            outside[0, 0] = wrong
            with pytest.raises(ValueError, match="between 0 and 6"):
                run("perplexity", [logits, outside], kind)
        with pytest.raises(ValueError, match="no token counts"):
            run("perplexity", [logits, targets, np.zeros((BATCH, T), bool)], kind)


@both
class TestKernel:
    def test_weights_are_pytorchs_softmax_of_squared_distances(self, kind):
        queries, keys, _ = memory()
        squared = torch.cdist(torch.tensor(queries), torch.tensor(keys)) ** 2
        expected = torch.softmax(-squared / (2 * BANDWIDTH**2), dim=-1)
        ours = run("kernel_weights", [queries, keys, BANDWIDTH], kind)
        np.testing.assert_allclose(ours, expected, rtol=1e-10)

    def test_regression_is_the_formula(self, kind):
        queries, keys, values = memory()
        expected = np.zeros((BATCH, N, D_V))
        for b in range(BATCH):
            for i in range(N):
                kernels = []
                for j in range(M):
                    squared = sum((queries[b, i, t] - keys[b, j, t]) ** 2 for t in range(D_K))
                    kernels.append(math.exp(-squared / (2 * BANDWIDTH**2)))
                for j in range(M):
                    expected[b, i] += kernels[j] / sum(kernels) * values[b, j]
        ours = run("kernel_regression", [queries, keys, values, BANDWIDTH], kind)
        np.testing.assert_allclose(ours, expected, rtol=1e-12)

    def test_is_scaled_dot_product_attention_for_keys_of_one_length(self, kind):
        queries, keys, values = memory()
        keys /= np.linalg.norm(keys, axis=-1, keepdims=True)
        expected = F.scaled_dot_product_attention(*map(torch.tensor, (queries, keys, values)))
        ours = run("kernel_regression", [queries, keys, values, D_K**0.25], kind)
        np.testing.assert_allclose(ours, expected, rtol=1e-10)

    def test_limits_of_the_bandwidth(self, kind):
        queries, keys, values = memory()
        nearest = np.linalg.norm(queries[:, :, None] - keys[:, None], axis=-1).argmin(axis=-1)
        sharp = run("kernel_regression", [queries, keys, values, 1e-3], kind)
        np.testing.assert_allclose(sharp, np.take_along_axis(values, nearest[..., None], axis=1))
        flat = run("kernel_regression", [queries, keys, values, 1e6], kind)
        mean = np.broadcast_to(values.mean(axis=1, keepdims=True), flat.shape)
        np.testing.assert_allclose(flat, mean, rtol=1e-6)

    def test_far_away_is_not_zero_over_zero(self, kind):
        weights = run("kernel_weights", [np.full((1, 1), 1e3), np.array([[0.0], [1.0]]), 1.0], kind)
        np.testing.assert_array_equal(weights, [[0, 1]])

    def test_any_leading_axes_and_shared_keys(self, kind):
        queries, keys, values = memory(leading=(2, 10))
        together = run("kernel_regression", [queries, keys, values, BANDWIDTH], kind)
        assert together.shape == (2, 10, N, D_V)
        for index in np.ndindex(2, 10):
            one = [queries[index], keys[index], values[index], BANDWIDTH]
            np.testing.assert_allclose(
                together[index], run("kernel_regression", one, kind), atol=1e-12
            )
        shared = run("kernel_regression", [queries, keys[0, 0], values[0, 0], BANDWIDTH], kind)
        np.testing.assert_allclose(shared[0, 0], together[0, 0], atol=1e-12)

    def test_keeps_float32_and_its_arguments(self, kind):
        arrays = [array.astype(np.float32) for array in memory()]
        before = [array.copy() for array in arrays]
        assert run("kernel_regression", [*arrays, BANDWIDTH], kind).dtype == np.float32
        for array, copy in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(array, copy)

    def test_errors(self, kind):
        queries, keys, values = memory()
        with pytest.raises(ValueError, match="queries have width 3 and keys width 4"):
            run("kernel_regression", [queries[..., :3], keys, values, 1.0], kind)
        with pytest.raises(ValueError, match="6 keys and 5 values"):
            run("kernel_regression", [queries, keys, values[:, :5], 1.0], kind)
        for bandwidth in (0.0, -1.0, math.nan):
            with pytest.raises(ValueError, match="not a positive number"):
                run("kernel_weights", [queries, keys, bandwidth], kind)


def test_gradients_equal_finite_differences():
    logits, targets = language()
    mask = torch.tensor([[True] * 5, [True, True, False, False, False]])
    assert torch.autograd.gradcheck(
        lambda z: background.perplexity_torch(z, torch.tensor(targets), mask),
        torch.tensor(logits, requires_grad=True),
    )
    tensors = [torch.tensor(array, requires_grad=True) for array in memory()]
    bandwidth = torch.tensor(BANDWIDTH, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(background.kernel_regression_torch, [*tensors, bandwidth])


def test_masked_tokens_get_no_gradient_not_even_nan():
    logits, targets = language()
    mask = torch.tensor([[True] * 5, [True, True, False, False, False]])
    z = torch.tensor(logits)
    z[~mask] = torch.nan
    z.requires_grad_()
    background.perplexity_torch(z, torch.tensor(targets), mask).backward()
    assert torch.all(z.grad[~mask] == 0) and torch.isfinite(z.grad).all()
