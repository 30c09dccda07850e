"""Attention weights as tables that a small script lights up. Written by hand; no page teaches it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from attend.inline import with_files

DENSE = 16  # with more rows or columns than this the script shows colours in place of numbers
SHORT = 12  # a plain text shows as many rows of a head


def show_attention(
    weights: Any,
    queries: Sequence[str] | None = None,
    keys: Sequence[str] | None = None,
    mask: Any = None,
    heads: Sequence[str] | None = None,
    caption: str = "Attention weights",
) -> "AttentionFigure":
    """Show attention weights as a table that can be read by eye, by keyboard and by ear.

    Args:
        weights: (n, m) or (heads, n, m), an array or a tensor; every row sums to one.
        queries: n labels of the rows; q1, q2, … where left out.
        keys: m labels of the columns; k1, k2, … where left out.
        mask: true where a query may look, false where it may not, as in PyTorch's
            `scaled_dot_product_attention`; of any shape that broadcasts to the weights'.
            A row that is masked as a whole may have weights that are all zero.
        heads: a label for each head; head 1, head 2, … where left out.
        caption: what the weights are.

    Returns:
        A figure; a notebook shows it where it is the last value of a cell.

    Raises:
        ValueError: these are no attention weights, or labels or mask do not fit them.
    """
    weights = _array(weights)
    half = weights.dtype.itemsize < 4
    if not np.issubdtype(weights.dtype, np.number) or np.iscomplexobj(weights):
        raise ValueError(f"weights are of type {weights.dtype}: real numbers are needed")
    if weights.ndim not in (2, 3) or 0 in weights.shape:
        raise ValueError(
            f"weights have shape {weights.shape}, not (n, m) or (heads, n, m); "
            "of a batch show one example, weights[0]"
        )
    allowed = _allowed(mask, weights.shape)
    if weights.ndim == 2:
        weights, allowed = weights[None], allowed[None]
    n_heads, n, m = weights.shape
    figure = AttentionFigure(
        weights=weights.astype(np.float64),
        masked=~allowed,
        queries=_labels(queries, n, "queries", "q"),
        keys=_labels(keys, m, "keys", "k"),
        heads=_labels(heads, n_heads, "heads", "head "),
        caption=caption,
    )
    figure.check(tolerance=1e-2 if half else 1e-3)
    return figure


@dataclass(frozen=True, eq=False, repr=False)
class AttentionFigure:
    """Weights (heads, n, m) with labels, ready to be shown; `show_attention` makes it."""

    weights: np.ndarray
    masked: np.ndarray
    queries: list[str]
    keys: list[str]
    heads: list[str]
    caption: str

    def check(self, tolerance: float) -> None:
        """Raise a ValueError that names the first thing that is no attention weight."""
        weights, masked = self.weights, self.masked
        if (at := _first(np.isnan(weights))) is not None:
            raise ValueError(
                f"the weight {self._place(*at)} is not a number (NaN): "
                "a softmax over a row that is masked as a whole divides 0 by 0"
            )
        if (at := _first(weights < 0)) is not None:
            raise ValueError(
                f"the weight {self._place(*at)} is {weights[at]:.3g}, and weights are never "
                "negative; are these scores, before the softmax?"
            )
        if (at := _first(masked & (weights > 1e-6))) is not None:
            raise ValueError(
                f"the weight {self._place(*at)} is {weights[at]:.3g}, and the mask forbids to look "
                "there; is the mask the wrong way round? It is true where a query may look"
            )
        sums = weights.sum(axis=-1)
        silent = masked.all(axis=-1) & (sums == 0)
        if (at := _first(~(np.abs(sums - 1) <= tolerance) & ~silent)) is not None:
            columns = np.allclose(weights.sum(axis=-2), 1, atol=tolerance)
            advice = "the columns do: the softmax was taken along the axis of the queries"
            if not columns:
                advice = "each query shares one unit of attention among the keys"
            raise ValueError(
                f"the weights {self._place(*at)} sum to {sums[at]:.3g}, not to 1; {advice}"
            )

    def sentence(self, head: int, i: int) -> str:
        """Where query i looks, in words."""
        row, masked = self.weights[head, i], self.masked[head, i]
        query = _name(self.queries, i)
        if masked.all():
            return f"{query} looks nowhere: every key is masked"
        largest = row.max()
        most = [j for j in np.flatnonzero(row >= largest * (1 - 1e-6)) if not masked[j]]
        if len(most) > 1 and len(most) == (~masked).sum():
            return f"{query} looks equally at {len(most)} keys ({largest:.2f} each)"
        *others, last = [_name(self.keys, j) for j in most]
        if not others:
            return f"{query} looks most at {last} ({largest:.2f})"
        if len(others) > 3:
            return f"{query} looks most at {len(most)} keys ({largest:.2f} each)"
        return f"{query} looks most at {', '.join(others)} and {last} ({largest:.2f} each)"

    def __repr__(self) -> str:
        """The caption, and a sentence for each query."""
        lines = [f"{self.caption}: {self.weights.shape[1]} queries, {self.weights.shape[2]} keys"]
        for head, name in enumerate(self.heads):
            if len(self.heads) > 1:
                lines.append(name)
            lines += [self.sentence(head, i) for i in range(min(len(self.queries), SHORT))]
            if len(self.queries) > SHORT:
                lines.append(f"… and {len(self.queries) - SHORT} more queries")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """One table for each head, and what makes them a figure."""
        dense = " dense" if max(self.weights.shape[1:]) > DENSE else ""
        tables = "\n".join(self._table(head) for head in range(len(self.heads)))
        html = f'<attend-attention class="attend-figure{dense}">\n{tables}\n</attend-attention>'
        return with_files(html, "attention.css", "attention.js")

    def _table(self, head: int) -> str:
        caption = escape(self.caption)
        if len(self.heads) > 1:
            caption += f", {escape(self.heads[head])}"
        if self.masked[head].any():
            caption += '. <span class="legend"><span class="masked"></span> hatched: masked</span>'
        columns = "".join(_header("col", self.keys, j) for j in range(len(self.keys)))
        return (
            f'<div class="scroll" data-head="{escape(self.heads[head])}"><table>\n'
            f"<caption>{caption}</caption>\n<thead><tr><td></td>{columns}</tr></thead>\n"
            f"<tbody>\n{chr(10).join(self._rows(head))}\n</tbody></table></div>"
        )

    def _rows(self, head: int) -> Iterator[str]:
        for i, (row, masked) in enumerate(zip(self.weights[head], self.masked[head], strict=True)):
            cells = "".join(
                '<td class="masked"><span>masked</span></td>' if hidden else _cell(weight)
                for weight, hidden in zip(row.tolist(), masked.tolist(), strict=True)
            )
            says = escape(self.sentence(head, i))
            yield f'<tr data-says="{says}">{_header("row", self.queries, i)}{cells}</tr>'

    def _place(self, head: int, i: int, j: int | None = None) -> str:
        """Where a weight stands, in words."""
        place = f"of query {i + 1} ({_name(self.queries, i)})"
        if j is not None:
            place += f" for key {j + 1} ({_name(self.keys, j)})"
        return place if len(self.heads) == 1 else f"{place} in {self.heads[head]}"


def _array(data: Any) -> np.ndarray:
    """An array of the data; of a tensor too that is on a GPU, has a gradient or is bfloat16."""
    if hasattr(data, "detach"):
        data = data.detach().cpu()
        if str(data.dtype) == "torch.bfloat16":
            # bfloat16 is unknown to NumPy; its numbers are rounded as coarsely as float16's, or more.
            return data.float().numpy().astype(np.float16)
        return data.numpy()
    return np.asarray(data)


def _allowed(mask: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The mask, true where a query may look, in the shape of the weights."""
    if mask is None:
        return np.ones(shape, dtype=bool)
    mask = _array(mask)
    if mask.dtype != bool and not np.isin(mask, (0, 1)).all():
        raise ValueError("mask is true where a query may look and false where it may not (or 1, 0)")
    try:
        return np.broadcast_to(mask.astype(bool), shape)
    except ValueError:
        raise ValueError(f"mask has shape {mask.shape}, weights have {shape}") from None


def _labels(labels: Sequence[str] | None, size: int, name: str, letter: str) -> list[str]:
    """The labels as texts that can be seen, as many as there are."""
    if labels is None:
        return [f"{letter}{number}" for number in range(1, size + 1)]
    labels = list(labels)
    if len(labels) != size:
        raise ValueError(f"{name}: {len(labels)} labels for {size}")
    return [_visible(str(label)) for label in labels]


def _visible(label: str) -> str:
    """A label with its line breaks shown, and its spaces where it is nothing else."""
    label = label.replace("\n", "⏎").replace("\t", "⇥")
    return label if label.strip() else "␣" * len(label) or "∅"


def _name(labels: list[str], index: int) -> str:
    """A label in quotation marks, with its position where others read the same."""
    name = f"“{labels[index]}”"
    return f"{name} at {index + 1}" if labels.count(labels[index]) > 1 else name


def _header(scope: str, labels: list[str], index: int) -> str:
    name = f' data-name="{escape(_name(labels, index))}"' if labels.count(labels[index]) > 1 else ""
    return f'<th scope="{scope}"{name}>{escape(labels[index])}</th>'


def _cell(weight: float) -> str:
    text = f"{weight:.2f}" if weight else "0"
    return f"<td>{text}</td>" if weight < 0.005 else f'<td style="--w:{text}">{text}</td>'


def _first(wrong: np.ndarray) -> tuple[int, ...] | None:
    """The first place where something is wrong, if anywhere."""
    places = np.argwhere(wrong)
    return tuple(places[0].tolist()) if len(places) else None
