"""Right values, but PyTorch differentiates."""

import torch


def gradients_by_path(states, W_h, weights, upstream):
    states, W_h, weights, upstream = map(torch.from_numpy, (states, W_h, weights, upstream))
    before = torch.zeros_like(upstream)
    leaves, context = [], 0
    for t in range(states.shape[1]):
        # The tanh at the given state, as a function of the step before it alone.
        step = before @ W_h
        h = torch.tanh(torch.atanh(states[:, t]) + step - step.detach())
        h = h.detach().requires_grad_() if t == 0 else h
        leaves.append(h)
        context = context + weights[:, t, None] * h
        before = h
    total = torch.autograd.grad((context * upstream).sum(), leaves)
    return weights[:, :, None] * upstream[:, None], torch.stack(total, dim=1)
