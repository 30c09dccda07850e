"""Which parameters decay. Every case has matrices, norms, embeddings and, but for one, a tied matrix."""

from collections.abc import Iterator

import numpy as np

from autograder.judge import differs, item, untouched
from autograder.question import Aspect, Case, Fault, Judge, Question, Reply

# name, kind and shape of a parameter
Row = tuple[str, str, tuple[int, ...]]


def _block(place: str, d: int, d_ff: int) -> list[Row]:
    rows: list[Row] = [
        (f"{place}.norm_1.weight", "LayerNorm", (d,)),
        (f"{place}.norm_1.bias", "LayerNorm", (d,)),
    ]
    for name, sizes in (("query", (d, d)), ("output", (d, d)), ("expand", (d_ff, d))):
        rows.append((f"{place}.{name}.weight", "Linear", sizes))
        rows.append((f"{place}.{name}.bias", "Linear", sizes[:1]))
    return rows


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str,
        blocks: int,
        tie: str = "head last",
        shared: bool = False,
        strided: tuple[str, ...] = (),
    ) -> Case:
        d, d_ff, vocabulary, context = rng.choice(np.arange(5, 90), size=4, replace=False).tolist()
        head: list[Row] = [("head.weight", "Linear", (vocabulary, d))]
        table: list[Row] = [("embedding.weight", "Embedding", (vocabulary, d))]
        # Named like a matrix that decays: the kind tells, not the name, nor the number of axes.
        places = str(rng.choice(["positions.weight", "places.weight", "order.weight"]))
        rows: list[Row] = [(places, "Embedding", (context, d))]
        if tie == "none":
            rows.append(("picture.weight", "LayerNorm", (context, d)))
            rows.append(("norm_free.weight", "Linear", (d_ff, d)))
        for number in range(blocks):
            rows += _block(f"blocks.{number}", d, d_ff)
        rows += [("norm.weight", "LayerNorm", (d,)), ("norm.bias", "LayerNorm", (d,))]
        rows = head + rows + table if tie == "head first" else table + rows + head
        memory = rng.choice(np.arange(100, 999), size=len(rows), replace=False)
        if tie != "none":
            memory[-1] = memory[0]
        if shared:  # by two linear layers: tied, but to no embedding
            first, second = (
                number for number, row in enumerate(rows) if row[0].endswith("query.weight")
            )
            memory[second] = memory[first]
        arguments = {"parameters": [list(row) for row in rows], "memory": memory}
        return Case(name, arguments, strided=strided)

    yield case("small", 1)
    yield case("several blocks", 3)
    yield case("the linear layer comes first", 2, tie="head first")
    yield case("two linear layers share a matrix", 2, shared=True)
    yield case("nothing tied", 2, tie="none")
    yield case("non-contiguous", 1, strided=("memory",))


def _kind(case: Case) -> dict[str, str]:
    """Of each name: matrix, vector, embedding or tied."""
    rows, memory = case.arguments["parameters"], case.arguments["memory"].tolist()
    found = {}
    for (name, kind, sizes), place in zip(rows, memory, strict=True):
        tied = memory.count(place) > 1
        linear = "matrix" if kind == "Linear" and len(sizes) == 2 else "vector"
        found[name] = "tied" if tied else "embedding" if kind == "Embedding" else linear
    return found


def _in_their_group(kind: str, what: str) -> Judge:
    """The parameters of one kind stand, once and in order, in the list where the solution has them."""

    def judge(case: Case, expected: Reply, got: Reply) -> Fault | None:
        want, have = expected["value"], got["value"]
        if not isinstance(have, list | tuple) or len(have) != 3:
            return differs(want, have, "The result")
        kinds = _kind(case)
        for wanted, found, list_ in zip(want, have[:2], ("decayed", "others"), strict=False):
            if not isinstance(found, list | tuple) or not all(isinstance(n, str) for n in found):
                return Fault(f"{list_} is not a list of names.")
            if not set(found) <= kinds.keys():
                return Fault(f"{list_} has names that no parameter has.", "", str(found)[:200])
            right = [name for name in wanted if kinds[name] == kind]
            given = [name for name in found if kinds[name] == kind]
            if right != given:
                return Fault(f"Of {what}, {list_} has the wrong ones.", str(right), str(given))
        return None

    return judge


_TIED = (
    "small",
    "several blocks",
    "the linear layer comes first",
    "two linear layers share a matrix",
)

decay_groups = Question(
    name="decay_groups",
    title="What decays",
    cases=_cases,
    aspects=(
        Aspect(
            "the matrices of linear layers",
            0.75,
            _in_their_group("matrix", "the matrices of linear layers"),
        ),
        Aspect("norms and biases", 0.5, _in_their_group("vector", "norms and biases")),
        Aspect("embeddings", 0.5, _in_their_group("embedding", "the embeddings")),
        Aspect(
            "a tied matrix", 0.5, _in_their_group("tied", "the names of the tied matrix"), _TIED
        ),
        Aspect("the share of all numbers", 0.5, item(2, "The share")),
        Aspect(
            "arguments untouched, in any memory layout",
            0.25,
            untouched(),
            ("small", "non-contiguous"),
        ),
    ),
)


@decay_groups.misconception(
    "Everything called “weight” decays with you, the gains of the norms and the embeddings too. Decay "
    "is for matrices of linear layers: look at kind and shape, not at the name."
)
def all_weights_decay(parameters, memory):
    decayed, others, numbers, seen = [], [], [0, 0], set()
    for (name, _, sizes), place in zip(parameters, memory.tolist(), strict=True):
        if place not in seen:
            decays = name.endswith("weight")
            (decayed if decays else others).append(name)
            numbers[decays] += int(np.prod(sizes))
        seen.add(place)
    return decayed, others, numbers[1] / sum(numbers)


@decay_groups.misconception(
    "Everything with two axes decays with you, the embeddings too. An embedding's row is looked up: a "
    "rare token's row would shrink in every step and be mended hardly ever."
)
def embeddings_decay(parameters, memory):
    decayed, others, numbers, seen = [], [], [0, 0], set()
    for (name, _, sizes), place in zip(parameters, memory.tolist(), strict=True):
        if place not in seen:
            decays = len(sizes) == 2
            (decayed if decays else others).append(name)
            numbers[decays] += int(np.prod(sizes))
        seen.add(place)
    return decayed, others, numbers[1] / sum(numbers)


@decay_groups.misconception(
    "The biases of your linear layers decay. A bias is one number for each output and learns a mean, "
    "nothing to be kept small: only the matrix of a linear layer decays."
)
def biases_decay(parameters, memory):
    tables = {
        m
        for (_, kind, _), m in zip(parameters, memory.tolist(), strict=True)
        if kind == "Embedding"
    }
    decayed, others, numbers, seen = [], [], [0, 0], set()
    for (name, kind, sizes), place in zip(parameters, memory.tolist(), strict=True):
        if place not in seen:
            decays = kind == "Linear" and place not in tables
            (decayed if decays else others).append(name)
            numbers[decays] += int(np.prod(sizes))
        seen.add(place)
    return decayed, others, numbers[1] / sum(numbers)


@decay_groups.misconception(
    "A tied matrix is an embedding too, under another name, and so it does not decay: ask whether its "
    "memory is that of an embedding."
)
def tied_matrix_decays(parameters, memory):
    linear = {
        m for (_, kind, _), m in zip(parameters, memory.tolist(), strict=True) if kind == "Linear"
    }
    decayed, others, numbers, seen = [], [], [0, 0], set()
    for (name, kind, sizes), place in zip(parameters, memory.tolist(), strict=True):
        if place not in seen:
            decays = len(sizes) == 2 and (kind == "Linear" or place in linear)
            (decayed if decays else others).append(name)
            numbers[decays] += int(np.prod(sizes))
        seen.add(place)
    return decayed, others, numbers[1] / sum(numbers)


@decay_groups.misconception(
    "You name the tied matrix twice, once in each list: the optimiser would move it twice in a step. "
    "One tensor is one parameter: name it once."
)
def tied_matrix_twice(parameters, memory):
    decayed, others, numbers = [], [], [0, 0]
    for name, kind, sizes in parameters:
        decays = kind == "Linear" and len(sizes) == 2
        (decayed if decays else others).append(name)
        numbers[decays] += int(np.prod(sizes))
    return decayed, others, numbers[1] / sum(numbers)


@decay_groups.misconception("Your two lists are exchanged: those that decay come first.")
def lists_exchanged(parameters, memory):
    tables = {
        m
        for (_, kind, _), m in zip(parameters, memory.tolist(), strict=True)
        if kind == "Embedding"
    }
    decayed, others, numbers, seen = [], [], [0, 0], set()
    for (name, kind, sizes), place in zip(parameters, memory.tolist(), strict=True):
        if place not in seen:
            decays = kind == "Linear" and len(sizes) == 2 and place not in tables
            (decayed if decays else others).append(name)
            numbers[decays] += int(np.prod(sizes))
        seen.add(place)
    return others, decayed, numbers[1] / sum(numbers)


@decay_groups.misconception(
    "Your share counts parameters, not the numbers in them: a bias weighs as much as a matrix. Multiply "
    "out the shapes."
)
def share_of_tensors(parameters, memory):
    tables = {
        m
        for (_, kind, _), m in zip(parameters, memory.tolist(), strict=True)
        if kind == "Embedding"
    }
    decayed, others, seen = [], [], set()
    for (name, kind, sizes), place in zip(parameters, memory.tolist(), strict=True):
        if place not in seen:
            decays = kind == "Linear" and len(sizes) == 2 and place not in tables
            (decayed if decays else others).append(name)
        seen.add(place)
    return decayed, others, len(decayed) / (len(decayed) + len(others))
