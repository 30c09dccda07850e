"""Causal attention over documents that share a window."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from autograder.checks.draw import normal
from autograder.judge import gradients, shape, untouched, values
from autograder.question import Aspect, Case, Fault, Judge, Question, Reply

LAYERS = ("query", "key", "value", "output")
LEARNED = ("x", *(f"{layer}.{part}" for layer in LAYERS for part in ("weight", "bias")))


def _state(rng: np.random.Generator, d: int) -> dict[str, np.ndarray]:
    state = {}
    for name in LAYERS:
        state[f"{name}.weight"] = 1.5 * normal(rng, d, d, dtype="float32", width=d)
        state[f"{name}.bias"] = normal(rng, d, dtype="float32", width=4)
    return state


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str,
        lengths: list[tuple[int, ...]] | None,
        n: int,
        sizes: tuple[int, int],
        batch: int = 0,
        **options: Any,
    ) -> Case:
        """`lengths`: those of the documents in each example's window."""
        x = normal(rng, batch or len(lengths or ()), n, sizes[0], dtype="float32")
        documents = None
        if lengths:
            # Numbers that neither rise nor begin at 0: only whether two are equal counts.
            documents = np.stack(
                [np.repeat(rng.permutation(90)[: len(row)], row) for row in lengths]
            )
        arguments = {"x": x, "documents": documents}
        return Case(name, arguments, construct=sizes, state=_state(rng, sizes[0]), **options)

    yield case("small", [(2, 2)], 4, (4, 2))
    yield case("batch", [(3, 3), (1, 5), (4, 2)], 6, (12, 3))
    yield case("as many heads as examples", [(3, 2), (2, 3)], 5, (8, 2))
    yield case("as many positions as features of a head", [(2, 3), (4, 1), (3, 2)], 5, (10, 2))
    yield case("one document", None, 5, (8, 2), batch=2)
    # Longer than the masks that are commonly made once and for all.
    yield case("a long window", None, 1100, (4, 2), batch=1)
    hidden = case("changed", [(3, 3), (3, 3)], 6, (8, 2))
    # Both examples are alike but for positions 1 and 4: what differs before 1, or at 3, leaked.
    hidden.arguments["documents"][1] = hidden.arguments["documents"][0]
    hidden.arguments["x"][1, [0, 2, 3, 5]] = hidden.arguments["x"][0, [0, 2, 3, 5]]
    yield hidden
    yield case("non-contiguous", [(3, 2), (1, 4)], 5, (12, 3), strided=("x", "documents"))
    upstream = normal(rng, 2, 5, 12, dtype="float32")
    yield case("gradient", [(3, 2), (1, 4)], 5, (12, 3), upstream=upstream, gradient_of=LEARNED)


def _same_at(positions: slice, sentence: str) -> Judge:
    """The two examples have the same outputs at these positions; `sentence` says what leaked where not."""

    def judge(case: Case, expected: Reply, got: Reply) -> Fault | None:
        if fault := shape()(case, expected, got):
            return fault
        one, other = np.asarray(got["value"])[:, positions]
        if np.ptp(one) > 0 and np.allclose(one, other, atol=1e-5):
            return None
        return Fault(sentence, f"first feature: {one[:, 0]}", f"{other[:, 0]}")

    return judge


_PLAIN = (
    "small",
    "batch",
    "as many heads as examples",
    "as many positions as features of a head",
)

CausalAttention = Question(
    name="CausalAttention",
    title="Causal attention over packed documents",
    cases=_cases,
    library="torch",
    aspects=(
        Aspect("values", 1, values(), _PLAIN),
        Aspect("one document", 0.5, values(), ("one document", "a long window")),
        Aspect(
            "the future is hidden",
            0.25,
            _same_at(
                slice(0, 1), "A change at positions 1 and 4 reaches the output of position 0."
            ),
            ("changed",),
        ),
        Aspect(
            "other documents are hidden",
            0.25,
            _same_at(
                slice(3, 4),
                "A change in the first document reaches the first output of the second.",
            ),
            ("changed",),
        ),
        Aspect("gradients", 0.5, gradients(), ("gradient",)),
        Aspect(
            "arguments untouched, in any memory layout",
            0.5,
            untouched(),
            ("batch", "non-contiguous"),
        ),
    ),
)


@CausalAttention.misconception(
    "Your positions see the later ones of their document. A language model that is trained on all "
    "positions at once must hide the future from each: j ≤ i."
)
class FutureSeen(torch.nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        for name in ("query", "key", "value", "output"):
            setattr(self, name, torch.nn.Linear(width, width))

    def forward(self, x, documents=None):
        documents = x.new_zeros(x.shape[:2]) if documents is None else documents
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        seen = documents[:, None, :, None] == documents[:, None, None, :]
        scores = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~seen, -torch.inf)
        context = scores.softmax(-1) @ v
        return self.output(context.transpose(1, 2).flatten(2))


@CausalAttention.misconception(
    "Your positions see the documents that lie before theirs in the window. A key may be seen only "
    "where its document is the query's, and it does not lie later."
)
class DocumentsIgnored(torch.nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        for name in ("query", "key", "value", "output"):
            setattr(self, name, torch.nn.Linear(width, width))

    def forward(self, x, documents=None):
        documents = x.new_zeros(x.shape[:2]) if documents is None else documents
        n = x.shape[1]
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        seen = torch.ones(n, n).tril().bool()
        scores = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~seen, -torch.inf)
        context = scores.softmax(-1) @ v
        return self.output(context.transpose(1, 2).flatten(2))


@CausalAttention.misconception(
    "Your positions do not see themselves, and the first one of a document sees nothing at all. The "
    "causal mask includes the diagonal: j ≤ i."
)
class ItselfHidden(torch.nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        for name in ("query", "key", "value", "output"):
            setattr(self, name, torch.nn.Linear(width, width))

    def forward(self, x, documents=None):
        documents = x.new_zeros(x.shape[:2]) if documents is None else documents
        n = x.shape[1]
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        same = documents[:, None, :, None] == documents[:, None, None, :]
        seen = same & torch.ones(n, n).tril(-1).bool()
        scores = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~seen, -1e30)
        context = scores.softmax(-1) @ v
        return self.output(context.transpose(1, 2).flatten(2))


@CausalAttention.misconception(
    "Your causal mask is transposed: each position sees itself and the future. Row i of the mask is the "
    "query's, and it is True for the columns up to i."
)
class MaskTransposed(torch.nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        for name in ("query", "key", "value", "output"):
            setattr(self, name, torch.nn.Linear(width, width))

    def forward(self, x, documents=None):
        documents = x.new_zeros(x.shape[:2]) if documents is None else documents
        n = x.shape[1]
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        same = documents[:, None, :, None] == documents[:, None, None, :]
        seen = same & torch.ones(n, n).triu().bool()
        scores = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~seen, -torch.inf)
        context = scores.softmax(-1) @ v
        return self.output(context.transpose(1, 2).flatten(2))


@CausalAttention.misconception(
    "You hide after the softmax: what is hidden has taken its share by then, and the weights no longer "
    "sum to 1. Hide the scores, with minus infinity."
)
class HiddenAfterTheSoftmax(torch.nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        for name in ("query", "key", "value", "output"):
            setattr(self, name, torch.nn.Linear(width, width))

    def forward(self, x, documents=None):
        documents = x.new_zeros(x.shape[:2]) if documents is None else documents
        n = x.shape[1]
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        same = documents[:, None, :, None] == documents[:, None, None, :]
        seen = same & torch.ones(n, n).tril().bool()
        scores = q @ k.mT / q.shape[-1] ** 0.5
        context = (scores.softmax(-1) * seen) @ v
        return self.output(context.transpose(1, 2).flatten(2))


@CausalAttention.misconception(
    "You divide the scores by the root of the model's width. Each head has its own, smaller width: d_k "
    "= width / heads."
)
class ScaledByTheWidth(torch.nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        for name in ("query", "key", "value", "output"):
            setattr(self, name, torch.nn.Linear(width, width))

    def forward(self, x, documents=None):
        documents = x.new_zeros(x.shape[:2]) if documents is None else documents
        n = x.shape[1]
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        same = documents[:, None, :, None] == documents[:, None, None, :]
        seen = same & torch.ones(n, n).tril().bool()
        scores = (q @ k.mT / x.shape[-1] ** 0.5).masked_fill(~seen, -torch.inf)
        context = scores.softmax(-1) @ v
        return self.output(context.transpose(1, 2).flatten(2))


@CausalAttention.misconception(
    "You merge the heads by a reshape alone, which mixes the positions. Exchange the axes of heads and "
    "positions first, then flatten the last two."
)
class HeadsNotMovedBack(torch.nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        for name in ("query", "key", "value", "output"):
            setattr(self, name, torch.nn.Linear(width, width))

    def forward(self, x, documents=None):
        documents = x.new_zeros(x.shape[:2]) if documents is None else documents
        n = x.shape[1]
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        same = documents[:, None, :, None] == documents[:, None, None, :]
        seen = same & torch.ones(n, n).tril().bool()
        scores = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~seen, -torch.inf)
        context = scores.softmax(-1) @ v
        return self.output(context.reshape(x.shape))
