"""The checks of `alignment_error`: links read off weights, against those that people drew."""

from collections.abc import Iterator

import numpy as np

from autograder.judge import TOLERANCE, every, item, untouched
from autograder.question import Aspect, Case, Fault, Judge, Question, Reply

# A sentence as (source words, target words linked to a sure, a merely possible, a wrong source word, sure
# links that no target word found, possible ones). The counts decide the rates, so that no wrong formula can
# meet the right one by chance: no two sentences of a case have the same rates.
Sentence = tuple[int, int, int, int, int, int]


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    yield _case(rng, "small", [(3, 1, 0, 0, 0, 1), (2, 0, 1, 1, 1, 0)], m=3, n=2)
    yield _case(
        rng, "batch", [(6, 3, 1, 1, 2, 3), (4, 1, 2, 1, 1, 1), (5, 1, 1, 0, 3, 2)], m=6, n=7
    )
    two = [(5, 2, 1, 1, 1, 2), (6, 3, 2, 0, 2, 1)]
    yield _case(rng, "sentences of one word", [(4, 1, 0, 0, 1, 2), (5, 0, 1, 0, 1, 1)], m=5, n=3)
    yield _case(
        rng, "as many targets as sources", [(5, 2, 1, 1, 1, 1), (4, 1, 1, 0, 2, 1)], m=5, n=5
    )
    yield _case(rng, "ties", [(5, 2, 1, 1, 2, 1), (4, 2, 1, 0, 1, 1)], m=6, n=5, tied=True)
    yield _case(rng, "float32", two, m=6, n=6, kind="float32")
    yield _case(rng, "non-contiguous", two, m=6, n=7, strided=True)


def _case(
    rng: np.random.Generator,
    name: str,
    sentences: list[Sentence],
    *,
    m: int,
    n: int,
    kind: str = "float64",
    tied: bool = False,
    strided: bool = False,
) -> Case:
    """Sentences of which each fills up with rows of zeros to n target words, and with sources to m."""
    weights = np.zeros((len(sentences), n, m))
    sure, possible = (np.zeros(weights.shape, dtype=bool) for _ in range(2))
    for b, (sources, hits, near, misses, more_sure, more_possible) in enumerate(sentences):
        real = hits + near + misses
        raw = rng.uniform(0.1, 1, size=(real, sources))
        chosen = rng.integers(sources - tied, size=real)
        raw[np.arange(real), chosen] += 1
        if tied:  # a later source word has the very same weight, and is not the answer
            raw[np.arange(real), sources - 1] = raw[np.arange(real), chosen]
        # Rows add up to less than 1, some to little: only a row of zeros makes no link.
        weights[b, :real, :sources] = raw / rng.uniform(10, 60, size=(real, 1))
        rows = rng.permutation(real)
        sure[b, rows[:hits], chosen[rows[:hits]]] = True
        # Some sure links are marked as possible too, some are not: each counts once.
        possible[b, rows[1:hits], chosen[rows[1:hits]]] = True
        found = rows[hits : hits + near]
        possible[b, found, chosen[found]] = True
        # What no target word found; padded target words are linked to nothing.
        free = np.ones((real, sources), dtype=bool)
        free[np.arange(real), chosen] = False
        others = rng.permutation(np.argwhere(free))[: more_sure + more_possible]
        sure[b, others[:more_sure, 0], others[:more_sure, 1]] = True
        possible[b, others[more_sure:, 0], others[more_sure:, 1]] = True
        # Sure links that nobody found are all marked as possible too.
        possible[b, others[:more_sure, 0], others[:more_sure, 1]] = True
    arguments = {"weights": weights.astype(kind), "sure": sure, "possible": possible}
    return Case(name, arguments, strided=("weights", "sure", "possible") if strided else ())


def _links(case: Case, expected: Reply, got: Reply) -> Fault | None:
    """One link per real target word: to any of the largest weights, since ties are another aspect."""
    if fault := item(0, "The array of links")(case, expected, got):
        value = got["value"]
        have = np.asarray(value[0]) if isinstance(value, list | tuple) and len(value) else None
        weights = case.arguments["weights"]
        if have is None or have.shape != weights.shape or not np.isin(have, (0, 1)).all():
            return fault
        best = (weights == weights.max(axis=-1, keepdims=True)) & (weights > 0)
        one_each = np.array_equal(have.sum(axis=-1), best.any(axis=-1))
        return None if one_each and not have[~best].any() else fault
    return None


def _rate(index: int, name: str) -> Judge:
    """One of the rates, no finer than single precision: who counts in PyTorch divides in it."""

    def judge(case: Case, expected: Reply, got: Reply) -> Fault | None:
        value = got["value"]
        if not isinstance(value, list | tuple) or len(value) != 4 or np.shape(value[index]):
            return item(index, name)(case, expected, got)
        want, have = float(expected["value"][index]), float(value[index])
        if abs(have - want) <= TOLERANCE["float32"]:
            return None
        return Fault(f"{name} is another one.", f"{want:.4f}", f"{have:.4f}")

    return judge


def _kept(case: Case, expected: Reply, got: Reply) -> Fault | None:
    """All four are right, and so are the arguments after the call."""
    judges = (_links, *(_rate(index, name) for index, name in enumerate(_RATES, start=1)))
    fault = every(*judges)(case, expected, got)
    return fault or untouched()(case, expected, got | {"value": expected["value"]})


_RATES = ("The precision", "The recall", "The error rate")
_PLAIN = ("small", "batch", "sentences of one word", "as many targets as sources", "float32")

alignment_error = Question(
    name="alignment_error",
    title="Alignment error rate",
    cases=_cases,
    aspects=(
        Aspect("one link per real target word", 0.75, _links, _PLAIN),
        Aspect("precision", 0.5, _rate(1, "The precision"), _PLAIN),
        Aspect("recall", 0.5, _rate(2, "The recall"), _PLAIN),
        Aspect("alignment error rate", 0.75, _rate(3, "The error rate"), _PLAIN),
        Aspect("the first of equal weights wins", 0.25, item(0, "The array of links"), ("ties",)),
        Aspect(
            "arguments untouched, in any memory layout",
            0.25,
            _kept,
            ("non-contiguous", "batch"),
        ),
    ),
)


@alignment_error.misconception(
    "You link padded target words too: a row of zeros has its largest entry at position 0. A row without any "
    "weight makes no link."
)
def padding_linked(weights, sure, possible):
    links = np.zeros(weights.shape, dtype=bool)
    np.put_along_axis(links, weights.argmax(axis=-1)[..., None], True, axis=-1)
    possible = possible | sure
    in_sure, in_possible = (links & sure).sum(), (links & possible).sum()
    error = 1 - (in_sure + in_possible) / (links.sum() + sure.sum())
    return links, float(in_possible / links.sum()), float(in_sure / sure.sum()), float(error)


@alignment_error.misconception(
    "You take the largest weight of each column: that links every source word. The weights of a target word are "
    "a row, and it is linked to the largest entry of its row."
)
def columns_linked(weights, sure, possible):
    links = np.zeros(weights.shape, dtype=bool)
    np.put_along_axis(links, weights.argmax(axis=-2)[..., None, :], True, axis=-2)
    links &= weights > 0
    possible = possible | sure
    in_sure, in_possible = (links & sure).sum(), (links & possible).sum()
    error = 1 - (in_sure + in_possible) / (links.sum() + sure.sum())
    return links, float(in_possible / links.sum()), float(in_sure / sure.sum()), float(error)


@alignment_error.misconception(
    "You count only what is marked as possible. Every sure link is possible as well: precision compares with the "
    "union of the two."
)
def sure_not_possible(weights, sure, possible):
    links = (np.arange(weights.shape[-1]) == weights.argmax(axis=-1)[..., None]) & (weights > 0)
    in_sure, in_possible = (links & sure).sum(), (links & possible).sum()
    error = 1 - (in_sure + in_possible) / (links.sum() + sure.sum())
    return links, float(in_possible / links.sum()), float(in_sure / sure.sum()), float(error)


@alignment_error.misconception(
    "Your recall divides by all possible links. A possible link need not be found: recall is the share of the "
    "sure links, and so is the second term of the error rate's denominator."
)
def recall_of_possible(weights, sure, possible):
    links = (np.arange(weights.shape[-1]) == weights.argmax(axis=-1)[..., None]) & (weights > 0)
    possible = possible | sure
    in_sure, in_possible = (links & sure).sum(), (links & possible).sum()
    error = 1 - (in_sure + in_possible) / (links.sum() + possible.sum())
    return (
        links,
        float(in_possible / links.sum()),
        float(in_possible / possible.sum()),
        float(error),
    )


@alignment_error.misconception(
    "Your error rate is 1 minus the harmonic mean of precision and recall. The two have different numerators "
    "here, so the formula does not reduce to it: add up numerators and denominators."
)
def harmonic_mean(weights, sure, possible):
    links = (np.arange(weights.shape[-1]) == weights.argmax(axis=-1)[..., None]) & (weights > 0)
    precision = float((links & (possible | sure)).sum() / links.sum())
    recall = float((links & sure).sum() / sure.sum())
    return links, precision, recall, 1 - 2 * precision * recall / (precision + recall)


@alignment_error.misconception(
    "You return the share of right links where the error rate is asked: it is 1 minus that, so that 0 is a "
    "perfect alignment."
)
def agreement_returned(weights, sure, possible):
    links = (np.arange(weights.shape[-1]) == weights.argmax(axis=-1)[..., None]) & (weights > 0)
    possible = possible | sure
    in_sure, in_possible = (links & sure).sum(), (links & possible).sum()
    agreement = (in_sure + in_possible) / (links.sum() + sure.sum())
    return links, float(in_possible / links.sum()), float(in_sure / sure.sum()), float(agreement)


@alignment_error.misconception(
    "You average the sentences' rates. A sentence of two words then counts as much as one of twenty: add up the "
    "counts of all sentences first, and divide once."
)
def averaged_over_sentences(weights, sure, possible):
    links = (np.arange(weights.shape[-1]) == weights.argmax(axis=-1)[..., None]) & (weights > 0)
    made, wanted = links.sum(axis=(1, 2)), sure.sum(axis=(1, 2))
    in_sure = (links & sure).sum(axis=(1, 2))
    in_possible = (links & (possible | sure)).sum(axis=(1, 2))
    rates = in_possible / made, in_sure / wanted, 1 - (in_sure + in_possible) / (made + wanted)
    return links, *(float(rate.mean()) for rate in rates)
