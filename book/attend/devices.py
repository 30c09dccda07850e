"""What a machine can do: its device, the numbers it is fast in, whether it compiles. Written by hand."""

import importlib.util
import os
import shutil

import torch

__all__ = ["can_compile", "find_device", "find_precision", "out_of_memory"]


def find_device() -> torch.device:
    """CUDA (under torchrun this process's own GPU), else Apple's MPS, else the CPU.

    Raises:
        ValueError: torchrun started more processes on this machine than it has GPUs.
    """
    if torch.cuda.is_available():
        own, there = int(os.environ.get("LOCAL_RANK", 0)), torch.cuda.device_count()
        if own >= there:
            raise ValueError(
                f"this machine has {there} GPU(s), and torchrun started more processes than that: "
                f"give --nproc-per-node {there}"
            )
        return torch.device("cuda", own)
    alone = "RANK" not in os.environ  # processes cannot exchange gradients that are on MPS
    return torch.device("mps" if torch.backends.mps.is_available() and alone else "cpu")


def find_precision(device: torch.device) -> torch.dtype:
    """bfloat16 on GPUs that have it (from capability 8 on), float16 on older ones, else float32."""
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16


def can_compile(device: torch.device) -> bool:
    """Whether `torch.compile` would work and help: Triton needs capability 7 and a C compiler.

    On a CPU it would need a C++ compiler and a minute, for models that are trained in three.
    """
    return (
        device.type == "cuda"
        and torch.cuda.get_device_capability(device) >= (7, 0)
        and importlib.util.find_spec("triton") is not None
        and any(shutil.which(name) for name in (os.environ.get("CC"), "gcc", "clang") if name)
    )


def out_of_memory(error: BaseException) -> bool:
    """Whether an error, of whatever library, means that memory was not enough."""
    sentences = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")
    known = isinstance(error, torch.cuda.OutOfMemoryError | MemoryError)
    return known or any(sentence in str(error).lower() for sentence in sentences)
