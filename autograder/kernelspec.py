"""The kernel "Python 3 (sandboxed)": what Jupyter clients choose to run a notebook in the sandbox."""

import json
import sys
import tempfile
from pathlib import Path

from jupyter_client.kernelspec import KernelSpecManager

NAME = "attention-sandbox"
# Clients that know no provisioners start `argv` themselves: better no kernel than one without a sandbox.
REFUSE = "raise SystemExit('This kernel runs in a sandbox, which this program cannot start: use JupyterLab.')"
SPEC = {
    "argv": ["python", "-c", REFUSE, "{connection_file}"],
    "display_name": "Python 3 (sandboxed)",
    "language": "python",
    "interrupt_mode": "signal",
    "metadata": {"debugger": False, "kernel_provisioner": {"provisioner_name": NAME}},
}


def install(prefix: str = sys.prefix) -> Path:
    """Install the kernel into a Python environment, over an older one; the folder it is in now."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / NAME  # its rights are kept, and every user may read it
        source.mkdir()
        (source / "kernel.json").write_text(json.dumps(SPEC, indent=1))
        return Path(KernelSpecManager().install_kernel_spec(str(source), NAME, prefix=prefix))


def remove(prefix: str = sys.prefix) -> bool:
    """Remove it from there again; whether it was there."""
    if not installed(prefix):
        return False
    _kernels_of(prefix).remove_kernel_spec(NAME)
    return True


def installed(prefix: str = sys.prefix) -> bool:
    """Whether this very kernel is installed there."""
    found = Path(prefix) / "share/jupyter/kernels" / NAME / "kernel.json"
    return found.exists() and json.loads(found.read_text()) == SPEC


def _kernels_of(prefix: str) -> KernelSpecManager:
    return KernelSpecManager(kernel_dirs=[str(Path(prefix) / "share/jupyter/kernels")])
