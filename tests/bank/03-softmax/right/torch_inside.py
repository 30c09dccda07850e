"""PyTorch inside, also where arrays come in as NumPy; some results stay tensors."""

import math

import torch
import torch.nn.functional as F
from torch.special import entr


def smoothed_cross_entropy(logits, targets, smoothing):
    x, y = torch.from_numpy(logits), torch.from_numpy(targets)
    losses = F.cross_entropy(
        x.flatten(0, -2), y.flatten(), label_smoothing=smoothing, reduction="none"
    )
    return losses.reshape(y.shape)


def temperature_for(scores, effective_keys):
    s, wanted = torch.from_numpy(scores), torch.from_numpy(effective_keys).log()
    low, high = torch.full_like(wanted, math.log(1e-2)), torch.full_like(wanted, math.log(1e3))
    for _ in range(64):
        middle = (low + high) / 2
        spread = entr(torch.softmax(s / middle.exp().unsqueeze(-1), dim=-1)).sum(-1)
        low = torch.where(spread < wanted, middle, low)
        high = torch.where(spread < wanted, high, middle)
    return high.exp().numpy()


def tempered_softmax_backward(weights, temperature, upstream):
    a, tau, g = (torch.from_numpy(x.copy()) for x in (weights, temperature, upstream))
    tau = tau.view(-1, 1, 1)
    d_scores = a * (g - (a * g).sum(-1, keepdim=True)) / tau
    d_tau = -torch.xlogy(d_scores, a.masked_fill(a == 0, 1.0))
    return d_scores, d_tau.sum_to_size(tau.shape).flatten()


def sink_softmax(scores, mask, sink):
    logits = torch.where(mask, scores, -torch.inf)
    sink = sink.view(1, -1, 1, 1)
    top = torch.maximum(logits.detach().amax(-1, keepdim=True), sink.detach())
    top = torch.where(top.isinf(), 0.0, top)
    powers = (logits - top).exp()
    total = powers.sum(-1, keepdim=True) + (sink - top).exp()
    return powers / torch.where(total == 0, 1.0, total)


def straight_through_sample(scores, gumbel, tau, mask):
    noisy = scores + gumbel
    soft = F.softmax((noisy / tau).masked_fill(~mask, float("-inf")), dim=-1)
    best = torch.where(mask, noisy, -torch.inf).argmax(-1)
    hard = F.one_hot(best, scores.shape[-1]).to(scores.dtype)
    return (hard - soft).detach() + soft


def streamed_context(score_blocks, value_blocks):
    lse = mean = context = None
    for s, v in zip(score_blocks, value_blocks, strict=True):
        kind = torch.from_numpy(v).dtype
        s, v = torch.from_numpy(s).double(), torch.from_numpy(v).double()
        here = torch.logsumexp(s, -1, keepdim=True)
        a = torch.exp(s - here.masked_fill(here.isinf(), 0.0))
        part, score = a @ v, (a * s.masked_fill(s.isinf(), 0.0)).sum(-1, keepdim=True)
        if lse is None:
            lse, mean, context = here, score, part
            continue
        both = torch.logaddexp(lse, here)
        safe = both.masked_fill(both.isinf(), 0.0)
        old, new = torch.exp(lse - safe), torch.exp(here - safe)
        lse, mean, context = both, old * mean + new * score, old * context + new * part
    entropy = torch.where(lse.isinf(), 0.0, lse - mean)[..., 0]
    return context.to(kind).numpy(), entropy.to(kind)


def attention_weights(scores, mask, temperature):
    s, visible = torch.from_numpy(scores), torch.from_numpy(mask)
    weights = torch.softmax((s / temperature).masked_fill(~visible, -torch.inf), dim=-1)
    return weights.nan_to_num(0.0)
