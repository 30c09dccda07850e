"""The library against loops, against finite differences, and against its own pages."""

import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from attend import scores

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "book"

# All different, so that a wrong axis cannot pass.
N, M, D_K, D_Q, D_H, R, D_F = 3, 5, 4, 6, 8, 7, 9
WIDTHS = {
    "dot": [(N, D_K), (M, D_K)],
    "scaled_dot": [(N, D_K), (M, D_K)],
    "bilinear": [(N, D_Q), (M, D_K)],
    "additive": [(N, D_Q), (M, D_K)],
    "location": [(N, D_Q)],
    "location_aware": [(N, D_Q), (M, D_K), (N, M)],
}
PARAMETERS = {
    "dot": [],
    "scaled_dot": [],
    "bilinear": [(D_Q, D_K)],
    "additive": [(D_Q, D_H), (D_K, D_H), (D_H,)],
    "location": [(D_Q, M)],
    "location_aware": [(D_Q, D_H), (D_K, D_H), (R, D_F), (D_F, D_H), (D_H,)],
}
NAMES = list(WIDTHS)


def arguments(name: str, leading: tuple[int, ...] = (2,), seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=leading + shape) for shape in WIDTHS[name]]
    return arrays + [rng.normal(size=shape) for shape in PARAMETERS[name]]


def run(name: str, arrays: list[np.ndarray], kind: str) -> np.ndarray:
    if kind == "numpy":
        return getattr(scores, name)(*arrays)
    return getattr(scores, f"{name}_torch")(*map(torch.tensor, arrays)).numpy()


def one_score(name: str, i: int, j: int, arrays: list[np.ndarray]) -> float:
    """A score of one example as its formula says, number by number."""
    q = arrays[0][i]
    if name == "location":
        return sum(q[a] * arrays[1][a, j] for a in range(D_Q))
    k = arrays[1][j]
    if name in ("dot", "scaled_dot"):
        total = sum(q[t] * k[t] for t in range(D_K))
        return total / math.sqrt(D_K) if name == "scaled_dot" else total
    if name == "bilinear":
        return sum(q[a] * arrays[2][a, b] * k[b] for a in range(D_Q) for b in range(D_K))
    located = name == "location_aware"
    W_q, W_k, *middle, w = arrays[3 if located else 2 :]
    features = []
    if located:
        filters, W_f = middle
        past = arrays[2][i]
        places = [(t, j + t - (R - 1) // 2) for t in range(R)]
        features = [
            sum(filters[t, c] * past[at] for t, at in places if 0 <= at < M) for c in range(D_F)
        ]
    total = 0.0
    for h in range(D_H):
        inside = sum(q[a] * W_q[a, h] for a in range(D_Q))
        inside += sum(k[b] * W_k[b, h] for b in range(D_K))
        inside += sum(f * W_f[c, h] for c, f in enumerate(features))
        total += w[h] * math.tanh(inside)
    return total


@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize("name", NAMES)
class TestValues:
    def test_equals_the_formula(self, name, kind):
        arrays = arguments(name, leading=())
        expected = [[one_score(name, i, j, arrays) for j in range(M)] for i in range(N)]
        np.testing.assert_allclose(run(name, arrays, kind), expected, rtol=1e-12, atol=1e-12)

    def test_works_alike_over_any_leading_axes(self, name, kind):
        arrays = arguments(name, leading=(2, 10))
        batched = run(name, arrays, kind)
        assert batched.shape == (2, 10, N, M)
        inputs = len(WIDTHS[name])
        for index in np.ndindex(2, 10):
            single = [array[index] for array in arrays[:inputs]] + arrays[inputs:]
            np.testing.assert_allclose(batched[index], run(name, single, kind), atol=1e-12)

    def test_keys_may_be_shared_by_a_batch_of_queries(self, name, kind):
        if name == "location":
            pytest.skip("reads no key")
        arrays = arguments(name)
        shared = [*arrays]
        shared[1] = arrays[1][0]
        repeated = [*arrays]
        repeated[1] = np.stack([arrays[1][0]] * 2)
        np.testing.assert_allclose(run(name, shared, kind), run(name, repeated, kind), atol=1e-12)

    def test_keeps_float32_and_its_arguments(self, name, kind):
        arrays = [array.astype(np.float32) for array in arguments(name)]
        before = [array.copy() for array in arrays]
        assert run(name, arrays, kind).dtype == np.float32
        for array, copy in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_equal_finite_differences(name):
    tensors = [torch.tensor(array, requires_grad=True) for array in arguments(name)]
    assert torch.autograd.gradcheck(getattr(scores, f"{name}_torch"), tensors)


def test_scaling_is_by_the_root_of_the_width():
    """The variance is 1 at every width: neither unscaled scores nor scores over d_k pass."""
    rng = np.random.default_rng(0)
    for width in (4, 64, 1024):
        q, k = rng.normal(size=(4000, 1, width)), rng.normal(size=(4000, 1, width))
        assert 0.9 < scores.scaled_dot(q, k).var() < 1.1


@pytest.mark.parametrize("kind", ["numpy", "torch"])
class TestErrors:
    def refuse(self, name, arrays, kind, sentence):
        with pytest.raises(ValueError, match=sentence):
            run(name, arrays, kind)

    @pytest.mark.parametrize("name", ["dot", "scaled_dot"])
    def test_unequal_widths(self, name, kind):
        queries, keys = np.ones((N, D_Q)), np.ones((M, D_K))
        self.refuse(name, [queries, keys], kind, "queries have width 6 and keys width 4")

    @pytest.mark.parametrize(
        ("name", "place", "sentence"),
        [
            ("bilinear", 2, r"W has shape \(4, 6\), not \(6, 4\)"),
            ("additive", 2, r"W_q has shape \(8, 6\), not \(6, 8\)"),
            ("additive", 3, r"W_k has shape \(8, 4\), not \(4, 8\)"),
            ("location", 1, r"W has shape \(5, 6\), not \(6, 6\)"),
            ("location_aware", 3, r"W_q has shape \(8, 6\)"),
            ("location_aware", 4, r"W_k has shape \(8, 4\)"),
            ("location_aware", 6, r"W_f has shape \(8, 9\)"),
        ],
    )
    def test_a_transposed_parameter(self, name, place, sentence, kind):
        arrays = arguments(name)
        arrays[place] = arrays[place].T
        self.refuse(name, arrays, kind, sentence)

    def test_filters_without_a_middle(self, kind):
        arrays = arguments("location_aware")
        arrays[5] = arrays[5][:-1]
        self.refuse("location_aware", arrays, kind, "filters have length 6: only an odd length")


def extract(*options: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "book.extract_library", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_committed_modules_are_what_the_pages_say():
    result = extract("--check")
    assert result.returncode == 0, result.stderr


def test_an_edited_module_is_named_with_its_page(tmp_path):
    copy = tmp_path / "book"
    shutil.copytree(BOOK, copy, ignore=shutil.ignore_patterns("__pycache__"))
    module = copy / "attend" / "scores.py"
    module.write_text(module.read_text().replace("np.tanh", "np.sin"))

    result = extract("--check", "--book", str(copy))
    assert result.returncode == 1
    assert "attend/scores.py differs from book/02-scores.md" in result.stderr

    assert extract("--book", str(copy)).returncode == 0
    assert module.read_text() == (BOOK / "attend" / "scores.py").read_text()


def test_attend_imports_nothing_else_of_this_repository():
    allowed = {"numpy", "torch", "matplotlib", "attend"}
    code = (
        "import sys; before = set(sys.modules); import importlib, pkgutil, attend;"
        "[importlib.import_module(f'attend.{m.name}') for m in pkgutil.iter_modules(attend.__path__)];"
        "print(*{name.split('.')[0] for name in set(sys.modules) - before})"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    loaded = set(process.stdout.split())
    assert allowed <= loaded
    assert not loaded & {"autograder", "nbgrader", "book", "jupytext", "typer"}
