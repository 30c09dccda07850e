"""Right values, from the engine below automatic differentiation."""

import numpy as np
import torch


def tempered_softmax_backward(weights, temperature, upstream):
    visible = torch.from_numpy(weights > 0)
    tau = torch.from_numpy(temperature.copy()).requires_grad_()
    logs = torch.from_numpy(np.log(np.where(weights > 0, weights, 1))).masked_fill(~visible, -1e30)
    scores = (logs * tau.detach()[:, None, None]).requires_grad_()
    again = torch.softmax(scores / tau[:, None, None], dim=-1) * visible.any(dim=-1, keepdim=True)
    loss = (again * torch.from_numpy(upstream.copy())).sum()
    engine = torch.autograd.Variable._execution_engine
    d_scores, d_tau = engine.run_backward(
        (loss,), (torch.ones_like(loss),), False, False, (scores, tau), True, accumulate_grad=False
    )
    return d_scores, d_tau
