"""Question 6: two ways back, past the states and through them."""

from collections.abc import Iterator

import numpy as np

from autograder.checks.draw import normal, rounded
from autograder.checks.forbid import DIFFERENTIATION
from autograder.judge import dtype, item, shape, untouched
from autograder.question import Aspect, Case, Question
from autograder.rules import Forbidden


def _path_cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str,
        batch: int,
        steps: int,
        d_h: int,
        kind: str = "float64",
        strided: tuple[str, ...] = (),
    ) -> Case:
        shares = rng.uniform(0.5, 1.5, size=(batch, steps))
        arguments = {
            "states": np.tanh(normal(rng, batch, steps, d_h)).astype(kind),
            "W_h": normal(rng, d_h, d_h, dtype=kind, width=d_h),
            "weights": (shares / shares.sum(axis=1, keepdims=True)).astype(kind),
            "upstream": 4 * normal(rng, batch, d_h, dtype=kind),
        }
        return Case(name, arguments, strided=strided)

    yield Case(
        "small",
        {
            "states": rng.choice([-1, 1], size=(1, 3, 2)) * rng.integers(1, 8, size=(1, 3, 2)) / 10,
            # Four different numbers: the matrix is not its own transpose.
            "W_h": rng.choice([-1, 1], 4).reshape(2, 2) * rng.permutation(4).reshape(2, 2) / 5
            + 0.1,
            "weights": np.array([[0.2, 0.3, 0.5]]),
            "upstream": rounded(rng, 1, 2),
        },
    )
    yield case("batch", 2, 5, 4)
    yield case("as many texts as steps", 4, 4, 3)
    yield case("as many steps as features", 2, 6, 6)
    padded = case("weights of 0", 2, 6, 3)
    padded.arguments["weights"][0, 4:] = padded.arguments["weights"][1, 5:] = 0
    padded.arguments["weights"][:, 2] = 0  # not used directly, and passed through all the same
    yield padded
    long = case("sixty steps", 2, 60, 5)
    # Small states and a matrix that keeps every length: what comes from far away still counts.
    long.arguments["states"] *= 0.3
    long.arguments["W_h"] = np.linalg.qr(long.arguments["W_h"])[0]
    yield long
    yield case("float32", 2, 5, 4, kind="float32")
    yield case("non-contiguous", 2, 5, 4, strided=("states", "W_h", "weights", "upstream"))


_USUAL = ("small", "batch", "as many texts as steps", "as many steps as features")
_DIRECT, _TOTAL = "The direct gradient", "The whole gradient"

gradients_by_path = Question(
    name="gradients_by_path",
    title="Two ways back",
    cases=_path_cases,
    rules=(
        Forbidden(
            names=DIFFERENTIATION,
            what="automatic differentiation",
            why="write the way back as matrix products",
        ),
    ),
    aspects=(
        Aspect("shapes", 0.5, shape(), _USUAL),
        Aspect("the direct gradient", 0.75, item(0, _DIRECT), _USUAL),
        Aspect("the whole gradient", 1.25, item(1, _TOTAL), _USUAL),
        Aspect(
            "weights of 0",
            0.25,
            item(1, _TOTAL),
            ("weights of 0",),
        ),
        Aspect("sixty steps", 0.5, item(1, _TOTAL), ("sixty steps",)),
        Aspect("the dtype of the arguments is kept", 0.25, dtype(), ("float32", "batch")),
        Aspect(
            "arguments untouched, in any memory layout",
            0.5,
            untouched(),
            ("non-contiguous", "batch"),
        ),
    ),
)


@gradients_by_path.misconception(
    "The derivative of tanh is missing: on its way from one state to the one before, a gradient is multiplied "
    "by 1 − h² of the later state, then by the matrix."
)
def derivative_forgotten(states, W_h, weights, upstream):
    direct = weights[:, :, None] * upstream[:, None]
    total = direct.copy()
    for t in range(states.shape[1] - 2, -1, -1):
        total[:, t] += total[:, t + 1] @ W_h.T
    return direct, total


@gradients_by_path.misconception(
    "You take the derivative of tanh at the earlier state. The step from t to t + 1 ends in the tanh that "
    "made the later one: 1 − h² is taken there."
)
def derivative_of_the_earlier_state(states, W_h, weights, upstream):
    direct = weights[:, :, None] * upstream[:, None]
    total = direct.copy()
    for t in range(states.shape[1] - 2, -1, -1):
        total[:, t] += total[:, t + 1] * (1 - states[:, t] ** 2) @ W_h.T
    return direct, total


@gradients_by_path.misconception(
    "Your matrix is not transposed. Forwards a row h is multiplied as h @ W_h; the way back uses its transpose. "
    "It runs because W_h is square."
)
def not_transposed(states, W_h, weights, upstream):
    direct = weights[:, :, None] * upstream[:, None]
    total = direct.copy()
    for t in range(states.shape[1] - 2, -1, -1):
        total[:, t] += total[:, t + 1] * (1 - states[:, t + 1] ** 2) @ W_h
    return direct, total


@gradients_by_path.misconception(
    "Your whole gradient is the direct one. A state also changes all later states, and through them the context: "
    "add what comes back through the recurrence."
)
def direct_only(states, W_h, weights, upstream):
    direct = weights[:, :, None] * upstream[:, None]
    return direct, direct.copy()


@gradients_by_path.misconception(
    "Both gradients are one array: `total = direct` makes no copy, so what you add to the one is added to the "
    "other. Your whole gradient is right; begin it with a copy, and the direct one stays what it was."
)
def one_array_for_both(states, W_h, weights, upstream):
    direct = weights[:, :, None] * upstream[:, None]
    total = direct
    for t in range(states.shape[1] - 2, -1, -1):
        total[:, t] += total[:, t + 1] * (1 - states[:, t + 1] ** 2) @ W_h.T
    return direct, total


@gradients_by_path.misconception(
    "You carry back only what the last state received. Every state is used directly, so at every step its own "
    "direct gradient is added to what goes on backwards."
)
def from_the_last_state_only(states, W_h, weights, upstream):
    direct = weights[:, :, None] * upstream[:, None]
    total = 0 * direct
    total[:, -1] = direct[:, -1]
    for t in range(states.shape[1] - 2, -1, -1):
        total[:, t] = total[:, t + 1] * (1 - states[:, t + 1] ** 2) @ W_h.T
    return direct, total


@gradients_by_path.misconception(
    "The attention weights are missing in your direct gradient: the context holds a_t times h_t, so what "
    "reaches h_t directly is a_t times the gradient at the context."
)
def weights_forgotten(states, W_h, weights, upstream):
    direct = np.ones_like(weights)[:, :, None] * upstream[:, None]
    total = direct.copy()
    for t in range(states.shape[1] - 2, -1, -1):
        total[:, t] += total[:, t + 1] * (1 - states[:, t + 1] ** 2) @ W_h.T
    return direct, total


@gradients_by_path.misconception(
    "Your gradient goes back one step only: what you carry to h_t is the direct gradient of h_{t+1}. Carry the "
    "whole one, which holds what came from all later states."
)
def one_step_back(states, W_h, weights, upstream):
    direct = weights[:, :, None] * upstream[:, None]
    total = direct.copy()
    total[:, :-1] += direct[:, 1:] * (1 - states[:, 1:] ** 2) @ W_h.T
    return direct, total
