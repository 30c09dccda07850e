"""A whole decoder-only model: its logits and gradients with given weights, and the weights that it draws itself.

The case "initial weights" loads nothing and makes no call: the reply is what the constructor drew. It is judged by
its root mean squares. A matrix of N normal numbers has one outside of the tolerance with a probability of at most
2 exp(-N / 32) (Laurent and Massart 2000, lemma 1, with 0.8² and 1.25²): for the 1000 numbers and more of the
matrices here below 1e-13.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from autograder.checks.draw import normal
from autograder.checks.lab_train.chance import close_in_size
from autograder.judge import alike, gradients, shape, untouched, values
from autograder.question import Aspect, Case, Fault, Judge, Question, Reply

INITIAL = "initial weights"
Sizes = tuple[int, int, int, int, int]


def shapes_of(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all parameters, as the statement lists them."""
    vocabulary, layers, _, d, context = sizes
    found: dict[str, tuple[int, ...]] = {
        "embedding.weight": (vocabulary, d),
        "positions.weight": (context, d),
    }
    for number in range(layers):
        place = f"blocks.{number}"
        for name in ("attention_norm", "feed_forward_norm"):
            found |= {f"{place}.{name}.{part}": (d,) for part in ("weight", "bias")}
        linear = {f"attention.{name}": (d, d) for name in ("query", "key", "value", "output")}
        linear |= {"expand": (4 * d, d), "contract": (d, 4 * d)}
        for name, size in linear.items():
            found |= {f"{place}.{name}.weight": size, f"{place}.{name}.bias": size[:1]}
    return found | {"norm.weight": (d,), "norm.bias": (d,)}


def _state(rng: np.random.Generator, sizes: Sizes) -> dict[str, np.ndarray]:
    state = {}
    for name, size in shapes_of(sizes).items():
        if "norm" in name and name.endswith("weight"):
            state[name] = rng.uniform(0.5, 1.5, size=size).astype("float32")
        else:
            width = size[-1] if len(size) == 2 and "blocks" in name else 4
            state[name] = normal(rng, *size, dtype="float32", width=width)
    return state


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(name: str, sizes: Sizes, batch: int, n: int, **options: Any) -> Case:
        tokens = rng.integers(0, sizes[0], size=(batch, n))
        return Case(name, {"tokens": tokens}, construct=sizes, state=_state(rng, sizes), **options)

    # vocabulary, layers, heads, width, context
    yield case("small", (5, 1, 2, 4, 3), 1, 3)
    yield case("batch", (11, 2, 3, 6, 9), 3, 7)
    yield case("as many heads as examples", (7, 1, 2, 8, 6), 2, 5)
    yield case("one token", (7, 2, 2, 4, 5), 3, 1)
    changed = case("changed", (7, 2, 2, 4, 6), 2, 6)
    # Both examples are alike but for token 3, which differs: outputs before it must not.
    tokens = changed.arguments["tokens"]
    tokens[1] = tokens[0]
    tokens[1, 3] = (tokens[0, 3] + 1) % 7
    yield changed
    yield case("non-contiguous", (11, 2, 3, 6, 9), 3, 7, strided=("tokens",))
    sizes = (7, 2, 2, 4, 6)
    yield case(
        "gradient",
        sizes,
        2,
        5,
        upstream=normal(rng, 2, 5, 7, dtype="float32"),
        gradient_of=tuple(shapes_of(sizes)),
    )
    # Wide enough for the statistics; each student's in another vocabulary, so that seeds draw other numbers.
    yield Case(INITIAL, {}, construct=(int(rng.integers(60, 99)), 3, 2, 32, 40))


def _future_hidden(case: Case, expected: Reply, got: Reply) -> Fault | None:
    """The outputs before the token that changed are the same."""
    if fault := shape()(case, expected, got):
        return fault
    one, other = np.asarray(got["value"])[:, :3]
    if np.ptp(one) > 0 and np.allclose(one, other, atol=1e-5):
        return None
    return Fault("A change of token 3 changes the logits at positions 0 to 2: the future is seen.")


def _names_and_shapes(case: Case, _: Reply, got: Reply) -> Fault | None:
    """The model has the statement's parameters, each once, and no others."""
    assert case.construct
    want, have = shapes_of(case.construct), got["value"]
    if not isinstance(have, dict):
        return Fault("The model has no parameters.")
    if odd := sorted(want.keys() ^ have.keys()):
        return Fault(
            f"Parameters or buffers that are missing or new: {', '.join(odd[:4])}.",
            f"{len(want)} of them",
            f"{len(have)}",
        )
    for name, size in want.items():
        if np.shape(have[name]) != size:
            return Fault(f"{name} has another shape.", str(size), str(np.shape(have[name])))
    return None


def _drawn_with(residual: bool) -> Judge:
    """Matrices (those whose output is added to the residual stream, or all others) have the right deviation."""

    def judge(case: Case, expected: Reply, got: Reply) -> Fault | None:
        if fault := _names_and_shapes(case, expected, got):
            return fault
        assert case.construct
        for name, size in shapes_of(case.construct).items():
            added = name.endswith(("attention.output.weight", "contract.weight"))
            if (added != residual and len(size) == 2) or (residual and len(size) == 1):
                continue
            want = np.ones(size) if "norm.weight" in name else np.zeros(size)
            if len(size) == 2:
                deviation = 0.02 / np.sqrt(2 * case.construct[1]) if added else 0.02
                size_of = float(np.sqrt(np.mean(np.square(got["value"][name], dtype=float))))
                if not 0.8 < size_of / deviation < 1.25:
                    return Fault(
                        f"{name} is drawn with another deviation.",
                        f"{deviation:.4f}",
                        f"{size_of:.4f}",
                    )
            elif not np.array_equal(got["value"][name], want):
                return Fault(f"{name} should begin with {want[0]:.0f} everywhere.")
        return None

    return judge


def _alike(one: Any, other: Any) -> bool:
    """Weights that were drawn agree in size, everything else in its values."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(close_in_size(one[k], other[k]) for k in one)
    return alike(one, other)


_PLAIN = ("small", "batch", "as many heads as examples")

LanguageModel = Question(
    name="LanguageModel",
    title="The model",
    cases=_cases,
    library="torch",
    alike=_alike,
    aspects=(
        Aspect("logits", 1.5, values(), _PLAIN),
        Aspect("one token", 0.5, values(), ("one token",)),
        Aspect("the future is hidden", 0.5, _future_hidden, ("changed",)),
        Aspect("gradients, through both uses of the tied matrix", 0.75, gradients(), ("gradient",)),
        Aspect("the parameters, each once", 0.5, _names_and_shapes, (INITIAL,)),
        Aspect("initial weights", 0.5, _drawn_with(residual=False), (INITIAL,)),
        Aspect("initial weights of what is added", 0.5, _drawn_with(residual=True), (INITIAL,)),
        Aspect("arguments untouched, in any memory layout", 0.25, untouched(), ("non-contiguous",)),
    ),
)


@LanguageModel.misconception(
    "The last norm is missing: the logits come from the residual stream as it is, whose size grows with"
    " the layers. Normalise once more before the logits."
)
class LastNormForgotten(torch.nn.Module):
    def __init__(self, vocabulary, layers, heads, width, context):
        super().__init__()
        nn = torch.nn
        self.heads, self.context = heads, context
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = nn.ModuleList()
        for _ in range(layers):
            four = {n: nn.Linear(width, width) for n in ("query", "key", "value", "output")}
            block = {"attention_norm": nn.LayerNorm(width), "attention": nn.ModuleDict(four)}
            block |= {"feed_forward_norm": nn.LayerNorm(width)}
            block |= {
                "expand": nn.Linear(width, 4 * width),
                "contract": nn.Linear(4 * width, width),
            }
            self.blocks.append(nn.ModuleDict(block))
        self.norm = nn.LayerNorm(width)
        for name, p in self.named_parameters():
            if p.ndim == 2:
                added = name.endswith(("output.weight", "contract.weight"))
                nn.init.normal_(p, std=0.02 / (2 * layers) ** 0.5 if added else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def attend(self, a, x):
        q, k, v = (
            a[n](x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for n in ("query", "key", "value")
        )
        return a["output"](
            torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            .transpose(1, 2)
            .flatten(2)
        )

    def forward(self, tokens):
        x = self.embedding(tokens) + self.positions.weight[: tokens.shape[1]]
        for b in self.blocks:
            x = x + self.attend(b["attention"], b["attention_norm"](x))
            x = x + b["contract"](torch.nn.functional.gelu(b["expand"](b["feed_forward_norm"](x))))
        return x @ self.embedding.weight.T


@LanguageModel.misconception(
    "You normalise after adding, as the first Transformer did (post-norm). Here the norm stands before "
    "each sublayer, and the residual stream itself is never normalised: x + f(norm(x))."
)
class PostNorm(torch.nn.Module):
    def __init__(self, vocabulary, layers, heads, width, context):
        super().__init__()
        nn = torch.nn
        self.heads, self.context = heads, context
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = nn.ModuleList()
        for _ in range(layers):
            four = {n: nn.Linear(width, width) for n in ("query", "key", "value", "output")}
            block = {"attention_norm": nn.LayerNorm(width), "attention": nn.ModuleDict(four)}
            block |= {"feed_forward_norm": nn.LayerNorm(width)}
            block |= {
                "expand": nn.Linear(width, 4 * width),
                "contract": nn.Linear(4 * width, width),
            }
            self.blocks.append(nn.ModuleDict(block))
        self.norm = nn.LayerNorm(width)
        for name, p in self.named_parameters():
            if p.ndim == 2:
                added = name.endswith(("output.weight", "contract.weight"))
                nn.init.normal_(p, std=0.02 / (2 * layers) ** 0.5 if added else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def attend(self, a, x):
        q, k, v = (
            a[n](x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for n in ("query", "key", "value")
        )
        return a["output"](
            torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            .transpose(1, 2)
            .flatten(2)
        )

    def forward(self, tokens):
        x = self.embedding(tokens) + self.positions.weight[: tokens.shape[1]]
        for b in self.blocks:
            x = b["attention_norm"](x + self.attend(b["attention"], x))
            x = b["feed_forward_norm"](x + b["contract"](torch.nn.functional.gelu(b["expand"](x))))
        return self.norm(x) @ self.embedding.weight.T


@LanguageModel.misconception(
    "You multiply the embeddings by the root of the width, as Vaswani et al. (2017) do. This model does"
    " not: the matrix is shared with the logits and its deviation chosen for that."
)
class EmbeddingScaled(torch.nn.Module):
    def __init__(self, vocabulary, layers, heads, width, context):
        super().__init__()
        nn = torch.nn
        self.heads, self.context = heads, context
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = nn.ModuleList()
        for _ in range(layers):
            four = {n: nn.Linear(width, width) for n in ("query", "key", "value", "output")}
            block = {"attention_norm": nn.LayerNorm(width), "attention": nn.ModuleDict(four)}
            block |= {"feed_forward_norm": nn.LayerNorm(width)}
            block |= {
                "expand": nn.Linear(width, 4 * width),
                "contract": nn.Linear(4 * width, width),
            }
            self.blocks.append(nn.ModuleDict(block))
        self.norm = nn.LayerNorm(width)
        for name, p in self.named_parameters():
            if p.ndim == 2:
                added = name.endswith(("output.weight", "contract.weight"))
                nn.init.normal_(p, std=0.02 / (2 * layers) ** 0.5 if added else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def attend(self, a, x):
        q, k, v = (
            a[n](x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for n in ("query", "key", "value")
        )
        return a["output"](
            torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            .transpose(1, 2)
            .flatten(2)
        )

    def forward(self, tokens):
        x = (
            self.embedding(tokens) * self.embedding.embedding_dim**0.5
            + self.positions.weight[: tokens.shape[1]]
        )
        for b in self.blocks:
            x = x + self.attend(b["attention"], b["attention_norm"](x))
            x = x + b["contract"](torch.nn.functional.gelu(b["expand"](b["feed_forward_norm"](x))))
        return self.norm(x) @ self.embedding.weight.T


@LanguageModel.misconception(
    "Positions play no part: without them attention sees the tokens before as a bag in any order. Add "
    "row i of the table to position i."
)
class PositionsForgotten(torch.nn.Module):
    def __init__(self, vocabulary, layers, heads, width, context):
        super().__init__()
        nn = torch.nn
        self.heads, self.context = heads, context
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = nn.ModuleList()
        for _ in range(layers):
            four = {n: nn.Linear(width, width) for n in ("query", "key", "value", "output")}
            block = {"attention_norm": nn.LayerNorm(width), "attention": nn.ModuleDict(four)}
            block |= {"feed_forward_norm": nn.LayerNorm(width)}
            block |= {
                "expand": nn.Linear(width, 4 * width),
                "contract": nn.Linear(4 * width, width),
            }
            self.blocks.append(nn.ModuleDict(block))
        self.norm = nn.LayerNorm(width)
        for name, p in self.named_parameters():
            if p.ndim == 2:
                added = name.endswith(("output.weight", "contract.weight"))
                nn.init.normal_(p, std=0.02 / (2 * layers) ** 0.5 if added else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def attend(self, a, x):
        q, k, v = (
            a[n](x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for n in ("query", "key", "value")
        )
        return a["output"](
            torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            .transpose(1, 2)
            .flatten(2)
        )

    def forward(self, tokens):
        x = self.embedding(tokens)
        for b in self.blocks:
            x = x + self.attend(b["attention"], b["attention_norm"](x))
            x = x + b["contract"](torch.nn.functional.gelu(b["expand"](b["feed_forward_norm"](x))))
        return self.norm(x) @ self.embedding.weight.T


@LanguageModel.misconception(
    "All matrices begin with deviation 0.02, also those whose output is added to the residual stream. "
    "There are 2 · layers of them, and their sum grows: draw these with 0.02 / √(2 · layers)."
)
class ResidualsNotScaled(torch.nn.Module):
    def __init__(self, vocabulary, layers, heads, width, context):
        super().__init__()
        nn = torch.nn
        self.heads, self.context = heads, context
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = nn.ModuleList()
        for _ in range(layers):
            four = {n: nn.Linear(width, width) for n in ("query", "key", "value", "output")}
            block = {"attention_norm": nn.LayerNorm(width), "attention": nn.ModuleDict(four)}
            block |= {"feed_forward_norm": nn.LayerNorm(width)}
            block |= {
                "expand": nn.Linear(width, 4 * width),
                "contract": nn.Linear(4 * width, width),
            }
            self.blocks.append(nn.ModuleDict(block))
        self.norm = nn.LayerNorm(width)
        for name, p in self.named_parameters():
            if p.ndim == 2:
                nn.init.normal_(p, std=0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def attend(self, a, x):
        q, k, v = (
            a[n](x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for n in ("query", "key", "value")
        )
        return a["output"](
            torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            .transpose(1, 2)
            .flatten(2)
        )

    def forward(self, tokens):
        x = self.embedding(tokens) + self.positions.weight[: tokens.shape[1]]
        for b in self.blocks:
            x = x + self.attend(b["attention"], b["attention_norm"](x))
            x = x + b["contract"](torch.nn.functional.gelu(b["expand"](b["feed_forward_norm"](x))))
        return self.norm(x) @ self.embedding.weight.T


@LanguageModel.misconception(
    "You leave PyTorch's own initial weights. Its embeddings have deviation 1, so that the tied logits "
    "are huge and the first loss is far above ln V: draw them with 0.02."
)
class PytorchsOwnWeights(torch.nn.Module):
    def __init__(self, vocabulary, layers, heads, width, context):
        super().__init__()
        nn = torch.nn
        self.heads, self.context = heads, context
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = nn.ModuleList()
        for _ in range(layers):
            four = {n: nn.Linear(width, width) for n in ("query", "key", "value", "output")}
            block = {"attention_norm": nn.LayerNorm(width), "attention": nn.ModuleDict(four)}
            block |= {"feed_forward_norm": nn.LayerNorm(width)}
            block |= {
                "expand": nn.Linear(width, 4 * width),
                "contract": nn.Linear(4 * width, width),
            }
            self.blocks.append(nn.ModuleDict(block))
        self.norm = nn.LayerNorm(width)

    def attend(self, a, x):
        q, k, v = (
            a[n](x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for n in ("query", "key", "value")
        )
        return a["output"](
            torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            .transpose(1, 2)
            .flatten(2)
        )

    def forward(self, tokens):
        x = self.embedding(tokens) + self.positions.weight[: tokens.shape[1]]
        for b in self.blocks:
            x = x + self.attend(b["attention"], b["attention_norm"](x))
            x = x + b["contract"](torch.nn.functional.gelu(b["expand"](b["feed_forward_norm"](x))))
        return self.norm(x) @ self.embedding.weight.T


@LanguageModel.misconception(
    "The logits have a matrix of their own, beside the embedding. Weight tying is one matrix for both: "
    "multiply by the embedding's, transposed, and have no other."
)
class NotTied(torch.nn.Module):
    def __init__(self, vocabulary, layers, heads, width, context):
        super().__init__()
        nn = torch.nn
        self.heads, self.context = heads, context
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = nn.ModuleList()
        for _ in range(layers):
            four = {n: nn.Linear(width, width) for n in ("query", "key", "value", "output")}
            block = {"attention_norm": nn.LayerNorm(width), "attention": nn.ModuleDict(four)}
            block |= {"feed_forward_norm": nn.LayerNorm(width)}
            block |= {
                "expand": nn.Linear(width, 4 * width),
                "contract": nn.Linear(4 * width, width),
            }
            self.blocks.append(nn.ModuleDict(block))
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, vocabulary, bias=False)
        for name, p in self.named_parameters():
            if p.ndim == 2:
                added = name.endswith(("output.weight", "contract.weight"))
                nn.init.normal_(p, std=0.02 / (2 * layers) ** 0.5 if added else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def forward(self, tokens):
        return self.output(self.norm(self.embedding(tokens)))
