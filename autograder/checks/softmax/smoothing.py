"""Label-smoothed cross-entropy: every case smooths, so that forgetting it shows everywhere."""

from collections.abc import Iterator

import numpy as np

from autograder.checks.draw import normal, rounded
from autograder.judge import dtype, shape, untouched, values
from autograder.question import Aspect, Case, Question


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str, logits: np.ndarray, smoothing: float, strided: tuple[str, ...] = ()
    ) -> Case:
        targets = rng.integers(logits.shape[-1], size=logits.shape[:-1])
        arguments = {"logits": logits, "targets": targets, "smoothing": smoothing}
        return Case(name, arguments, strided=strided)

    yield case("small", rounded(rng, 2, 3), 0.3)
    yield case("batch", normal(rng, 4, 6), 0.1)
    yield case("one example", normal(rng, 1, 5), 0.2)
    yield case("two classes", normal(rng, 3, 2), 0.1)
    yield case("batch and positions", normal(rng, 2, 4, 7), 0.1)
    # Probabilities underflow, and exponentials overflow unless the row's maximum is what is subtracted: example 0
    # begins with its smallest logit, and the mean of each row lies nearly a thousand below its maximum.
    far = np.linspace(-900, 900, 5) + normal(rng, 3, 5)
    far[1:] = rng.permuted(far[1:], axis=-1)
    yield case("large logits", 1000 + far, 0.1)
    yield case("very negative logits", -1000 + normal(rng, 3, 5), 0.1)
    yield case("float32", normal(rng, 3, 6, dtype="float32"), 0.2)
    level = np.array([[300], [-300]], dtype="float32")
    yield case("float32, logits in the hundreds", level + normal(rng, 2, 6, dtype="float32"), 0.1)
    yield case("non-contiguous", normal(rng, 3, 4, 5), 0.1, strided=("logits", "targets"))


_ORDINARY = ("small", "batch", "one example", "two classes", "float32")
_LARGE = ("large logits", "very negative logits", "float32, logits in the hundreds")

smoothed_cross_entropy = Question(
    name="smoothed_cross_entropy",
    title="Cross-entropy with smoothed targets",
    cases=_cases,
    aspects=(
        Aspect("one loss for each example", 0.5, shape(), (*_ORDINARY, "batch and positions")),
        Aspect("values", 1, values(), (*_ORDINARY, "batch and positions")),
        Aspect("large and very negative logits", 0.5, values(), _LARGE),
        Aspect("the dtype of the logits is kept", 0.5, dtype(), ("float32", "batch")),
        Aspect(
            "arguments untouched, in any memory layout",
            0.5,
            untouched(),
            ("non-contiguous", "batch"),
        ),
    ),
)


@smoothed_cross_entropy.misconception(
    "You return the plain cross-entropy: the smoothing plays no part. The target is a mixture: 1 − ε on the "
    "true class and ε spread evenly over all classes."
)
def smoothing_forgotten(logits, targets, smoothing):
    shifted = logits - logits.max(axis=-1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return -np.take_along_axis(logs, targets[..., None], axis=-1)[..., 0]


@smoothed_cross_entropy.misconception(
    "You spread ε over the wrong classes only, ε / (C − 1) each. Here it goes to all C classes, the true one "
    "included: it keeps 1 − ε + ε / C."
)
def others_only(logits, targets, smoothing):
    shifted = logits - logits.max(axis=-1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    own = np.take_along_axis(logs, targets[..., None], axis=-1)[..., 0]
    spread = (logs.sum(axis=-1) - own) / (logits.shape[-1] - 1)
    return -(1 - smoothing) * own - smoothing * spread


@smoothed_cross_entropy.misconception(
    "You exchanged ε and 1 − ε: the true class is to keep the share 1 − ε, and the uniform part gets ε."
)
def shares_exchanged(logits, targets, smoothing):
    shifted = logits - logits.max(axis=-1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    own = np.take_along_axis(logs, targets[..., None], axis=-1)[..., 0]
    return -smoothing * own - (1 - smoothing) * logs.mean(axis=-1)


@smoothed_cross_entropy.misconception(
    "You smooth the prediction: the logarithm of a mixture. It is the target that is smoothed, so the loss is "
    "a mixture of logarithms."
)
def prediction_smoothed(logits, targets, smoothing):
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares = exponentials / exponentials.sum(axis=-1, keepdims=True)
    own = np.take_along_axis(shares, targets[..., None], axis=-1)[..., 0]
    return -np.log((1 - smoothing) * own + smoothing / logits.shape[-1])


@smoothed_cross_entropy.misconception(
    "You average over the examples, as PyTorch's cross_entropy does by default. Here each example keeps its own "
    "loss: the result has the shape of the targets."
)
def averaged(logits, targets, smoothing):
    shifted = logits - logits.max(axis=-1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    own = np.take_along_axis(logs, targets[..., None], axis=-1)[..., 0]
    return (-(1 - smoothing) * own - smoothing * logs.mean(axis=-1)).mean()


@smoothed_cross_entropy.misconception(
    "You sum the uniform part over the classes without dividing by their number: each class gets ε / C, not ε."
)
def spread_not_divided(logits, targets, smoothing):
    shifted = logits - logits.max(axis=-1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    own = np.take_along_axis(logs, targets[..., None], axis=-1)[..., 0]
    return -(1 - smoothing) * own - smoothing * logs.sum(axis=-1)
