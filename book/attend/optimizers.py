"""What moves the parameters: which of them decay, at what rate, and Muon. Written by hand.

PyTorch has `torch.optim.Muon` since 2.9. This one is here because it treats all matrices of one shape
in one batched product, and because it can be read.
"""

import math
from collections.abc import Iterable

import torch
from torch import nn

from attend.recipes import Settings

__all__ = ["Muon", "make_optimizers", "orthogonalised", "parameter_groups", "rate_factor"]

# Chosen steep at 0 (Jordan et al. 2024); the price is that values do not settle at 1.
QUINTIC = (3.4445, -4.7750, 2.0315)
# Jordan et al. iterate in bfloat16 on GPUs. So does this, and on processors that multiply matrices of
# bfloat16 (AMX); others keep float32. (PyTorch asks the processor in private functions only.)
CPU_HAS_BFLOAT16 = getattr(torch.cpu, "_is_amx_tile_supported", bool)()


def orthogonalised(matrices: torch.Tensor, iterations: int = 5) -> torch.Tensor:
    """Matrices with the same singular vectors and singular values near 1.

    Args:
        matrices: (..., a, b).
        iterations: of the Newton-Schulz polynomial, each X ← αX + (βA + γA²)X with A = XXᵀ.

    Returns:
        (..., a, b), near U Vᵀ where a matrix is U S Vᵀ: 5 iterations bring singular values to between 0.68
        and 1.21 (up to rounding), but for those below 0.0016 of the matrix's Frobenius norm.

    Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks".
    """
    alpha, beta, gamma = QUINTIC
    x = matrices.bfloat16() if matrices.is_cuda or CPU_HAS_BFLOAT16 else matrices
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x  # XXᵀ is then the smaller of the two squares
    x = x.reshape(-1, *x.shape[-2:])
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)  # no singular value above 1
    for _ in range(iterations):
        square = x @ x.mT
        polynomial = torch.baddbmm(square, square, square, beta=beta, alpha=gamma)
        x = torch.baddbmm(x, polynomial, x, beta=alpha)
    x = (x.mT if tall else x).to(matrices.dtype)
    return x.reshape(matrices.shape)


class Muon(torch.optim.Optimizer):
    """Stochastic gradient descent with Nesterov momentum and orthogonalised updates.

    Args:
        params: matrices (2 axes); embeddings, norms and biases belong to another optimiser.
        lr: how far one step goes, in singular values.
        momentum: share of the past that the running mean of the gradients keeps.
        weight_decay: each step first multiplies weights by 1 - lr · weight_decay.
        iterations: of `orthogonalised`.

    Source: Jordan et al. 2024; updates of tall matrices (a, b) are larger by sqrt(a / b), as in their code.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 0.02,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        iterations: int = 5,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(params, defaults | {"iterations": iterations})

    @torch.no_grad()
    def step(self) -> None:
        """Move all matrices, those of one shape at once."""
        for group in self.param_groups:
            alike: dict[tuple[int, int], list[torch.Tensor]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike.setdefault(tuple(parameter.shape), []).append(parameter)
            for shape, matrices in alike.items():
                self._move(shape, matrices, group)

    def _move(self, shape: tuple[int, int], matrices: list[torch.Tensor], group: dict) -> None:
        momentum, rate = group["momentum"], group["lr"]
        for matrix in matrices:
            if "mean" not in self.state[matrix]:
                self.state[matrix]["mean"] = torch.zeros_like(matrix)
        gradients = [matrix.grad for matrix in matrices]
        means = [self.state[matrix]["mean"] for matrix in matrices]
        torch._foreach_lerp_(means, gradients, 1 - momentum)
        nesterov = torch._foreach_lerp(gradients, means, momentum)
        updates = orthogonalised(torch.stack(nesterov), group["iterations"])
        torch._foreach_mul_(matrices, 1 - rate * group["weight_decay"])
        scale = max(1.0, shape[0] / shape[1]) ** 0.5
        torch._foreach_add_(matrices, list(updates.unbind()), alpha=-rate * scale)


def rate_factor(step: int, s: Settings) -> float:
    """The share of the highest learning rate in step 0, 1, …, steps - 1.

    It rises in a line to 1 in step warmup - 1, and reaches the floor in the last step: along half a cosine
    (Loshchilov and Hutter 2017, equation 5, without restarts), or in a line that begins late.
    """
    if step < s.warmup:
        return (step + 1) / s.warmup
    if s.schedule == "cosine":
        progress = (step + 1 - s.warmup) / (s.steps - s.warmup)
        return s.floor + (1 - s.floor) * (1 + math.cos(math.pi * progress)) / 2
    if s.schedule == "stable":
        left = (s.steps - 1 - step) / max(1, round(s.decay * s.steps))
        return s.floor + (1 - s.floor) * min(1.0, left)
    raise ValueError(f"schedule is {s.schedule!r}, not 'cosine' or 'stable'")


def parameter_groups(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The matrices of linear layers, which decay; and embeddings, norms and biases, which do not.

    A matrix that is shared with an embedding (tied weights) counts as the embedding.
    """
    tables = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    matrices, rest = [], []
    for parameter in model.parameters():  # names a shared one once
        decays = parameter.ndim >= 2 and id(parameter) not in tables
        (matrices if decays else rest).append(parameter)
    return matrices, rest


def make_optimizers(model: nn.Module, s: Settings) -> list[torch.optim.Optimizer]:
    """The optimisers that the settings ask for; each group remembers its highest rate."""
    matrices, rest = parameter_groups(model)
    fused = next(model.parameters()).device.type != "mps"  # there not in PyTorch 2.4
    adam = {"lr": s.rate, "betas": (s.beta1, s.beta2), "fused": fused}
    if s.optimizer == "adamw":
        groups = [
            {"params": matrices, "weight_decay": s.weight_decay},
            {"params": rest, "weight_decay": 0.0},
        ]
        optimizers = [torch.optim.AdamW(groups, **adam)]
    elif s.optimizer == "muon":
        # The matrix of the logits has a row for each token: it is learned like an embedding.
        head = getattr(getattr(model, "output", None), "weight", None)
        inner = [matrix for matrix in matrices if matrix.ndim == 2 and matrix is not head]
        other = [p for p in model.parameters() if all(p is not matrix for matrix in inner)]
        optimizers = [
            Muon(inner, s.matrix_rate, s.momentum, s.weight_decay),
            torch.optim.AdamW(other, weight_decay=0.0, **adam),
        ]
    else:
        raise ValueError(f"optimizer is {s.optimizer!r}, not 'adamw' or 'muon'")
    for group in (group for optimizer in optimizers for group in optimizer.param_groups):
        group["highest"] = group["lr"]
    return optimizers
