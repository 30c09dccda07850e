"""Question 5: the last real state of a gated network."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from autograder.checks.draw import normal, rounded
from autograder.judge import differs, dtype, shape, untouched, values
from autograder.question import Aspect, Case, Fault, Question, Reply
from autograder.rules import Forbidden


def _gru_cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str,
        lengths: tuple[int, ...],
        d_x: int,
        d_h: int,
        kind: str = "float64",
        length: int | None = None,
        **options: Any,
    ) -> Case:
        arguments = {
            "inputs": normal(rng, len(lengths), length or max(lengths), d_x, dtype=kind),
            "lengths": np.array(lengths),
            "W_ih": normal(rng, 3 * d_h, d_x, dtype=kind, width=d_x),
            "W_hh": normal(rng, 3 * d_h, d_h, dtype=kind, width=d_h),
            "b_ih": normal(rng, 3 * d_h, dtype=kind),
            "b_hh": normal(rng, 3 * d_h, dtype=kind),
        }
        return Case(name, arguments, **options)

    sizes = {"inputs": (2, 2, 1), "W_ih": (3, 1), "W_hh": (3, 1), "b_ih": (3,), "b_hh": (3,)}
    small = {name: rounded(rng, *size) for name, size in sizes.items()}
    yield Case(
        "small", {"inputs": small.pop("inputs"), "lengths": rng.permutation([1, 2]), **small}
    )
    yield case("batch", (3, 5, 2), 4, 6)
    yield case("as many texts as steps", (4, 2, 4, 3), 3, 5)
    yield case("as many inputs as features", (2, 6), 5, 5)
    yield case("an empty text", (0, 4, 2), 3, 4)
    unread = case(
        "anything at the padding", (2, 4, 3), 3, 4, length=6
    )  # nor does any text fill its row
    inputs, lengths = unread.arguments["inputs"], unread.arguments["lengths"]
    inputs[np.arange(inputs.shape[1]) >= lengths[:, None]] = np.nan
    inputs[:, -1] = 1e300
    yield unread
    yield case("float32", (3, 5, 2), 4, 6, kind="float32")
    yield case("non-contiguous", (3, 5, 2), 4, 6, strided=("inputs", "W_ih", "W_hh"))


def _full_texts(case: Case, expected: Reply, got: Reply) -> Fault | None:
    """The texts without padding: the step itself, wherever a state is taken."""
    if fault := shape()(case, expected, got):
        return fault
    full = case.arguments["lengths"] == case.arguments["inputs"].shape[1]
    return differs(expected["value"][full], got["value"][full], "What texts without padding end in")


_USUAL = ("small", "batch", "as many texts as steps", "as many inputs as features")

gru_last_states = Question(
    name="gru_last_states",
    title="The last real state of a gated network",
    cases=_gru_cases,
    rules=(
        Forbidden(
            names=(
                "torch.nn.GRU",
                "torch.nn.GRUCell",
                "torch.gru",
                "torch.gru_cell",
                "torch._VF.gru",
                "torch._VF.gru_cell",
                "torch.ops.aten.gru",
                "torch.ops.aten.gru_cell",
            ),
            what="ready-made recurrent layers",
            why="write the step yourself, from its four formulas",
        ),
    ),
    aspects=(
        Aspect("one state for each text", 0.25, shape(), _USUAL),
        Aspect("the step, over texts without padding", 1.25, _full_texts, _USUAL),
        Aspect("the last real state", 1.25, values(), _USUAL),
        Aspect("an empty text", 0.25, values(), ("an empty text",)),
        Aspect("anything at the padding", 0.25, values(), ("anything at the padding",)),
        Aspect("the dtype of the inputs is kept", 0.25, dtype(), ("float32", "batch")),
        Aspect(
            "arguments untouched, in any memory layout",
            0.5,
            untouched(),
            ("non-contiguous", "batch"),
        ),
    ),
)


@gru_last_states.misconception(
    "You return the state after the last column, so a shorter text is followed by its padding, which changes "
    "the state. Take each text's state after its own last token."
)
def state_after_the_padding(inputs, lengths, W_ih, W_hh, b_ih, b_hh):
    h = np.zeros((len(inputs), W_hh.shape[1]), inputs.dtype)
    for t in range(inputs.shape[1]):
        a_r, a_z, a_n = np.split(inputs[:, t] @ W_ih.T + b_ih, 3, axis=-1)
        c_r, c_z, c_n = np.split(h @ W_hh.T + b_hh, 3, axis=-1)
        r, z = 1 / (1 + np.exp(-a_r - c_r)), 1 / (1 + np.exp(-a_z - c_z))
        n = np.tanh(a_n + r * c_n)
        h = (1 - z) * n + z * h
    return h


@gru_last_states.misconception(
    "You set the state to 0 at the padding, so that short texts end with nothing. A text that is over keeps its "
    "state."
)
def state_zeroed_at_the_padding(inputs, lengths, W_ih, W_hh, b_ih, b_hh):
    h = np.zeros((len(inputs), W_hh.shape[1]), inputs.dtype)
    for t in range(inputs.shape[1]):
        a_r, a_z, a_n = np.split(inputs[:, t] @ W_ih.T + b_ih, 3, axis=-1)
        c_r, c_z, c_n = np.split(h @ W_hh.T + b_hh, 3, axis=-1)
        r, z = 1 / (1 + np.exp(-a_r - c_r)), 1 / (1 + np.exp(-a_z - c_z))
        n = np.tanh(a_n + r * c_n)
        h = np.where((t < lengths)[:, None], (1 - z) * n + z * h, 0)
    return h


@gru_last_states.misconception(
    "You stop one token early: the last real state is the one after token number length − 1, counted from 0."
)
def one_token_early(inputs, lengths, W_ih, W_hh, b_ih, b_hh):
    h = np.zeros((len(inputs), W_hh.shape[1]), inputs.dtype)
    for t in range(inputs.shape[1]):
        a_r, a_z, a_n = np.split(inputs[:, t] @ W_ih.T + b_ih, 3, axis=-1)
        c_r, c_z, c_n = np.split(h @ W_hh.T + b_hh, 3, axis=-1)
        r, z = 1 / (1 + np.exp(-a_r - c_r)), 1 / (1 + np.exp(-a_z - c_z))
        n = np.tanh(a_n + r * c_n)
        h = np.where((t < lengths - 1)[:, None], (1 - z) * n + z * h, h)
    return h


@gru_last_states.misconception(
    "You exchanged the gates: the first third of the rows belongs to the reset gate r, the second to the update "
    "gate z."
)
def gates_exchanged(inputs, lengths, W_ih, W_hh, b_ih, b_hh):
    h = np.zeros((len(inputs), W_hh.shape[1]), inputs.dtype)
    for t in range(inputs.shape[1]):
        a_z, a_r, a_n = np.split(inputs[:, t] @ W_ih.T + b_ih, 3, axis=-1)
        c_z, c_r, c_n = np.split(h @ W_hh.T + b_hh, 3, axis=-1)
        r, z = 1 / (1 + np.exp(-a_r - c_r)), 1 / (1 + np.exp(-a_z - c_z))
        n = np.tanh(a_n + r * c_n)
        h = np.where((t < lengths)[:, None], (1 - z) * n + z * h, h)
    return h


@gru_last_states.misconception(
    "Your update gate works the other way round. Here z is the share of the old state, as in PyTorch; some papers "
    "call the share of the new one z (Chung et al., 2014)."
)
def update_inverted(inputs, lengths, W_ih, W_hh, b_ih, b_hh):
    h = np.zeros((len(inputs), W_hh.shape[1]), inputs.dtype)
    for t in range(inputs.shape[1]):
        a_r, a_z, a_n = np.split(inputs[:, t] @ W_ih.T + b_ih, 3, axis=-1)
        c_r, c_z, c_n = np.split(h @ W_hh.T + b_hh, 3, axis=-1)
        r, z = 1 / (1 + np.exp(-a_r - c_r)), 1 / (1 + np.exp(-a_z - c_z))
        n = np.tanh(a_n + r * c_n)
        h = np.where((t < lengths)[:, None], z * n + (1 - z) * h, h)
    return h


@gru_last_states.misconception(
    "You multiply the state by the reset gate before the matrix, as in the original paper. In the formula here, "
    "and in PyTorch, r multiplies the product together with its bias."
)
def reset_before_the_matrix(inputs, lengths, W_ih, W_hh, b_ih, b_hh):
    h = np.zeros((len(inputs), W_hh.shape[1]), inputs.dtype)
    W_r, W_z, W_n = np.split(W_hh, 3)
    b_r, b_z, b_n = np.split(b_hh, 3)
    for t in range(inputs.shape[1]):
        a_r, a_z, a_n = np.split(inputs[:, t] @ W_ih.T + b_ih, 3, axis=-1)
        r = 1 / (1 + np.exp(-a_r - h @ W_r.T - b_r))
        z = 1 / (1 + np.exp(-a_z - h @ W_z.T - b_z))
        n = np.tanh(a_n + (r * h) @ W_n.T + b_n)
        h = np.where((t < lengths)[:, None], (1 - z) * n + z * h, h)
    return h


@gru_last_states.misconception(
    "The second bias of the candidate n stands outside the reset gate. It belongs to the product with the "
    "state, and r multiplies both; this is why a GRU keeps two biases."
)
def bias_outside_the_reset(inputs, lengths, W_ih, W_hh, b_ih, b_hh):
    h = np.zeros((len(inputs), W_hh.shape[1]), inputs.dtype)
    for t in range(inputs.shape[1]):
        a_r, a_z, a_n = np.split(inputs[:, t] @ W_ih.T + b_ih + b_hh, 3, axis=-1)
        c_r, c_z, c_n = np.split(h @ W_hh.T, 3, axis=-1)
        r, z = 1 / (1 + np.exp(-a_r - c_r)), 1 / (1 + np.exp(-a_z - c_z))
        n = np.tanh(a_n + r * c_n)
        h = np.where((t < lengths)[:, None], (1 - z) * n + z * h, h)
    return h
