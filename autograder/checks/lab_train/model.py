"""A whole decoder-only model: logits and gradients with given weights, and the weights that it draws itself."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from autograder.checks.draw import normal
from autograder.checks.lab_train.model_judges import (
    INITIAL,
    Sizes,
    alike_or_drawn_alike,
    drawn_with,
    future_hidden,
    names_and_shapes,
    shapes_of,
)
from autograder.judge import gradients, untouched, values
from autograder.question import Aspect, Case, Question


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


_PLAIN = ("small", "batch", "as many heads as examples")

LanguageModel = Question(
    name="LanguageModel",
    title="The model",
    cases=_cases,
    library="torch",
    alike=alike_or_drawn_alike,
    aspects=(
        Aspect("logits", 1.5, values(), _PLAIN),
        Aspect("one token", 0.5, values(), ("one token",)),
        Aspect("the future is hidden", 0.5, future_hidden, ("changed",)),
        Aspect("gradients, through both uses of the tied matrix", 0.75, gradients(), ("gradient",)),
        Aspect("the parameters, each once", 0.5, names_and_shapes, (INITIAL,)),
        Aspect("initial weights", 0.5, drawn_with(residual=False), (INITIAL,)),
        Aspect("initial weights of what is added", 0.5, drawn_with(residual=True), (INITIAL,)),
        Aspect(
            "arguments untouched, in any memory layout",
            0.25,
            untouched(),
            ("batch", "non-contiguous"),
        ),
    ),
)


@LanguageModel.misconception(
    "The last norm is missing: the logits come from the residual stream as it is, whose size grows with "
    "the layers. Normalise once more before the logits."
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
    "You multiply the embeddings by the root of the width, as Vaswani et al. (2017) do. This model does "
    "not: the matrix is shared with the logits and its deviation chosen for that."
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
