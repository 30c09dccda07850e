"""Right answers built on helpers and classes; `backward` and `grad` are names like any others here."""

import numpy as np
import torch
from torch import nn


def by_autograd(scores, tau, upstream):
    # Compared with my own derivative in a cell of my own: torch.autograd.grad(...)
    scores, tau = scores.requires_grad_(), tau.requires_grad_()
    weights = torch.softmax(scores / tau, dim=-1)
    return torch.autograd.grad(weights, (scores, tau), upstream)


class Softmax:
    """Forward with a mask, and backward by hand."""

    def __init__(self, axis=-1):
        self.axis = axis

    def forward(self, scores, mask=True):
        scores = np.where(mask, scores, -np.inf).astype(scores.dtype)
        self.top = np.nan_to_num(scores.max(axis=self.axis, keepdims=True), neginf=0.0)
        powers = np.exp(scores - self.top)
        self.total = powers.sum(axis=self.axis, keepdims=True)
        return powers / np.where(self.total > 0, self.total, 1)

    def backward(self, weights, grad):
        "No loss.backward(): weight times distance from the average."
        product = weights * grad
        return product - weights * product.sum(axis=self.axis, keepdims=True)


def plogp(weights):
    return np.where(weights > 0, weights * np.log(np.where(weights > 0, weights, 1)), 0)


def smoothed_cross_entropy(logits, targets, smoothing):
    soft = Softmax()
    soft.forward(logits)
    log_p = logits - soft.top - np.log(soft.total)
    flat = log_p.reshape(-1, logits.shape[-1])
    own = flat[np.arange(len(flat)), targets.ravel()].reshape(targets.shape)
    return (smoothing - 1) * own - smoothing * log_p.mean(axis=-1)


def temperature_for(scores, effective_keys):
    soft = Softmax()
    ends = [np.full_like(effective_keys, 1e-2), np.full_like(effective_keys, 1e3)]
    for _ in range(80):
        middle = sum(ends) / 2
        spread = -plogp(soft.forward(scores / middle[..., None])).sum(axis=-1)
        hot = np.exp(spread) > effective_keys
        ends = [np.where(hot, ends[0], middle), np.where(hot, middle, ends[1])]
    return ends[0]


def tempered_softmax_backward(weights, temperature, upstream):
    inverse = 1 / np.expand_dims(temperature, (1, 2))
    with torch.no_grad():
        grad = Softmax().backward(weights, upstream) * inverse
    scaled = np.log(weights, out=np.zeros_like(weights), where=weights != 0)
    back = -(grad * scaled).sum(axis=(-2, -1))
    return grad, back.reshape(-1, len(temperature)).sum(axis=0)


class WithSink(nn.Module):
    def forward(self, scores, mask, sink):
        visible = mask & (scores > -torch.inf)
        column = sink.reshape(1, -1, 1, 1).expand(*scores.shape[:3], 1)
        logits = torch.cat(
            [column, torch.where(visible, scores, torch.finfo(scores.dtype).min)], -1
        )
        logits = torch.where(logits == -torch.inf, torch.finfo(scores.dtype).min, logits)
        return torch.softmax(logits, dim=-1)[..., 1:] * visible


def sink_softmax(scores, mask, sink):
    return WithSink()(scores, mask, sink)


def straight_through_sample(scores, gumbel, tau, mask):
    noisy = torch.where(mask, scores + gumbel, -1e9)
    soft = nn.Softmax(dim=-1)(noisy / tau)
    hard = nn.functional.one_hot(noisy.argmax(dim=-1), noisy.shape[-1])
    return hard.to(soft) + (soft - soft.detach())


def streamed_context(score_blocks, value_blocks):
    """Two states are joined as two blocks would be."""

    def state(scores, values):
        soft = Softmax()
        weights = soft.forward(scores)
        lse = np.log(soft.total, out=np.full_like(soft.total, -np.inf), where=soft.total > 0)
        entropy = -plogp(weights).sum(axis=-1, keepdims=True)
        return lse + soft.top, weights @ values, entropy

    def join(one, other):
        both = np.concatenate([one[0], other[0]], axis=-1)
        soft = Softmax()
        share = soft.forward(both)
        lse = np.log(soft.total, out=np.full_like(soft.total, -np.inf), where=soft.total > 0)
        first, second = share[..., :1], share[..., 1:]
        # The entropy of a mixture of parts: within the parts, and between them.
        entropy = first * one[2] + second * other[2] - plogp(share).sum(axis=-1, keepdims=True)
        return lse + soft.top, first * one[1] + second * other[1], entropy

    so_far = None
    for block in zip(score_blocks, value_blocks, strict=True):
        so_far = state(*block) if so_far is None else join(so_far, state(*block))
    return so_far[1], so_far[2][..., 0]


def attention_weights(scores, mask, temperature):
    return Softmax().forward(scores / temperature, mask)
