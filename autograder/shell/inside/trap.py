"""A trap on callables: while it is set, a call of one of them can be noted, and is then made.

It is best effort, in a process that may be hostile: what it notes counts, its silence proves nothing.
"""

import contextlib
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any

Place = tuple[dict[str, Any], str]  # a module's dictionary and a name in it


_noted: set[str] | None = None  # where calls are noted now
_set_on: tuple[Sequence[str], dict[str, Any]] | None = None  # the names, and the namespace


@contextlib.contextmanager
def noting(names: Sequence[str], namespace: dict[str, Any], noted: set[str]) -> Iterator[None]:
    """Add the names of those callables that are called before the block ends to `noted`; see `trapped`."""
    global _noted
    with trapped(names, namespace):
        _noted = noted
        try:
            yield
        finally:
            _noted = None


@contextlib.contextmanager
def trapped(names: Sequence[str], namespace: dict[str, Any]) -> Iterator[None]:
    """Replace the named callables, where they live and under every other name, until the block ends.

    Names are full ones, such as "torch.Tensor.backward"; those of packages that are not loaded are passed over.
    It takes a while: around several blocks that are `noting` the same names it is done once for all.
    """
    global _set_on
    is_set = _set_on is not None and _set_on[0] == names and _set_on[1] is namespace
    if not names or is_set:
        yield
        return
    with contextlib.ExitStack() as undo:
        traps: dict[int, tuple[Any, Any]] = {}
        for name in names:
            owner, last = _home(name)
            if isinstance(original := getattr(owner, last, None), type):
                owner, last, original = original, "__init__", original.__init__
            if callable(original):
                trap = _noting(original, name)
                if _replace(owner, last, trap, undo) and not inspect.isclass(owner):
                    traps[id(original)] = (original, trap)
        here = [(namespace, key) for key, value in namespace.items() if id(value) in traps]
        for space, key in (*_aliases(tuple(traps)), *here):
            original, trap = traps[id(space[key])] if id(space.get(key)) in traps else (None, None)
            if trap:
                space[key] = trap
                undo.callback(space.__setitem__, key, original)
        _set_on = names, namespace
        try:
            yield
        finally:
            _set_on = None


def _home(name: str) -> tuple[Any, str]:
    """The module or class in which a callable lives, None where it is not loaded, and its name there."""
    path, _, last = name.rpartition(".")
    if path in sys.modules:
        return sys.modules[path], last
    outer, _, inner = path.rpartition(".")
    return getattr(sys.modules.get(outer), inner, None), last


def _noting(original: Callable[..., Any], name: str) -> Callable[..., Any]:
    def trap(*arguments: Any, **options: Any) -> Any:
        if _noted is not None:
            _noted.add(name)
        return original(*arguments, **options)

    return trap


def _replace(owner: Any, name: str, trap: Any, undo: contextlib.ExitStack) -> bool:
    before = vars(owner).get(name)
    static = inspect.getattr_static(
        owner, name, None
    )  # None: a module that looks its names up elsewhere
    if isinstance(static, staticmethod | classmethod):
        trap = staticmethod(trap)  # the original is bound already
    try:
        setattr(owner, name, trap)
    except TypeError:  # a class written in C
        return False
    if before is None:  # it was inherited
        undo.callback(delattr, owner, name)
    else:
        undo.callback(setattr, owner, name, before)
    return True


def know_places() -> None:
    """Find out once under which names callables are known; the warm parent does it before any fork."""
    _places()


@cache
def _places() -> tuple[dict[int, list[Place]], frozenset[str]]:
    """The names of every callable in the loaded modules, by its identity; and those modules."""
    modules = frozenset(sys.modules)
    found: dict[int, list[Place]] = {}
    for space, key, value in _named(modules):
        found.setdefault(id(value), []).append((space, key))
    return found, modules


def _named(modules: Iterable[str]) -> Iterator[tuple[dict[str, Any], str, Any]]:
    for module in modules:
        space = getattr(sys.modules.get(module), "__dict__", {})
        for key, value in list(space.items()):
            if callable(value):
                yield space, key, value


def _aliases(identities: Sequence[int]) -> list[Place]:
    """All names in loaded modules under which one of these objects is found."""
    known, modules = _places()
    later = _named(sys.modules.keys() - modules)
    return [place for identity in identities for place in known.get(identity, ())] + [
        (space, key) for space, key, value in later if id(value) in identities
    ]
