"""Right answers as short as they get."""

import numpy as np
import torch


def smoothed_cross_entropy(logits, targets, smoothing):
    log_p = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    share = (1 - smoothing) * (np.arange(logits.shape[-1]) == targets[..., None])
    return -((share + smoothing / logits.shape[-1]) * log_p).sum(-1).astype(logits.dtype)


def temperature_for(scores, effective_keys):
    log, step = np.log(effective_keys) * 0 + np.log(3.0), 6.0
    s = scores - scores.max(-1, keepdims=True)
    for _ in range(70):
        a = np.exp(s / np.exp(log)[..., None])
        a /= a.sum(-1, keepdims=True)
        spread = -(a * np.log(a + (a == 0))).sum(-1)
        log, step = log + np.where(spread < np.log(effective_keys), step, -step), step / 2
    return np.exp(log).astype(scores.dtype)


def tempered_softmax_backward(weights, temperature, upstream):
    d = weights * (upstream - np.einsum("...j,...j->...", weights, upstream)[..., None])
    d = d / temperature[:, None, None]
    return d, -np.einsum(
        "bhij,bhij->h",
        *(x.reshape(-1, *x.shape[-3:]) for x in (d, np.log(weights + (weights == 0)))),
    )


def sink_softmax(scores, mask, sink):
    logits = scores + torch.where(mask, 0.0, -torch.inf).to(scores.dtype)
    top = torch.cat([logits, sink.view(-1, 1, 1).expand(*scores.shape[:3], 1)], -1)
    top = top.detach().amax(-1, keepdim=True).clamp(min=torch.finfo(scores.dtype).min)
    powers = torch.exp(logits - top)
    total = powers.sum(-1, keepdim=True) + torch.exp(sink.view(-1, 1, 1) - top)
    return powers / (total + (total == 0))


def straight_through_sample(scores, gumbel, tau, mask):
    x = (scores + gumbel) / tau
    soft = torch.where(mask, x, -1e30 if x.dtype == torch.float64 else -1e9).softmax(-1)
    return soft + ((soft == soft.amax(-1, keepdim=True)).to(soft) - soft).detach()


def streamed_context(score_blocks, value_blocks):
    top = z = o = t = None
    for s, v in zip(score_blocks, value_blocks, strict=True):
        new = np.maximum(s.max(-1, keepdims=True), np.finfo(s.dtype).min if top is None else top)
        r = 0 if top is None else np.exp(top - new)
        p = np.exp(s - new)
        z = p.sum(-1, keepdims=True) + (0 if z is None else r * z)
        o = p @ v + (0 if o is None else r * o)
        x = p * np.where(p > 0, s, 0)
        t = x.sum(-1, keepdims=True) + (0 if t is None else r * t)
        top = new
    seen = np.where(z, z, 1)
    return o / seen, np.where(z, top + np.log(seen) - t / seen, 0)[..., 0]


def attention_weights(scores, mask, temperature):
    e = np.where(mask, scores, -np.inf)
    e = np.exp((e - np.maximum(e.max(-1, keepdims=True), np.finfo(e.dtype).min)) / temperature)
    return e / np.maximum(e.sum(-1, keepdims=True), np.finfo(e.dtype).tiny)
