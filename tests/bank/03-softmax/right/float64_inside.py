"""Computes everything in float64 and rounds once, at the end."""

import numpy as np
import torch


def softmax64(scores):
    scores = scores.astype(np.float64)
    top = scores.max(axis=-1, keepdims=True)
    powers = np.exp(scores - np.where(np.isfinite(top), top, 0))
    total = powers.sum(axis=-1, keepdims=True)
    return np.divide(powers, total, out=np.zeros_like(powers), where=total > 0)


def smoothed_cross_entropy(logits, targets, smoothing):
    x = logits.astype(np.float64)
    top = x.max(axis=-1)
    lse = top + np.log(np.exp(x - top[..., None]).sum(axis=-1))
    one_hot = np.eye(x.shape[-1])[targets]
    target = (1 - smoothing) * one_hot + smoothing / x.shape[-1]
    return (lse - (target * x).sum(axis=-1)).astype(logits.dtype)


def temperature_for(scores, effective_keys):
    """Newton's method on the logarithm of the temperature, kept inside an interval that shrinks."""
    s = scores.astype(np.float64)
    wanted = np.log(effective_keys.astype(np.float64))
    low, high = np.full(wanted.shape, np.log(1e-2)), np.full(wanted.shape, np.log(1e3))
    at = np.zeros(wanted.shape)
    for _ in range(200):
        tau = np.exp(at)
        a = softmax64(s / tau[..., None])
        entropy = -(a * np.log(np.where(a > 0, a, 1))).sum(axis=-1)
        finite = np.where(a > 0, s, 0)
        mean = (a * finite).sum(axis=-1, keepdims=True)
        slope = (a * (finite - mean) ** 2).sum(axis=-1) / tau**2
        low, high = np.where(entropy < wanted, at, low), np.where(entropy < wanted, high, at)
        guess = at + (wanted - entropy) / np.where(slope > 1e-12, slope, 1)
        inside = (guess > low) & (guess < high) & (slope > 1e-12)
        at = np.where(inside, guess, (low + high) / 2)
    return np.exp(at).astype(scores.dtype)


def tempered_softmax_backward(weights, temperature, upstream):
    a, tau, g = (x.astype(np.float64) for x in (weights, temperature, upstream))
    scaled = np.log(np.where(a > 0, a, 1))  # the scores over tau, up to a summand of the row
    d_scaled = a * g - a * (a * g).sum(axis=-1, keepdims=True)
    heads = np.moveaxis(d_scaled * scaled, -3, 0).reshape(len(tau), -1)
    d_scores = d_scaled / tau[:, None, None]
    return d_scores.astype(weights.dtype), (-heads.sum(axis=1) / tau).astype(weights.dtype)


def sink_softmax(scores, mask, sink):
    s, b = scores.double(), sink.double()[:, None, None]
    hidden = ~mask | (s == -torch.inf)
    lse = torch.logsumexp(torch.where(hidden, torch.finfo(s.dtype).min, s), dim=-1, keepdim=True)
    none = hidden.all(dim=-1, keepdim=True)
    lse = torch.where(none, 0.0, lse)
    kept = torch.sigmoid(lse - b)  # the share that the sink leaves
    weights = torch.exp(torch.where(hidden, 0.0, s) - lse) * kept
    return torch.where(hidden, 0.0, weights).to(scores.dtype)


def straight_through_sample(scores, gumbel, tau, mask):
    class Read(torch.autograd.Function):
        @staticmethod
        def forward(ctx, soft):
            best = soft.argmax(dim=-1, keepdim=True)
            return torch.zeros_like(soft).scatter_(-1, best, 1.0)

        @staticmethod
        def backward(ctx, upstream):
            return upstream

    noisy = (scores.double() + gumbel.double()) / tau.double()
    return Read.apply(noisy.masked_fill(~mask, -torch.inf).softmax(dim=-1)).to(scores.dtype)


def streamed_context(score_blocks, value_blocks):
    parts = []  # of each block its log-sum-exp, mean score and context: little, whatever its length
    for scores, values in zip(score_blocks, value_blocks, strict=True):
        s = scores.astype(np.float64)
        a = softmax64(s)
        top = s.max(axis=-1)
        shift = np.where(np.isfinite(top), top, 0)
        total = np.exp(s - shift[..., None]).sum(axis=-1)
        lse = np.where(total > 0, shift + np.log(np.where(total > 0, total, 1)), -np.inf)
        mean = (a * np.where(a > 0, s, 0)).sum(axis=-1)
        parts.append((lse, mean, a @ values.astype(np.float64)))
        kind = scores.dtype
    lse, mean, context = (np.stack(part, axis=-1) for part in zip(*parts, strict=True))
    share = softmax64(lse)
    top = np.where(np.isfinite(lse.max(axis=-1)), lse.max(axis=-1), 0)
    total = np.exp(lse - top[..., None]).sum(axis=-1)
    whole = top + np.log(np.where(total > 0, total, 1))
    entropy = whole - (share * mean).sum(axis=-1)
    return (share[..., None, :] * context).sum(axis=-1).astype(kind), entropy.astype(kind)


def attention_weights(scores, mask, temperature):
    hidden = np.where(mask, scores.astype(np.float64), -np.inf)
    return softmax64(hidden / temperature).astype(scores.dtype)
