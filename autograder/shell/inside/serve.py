"""A student's process: it runs cells as they come, and answers questions in forks of itself."""

import random
import sys

import matplotlib
import numpy as np
import torch

from . import trap
from .answering import Answerer
from .cells import Outputs, Shell, Stream
from .channel import Channel

# Much is loaded only when it is first used; here it is, so that no fork has to.
FIRST_USE = (
    "import random\nimport numpy as np\nimport torch\nimport torch.nn.functional as F\nimport matplotlib.pyplot as plt",
    "np.random.seed(0)\ntorch.manual_seed(0)\nnp.linalg.norm(np.ones((2, 2)) @ np.ones((2, 2)))",
    "np.testing.assert_allclose(1, 1)\nF.conv1d(torch.ones(1, 1, 3), torch.ones(1, 1, 1)) @ torch.ones(3, 3)",
    "plt.plot([0, 1])\nplt.title('$x$')\nplt.show()",
    "def f(x):\n    raise NotImplementedError\nf(1)",
    "this is no Python",
)


def prepare() -> Shell:
    """The one shell of the process, as `display` expects. The warm parent makes it before any fork."""
    torch.set_num_threads(
        1
    )  # a fork after a parallel region would hang, and a class uses the cores better
    matplotlib.interactive(True)  # as in a notebook, where a figure needs no `plt.show()`
    shell = Shell.instance(Outputs())
    before = dict(shell.user_ns)
    for source in FIRST_USE:
        shell.run(source, keep=True)
    shell.user_ns.clear()
    shell.user_ns.update(before)
    trap.know_places()
    return shell


def serve(channel: Channel, shell: Shell, limits: dict[str, float], seed: int) -> None:
    """Answer requests (`run`, `ask`) on `channel` until it is closed."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed % 2**63)
    shell.outputs.most = int(limits["output_bytes"])
    sys.stdout, sys.stderr = Stream("stdout", shell.outputs), Stream("stderr", shell.outputs)
    answerer = Answerer(shell.user_ns, limits)
    channel.send({"ready": True})
    while (request := channel.receive()) is not None:
        if "run" in request:
            answerer.forget()
            reply = shell.run(request["run"], keep=request["keep"])
        else:
            reply = answerer.answer(request["ask"], request["calls"])
        channel.send({"id": request["id"], **reply})
