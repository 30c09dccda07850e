"""Attacks by a model's file, and by the code that is given it: answers that are not known, files that are none."""

import json
import os
import pickle
import struct

from .assignment import RIGHT, model_bytes
from .attack import Attack, register

RATE = RIGHT["rate"]


def _answered(name, tries, program):
    """`rate` is answered by this program, beside an honest file."""
    register(
        Attack(
            name,
            tries,
            answers=(("rate", program),),
            place=_placing(name, model_bytes()),
            spared=("plain", "tensor"),
        )
    )


def _placing(name, content):
    """Hands in the notebook, and beside it a file or what `content(path)` makes there."""

    def place(stage, text):
        folder = stage.folder(name)
        (folder / "hostile.ipynb").write_text(text)
        path = folder / "model.safetensors"
        if callable(content):
            content(stage, path)
        else:
            path.write_bytes(content)

    return place


def _filed(name, tries, content):
    """`rate` is answered rightly, but the file is hostile."""
    answers = (("rate", RATE),)
    register(
        Attack(
            name, tries, answers=answers, place=_placing(name, content), spared=("plain", "tensor")
        )
    )


def _header(header, body=b"", length=None):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + body


ONE = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
SIZES = {"__metadata__": {"sizes": "[1, 2, 3, 4, 5]"}}


class Harm:
    """What it is pickled as leaves a name outside when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"echo harmed by hands-in-a-pickle >> {self.path}",)


_filed("hands-in-a-pickle", "hands in a pickle that runs a program when it is read",
       lambda stage, path: path.write_bytes(pickle.dumps(Harm(stage.harm_file))))  # fmt: skip
_filed(
    "declares-a-huge-header", "says that its header has four exabytes", _header(b"{}", length=2**62)
)
_filed("nests-its-header", "nests its header a million deep", _header(b'{"a":' * 160_000))
_filed(
    "declares-a-huge-tensor",
    "says that eight bytes are a tensor of a yottabyte",
    _header(SIZES | {"weight": {**ONE, "shape": [2**40, 2**40]}}, bytes(8)),
)
_filed(
    "shares-its-bytes",
    "lets two thousand tensors be made of the same bytes",
    _header(
        SIZES
        | {f"w{n}": {**ONE, "shape": [7000], "data_offsets": [0, 28000]} for n in range(2000)},
        bytes(28000),
    ),
)
_filed("links-its-model", "hands in a link to a better student's model",
       lambda stage, path: path.symlink_to(stage.folder("ada") / path.name))  # fmt: skip
_filed("pipes-its-model", "hands in a pipe as its model, to which nobody writes",
       lambda stage, path: os.mkfifo(path))  # fmt: skip
_filed("links-to-endless-zeros", "hands in a link to a device that never ends as its model",
       lambda stage, path: path.symlink_to("/dev/zero"))  # fmt: skip


def _hollow(stage, path):
    with path.open("wb") as file:
        file.truncate(10**8)


_filed("hands-in-a-hole", "hands in a file that is a hole of a hundred megabytes", _hollow)

_answered(
    "looks-for-the-targets",
    "looks for what follows the prefixes in everything that its process can see",
    "def rate(weights, sizes, prefixes):\n"
    "    frames, frame = [], sys._getframe()\n"
    "    while frame:\n"
    "        frames.append({**frame.f_globals, **frame.f_locals})\n"
    "        frame = frame.f_back\n"
    "    for thing in [*frames, *gc.get_objects()]:\n"
    "        found = attempt(lambda: thing['target'] if isinstance(thing, dict) else thing.target)\n"
    "        if isinstance(found, np.ndarray) and found.shape == (len(prefixes),):\n"
    "            return torch.nn.functional.one_hot(torch.tensor(found), 4) * 50.0\n"
    "    return torch.zeros(len(prefixes), 4)",
)
_answered(
    "learns-from-the-others",
    "finds what follows a prefix in the prefixes that it was given beside it",
    "def rate(weights, sizes, prefixes):\n"
    "    counts = torch.full((4, 4), 1e-3)\n"
    "    for row in prefixes:\n"
    "        counts.index_put_((row[:-1], row[1:]), torch.ones(len(row) - 1), accumulate=True)\n"
    "    return counts[prefixes[:, -1]].log()",
)
_answered(
    "remembers-the-others",
    "keeps the prefixes of one call, on disk and in memory, for the next",
    "def rate(weights, sizes, prefixes):\n"
    "    kept = Path('kept.npy')\n"
    "    rows = prefixes.numpy()\n"
    "    for other in (attempt(np.load, kept), globals().get('KEPT'), getattr(torch, 'kept', None)):\n"
    "        rows = rows if other is None or len(other) <= len(rows) else other\n"
    "    globals()['KEPT'] = torch.kept = rows\n"
    "    attempt(np.save, kept, rows)\n"
    "    counts = np.full((4, 4), 1e-3)\n"
    "    np.add.at(counts, (rows[:, :-1].ravel(), rows[:, 1:].ravel()), 1)\n"
    "    return torch.tensor(np.log(counts))[prefixes[:, -1]]",
)
_answered(
    "promises-everything",
    "gives logits that are no distribution: each of all symbols the likeliest",
    "def rate(weights, sizes, prefixes):\n    return torch.full((len(prefixes), 4), 1e30)",
)
_answered(
    "never-rates",
    "keeps the grader waiting with its model",
    "def rate(weights, sizes, prefixes):\n    while True:\n        pass",
)
