"""Figures with sliders, for what a reader must feel. Written by hand; no page teaches them.

Each function returns a figure that a notebook shows: a bar for each weight, sliders above, a sentence
below. The picture of the first setting is made here; a script in the page computes every other one
(`explore.js` has the twin of each function, and a test proves them equal).
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from html import escape
from typing import Any

import numpy as np

from attend.inline import with_files
from attend.scores import dot
from attend.scores import location as location_scores

SCORES = (2.0, 1.0, 0.5, 0.0, -1.0)


@dataclass(frozen=True)
class Slider:
    """A number to choose; `text` is how its first value reads."""

    name: str
    label: str
    low: float
    high: float
    step: float
    value: float
    text: str

    def html(self) -> str:
        """A native range, which brings its keys along."""
        return (
            f'<label>{escape(self.label)} <input type="range" name="{self.name}" min="{self.low:g}" '
            f'max="{self.high:g}" step="{self.step:g}" value="{self.value:g}" autocomplete="off" '
            f'aria-valuetext="{escape(self.text)}"> <output>{escape(self.text)}</output></label>'
        )


@dataclass(frozen=True)
class Tick:
    """Something to switch on or off."""

    name: str
    label: str
    on: bool = False

    def html(self) -> str:
        """A native checkbox."""
        on = " checked" if self.on else ""
        return (
            f'<label><input type="checkbox" name="{self.name}" autocomplete="off"{on}> '
            f"{escape(self.label)}</label>"
        )


@dataclass(frozen=True, eq=False, repr=False)
class Explorable:
    """A figure with its controls, in its first setting."""

    kind: str  # the name of the twin in explore.js
    given: dict[str, Any]  # what that twin computes from
    title: str
    keys: Sequence[str]
    controls: Sequence[Slider | Tick]
    weights: np.ndarray
    masked: np.ndarray
    summary: str

    def __repr__(self) -> str:
        """The first setting in words."""
        pairs = (
            f"{key} {'masked' if hidden else _two(weight)}"
            for key, weight, hidden in zip(self.keys, self.weights, self.masked, strict=True)
        )
        return f"{self.title}. {self.summary} Weights: {', '.join(pairs)}."

    def _repr_html_(self) -> str:
        """Controls, a table of bars, a sentence."""
        headers = "".join(f'<th scope="col">{escape(key)}</th>' for key in self.keys)
        bars = "".join(
            '<td class="masked"><span>masked</span></td>'
            if hidden
            else f'<td style="--w:{weight:.4f}">{_two(weight)}</td>'
            for weight, hidden in zip(self.weights.tolist(), self.masked.tolist(), strict=True)
        )
        controls = "\n".join(control.html() for control in self.controls)
        title, given = escape(self.title), escape(json.dumps(self.given))
        html = f"""<attend-explore class="attend-figure" data-kind="{self.kind}" data-given="{given}">
<fieldset aria-label="{title}">
{controls}
</fieldset>
<div class="scroll"><table>
<caption>{title}</caption>
<thead><tr>{headers}</tr></thead>
<tbody><tr>{bars}</tr></tbody>
</table></div>
<p class="says">{escape(self.summary)}</p>
</attend-explore>"""
        return with_files(html, "attention.css", "explore.css", "explore.js")


def scale(n_keys: int = 8, width: int = 64, scaled: bool = False, seed: int = 881) -> Explorable:
    """How the softmax of a dot product saturates with the width, and how scaling mends it.

    One query and `n_keys` keys are drawn once, with 1024 independent normal components; at width d_k
    the first d_k of them count.

    Args:
        n_keys: how many keys.
        width: the first d_k, a power of two up to 1024.
        scaled: whether scores are divided by the root of d_k at first.
        seed: of the draw; the default's weights grow smoothly, as the average does.

    Raises:
        ValueError: the width is no such power.
    """
    exponents = range(11)
    if width not in [2**exponent for exponent in exponents]:
        raise ValueError(f"width is {width}, not a power of two from 1 to 1024")
    rng = np.random.default_rng(seed)
    query, keys = rng.normal(size=(1, 1024)), rng.normal(size=(n_keys, 1024))
    scores = [dot(query[:, : 2**e], keys[:, : 2**e])[0].tolist() for e in exponents]
    exponent = int(math.log2(width))
    weights = softmax(np.array(scores[exponent]) / (math.sqrt(width) if scaled else 1.0))
    jacobian = np.diag(weights) - np.outer(weights, weights)
    return Explorable(
        kind="scale",
        given={"scores": scores},
        title="Weights of one query at growing width",
        keys=[f"k{j}" for j in range(1, n_keys + 1)],
        controls=[
            Slider("exponent", "width dₖ", 0, 10, 1, exponent, str(width)),
            Tick("scaled", "divide the scores by √dₖ", scaled),
        ],
        weights=weights,
        masked=np.zeros(n_keys, dtype=bool),
        summary=(
            f"Width {width}, {'scaled' if scaled else 'not scaled'}: the largest weight is "
            f"{_two(weights.max())}, the norm of the softmax's Jacobian {_two(np.linalg.norm(jacobian))}."
        ),
    )


def temperature(scores: Sequence[float] = SCORES, keys: Sequence[str] | None = None) -> Explorable:
    """How the temperature τ sharpens or flattens softmax(scores / τ), for scores (m,)."""
    scores, keys = _given(scores, keys)
    weights = softmax(scores)
    return Explorable(
        kind="temperature",
        given={"scores": scores.tolist()},
        title="Weights at a temperature",
        keys=keys,
        controls=[Slider("exponent", "temperature τ", -1, 1, 0.05, 0, "1.00")],
        weights=weights,
        masked=np.zeros(len(keys), dtype=bool),
        summary=(
            f"Temperature 1.00: the largest weight is {_two(weights.max())}, and attention spreads as "
            f"over {_two(np.exp(-np.sum(weights * np.log(weights))))} equal keys."
        ),
    )


def mask(scores: Sequence[float] = SCORES, keys: Sequence[str] | None = None) -> Explorable:
    """What a mask does to softmax(scores): masked keys get nothing, the others share all."""
    scores, keys = _given(scores, keys)
    length = len(keys) - 1
    hidden = np.arange(len(keys)) >= length
    weights = softmax(np.where(hidden, -np.inf, scores))
    return Explorable(
        kind="mask",
        given={"scores": scores.tolist()},
        title="Weights under a mask",
        keys=keys,
        controls=[
            Slider("length", "causal: see the first", 0, len(keys), 1, length, f"{length} keys"),
            *(Tick(f"mask{j}", f"mask {key}") for j, key in enumerate(keys)),
        ],
        weights=weights,
        masked=hidden,
        summary=(
            f"1 of {len(keys)} keys is masked; the others share all attention, "
            f"the largest weight is {_two(weights.max())}."
        ),
    )


def location(positions: int = 12, centre: float = 4.0, width: float = 1.0) -> Explorable:
    """Location-based attention: a query (c, -1/2) / width² asks for the positions around c.

    Column j of the score's matrix is (j, j²), so that the score of position j is
    (c j - j² / 2) / width², and its softmax a bell around c.

    Args:
        positions: m, how many positions.
        centre: the first c, from 1 to m.
        width: the first width, from 0.3 to 6.
    """
    j = np.arange(1.0, positions + 1)
    query = np.array([[centre, -0.5]]) / width**2
    weights = softmax(location_scores(query, np.stack([j, j**2]))[0])
    return Explorable(
        kind="location",
        given={"positions": positions},
        title="Weights of a query that wants a place",
        keys=[str(position) for position in range(1, positions + 1)],
        controls=[
            Slider("centre", "centre c", 1, positions, 0.1, centre, f"{_one(centre)}"),
            Slider("width", "width", 0.3, 6, 0.1, width, f"{_one(width)}"),
        ],
        weights=weights,
        masked=np.zeros(positions, dtype=bool),
        summary=(
            f"Centre {_one(centre)}, width {_one(width)}: the largest weight is "
            f"{_two(weights.max())}, the mean position {_two(weights @ j)}."
        ),
    )


def softmax(scores: np.ndarray) -> np.ndarray:
    """The weights of scores (m,); -inf is a masked key."""
    exponentials = np.exp(scores - scores.max())
    return exponentials / exponentials.sum()


def _given(scores: Sequence[float], keys: Sequence[str] | None) -> tuple[np.ndarray, list[str]]:
    """Scores as an array, with labels; a ValueError where they are no scores or do not fit."""
    scores = np.asarray(scores, dtype=float)
    if scores.ndim != 1 or not scores.size or not np.isfinite(scores).all():
        raise ValueError("scores are a row of finite numbers, one for each key")
    keys = [f"k{j}" for j in range(1, len(scores) + 1)] if keys is None else list(keys)
    if len(keys) != len(scores):
        raise ValueError(f"keys: {len(keys)} labels for {len(scores)} scores")
    return scores, keys


def _two(number: float) -> str:
    """Two decimals, a half rounded up as JavaScript does (Python would round 0.125 down)."""
    return str(Decimal(float(number)).quantize(Decimal("0.01"), ROUND_HALF_UP))


def _one(number: float) -> str:
    return f"{number:.1f}"
