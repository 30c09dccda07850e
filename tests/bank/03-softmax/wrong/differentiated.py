"""Right values by automatic differentiation, which the task forbids: the plain form."""

import torch


def tempered_softmax_backward(weights, temperature, upstream):
    a, tau, g = (torch.tensor(x) for x in (weights, temperature, upstream))
    scores = (torch.log(a).clamp(min=-1e6) * tau.view(-1, 1, 1)).requires_grad_()
    tau.requires_grad_()
    empty = (a == 0).all(dim=-1, keepdim=True)
    again = torch.softmax(scores / tau.view(-1, 1, 1), dim=-1).masked_fill(empty, 0.0)
    d_scores, d_tau = torch.autograd.grad((again * g).sum(), [scores, tau])
    return d_scores.numpy(), d_tau.numpy()
