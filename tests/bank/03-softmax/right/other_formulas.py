"""Other formulas for the same: masked arrays, Newton's method, covariances, a sigmoid, a Function, a class."""

import numpy as np
import torch
import torch.nn.functional as F


def smoothed_cross_entropy(logits, targets, smoothing):
    ordered = np.sort(logits, axis=-1)
    top = ordered[..., -1]
    lse = top + np.log1p(np.exp(ordered[..., :-1] - top[..., None]).sum(axis=-1))
    own = np.choose(targets, np.moveaxis(logits, -1, 0))
    return lse - (1 - smoothing) * own - smoothing * logits.mean(axis=-1)


def temperature_for(scores, effective_keys):
    wanted = np.log(effective_keys.astype(float))
    s = np.ma.masked_invalid(scores.astype(float))
    s = s - s.max(axis=-1, keepdims=True)
    low, high = np.full(wanted.shape, np.log(1e-2)), np.full(wanted.shape, np.log(1e3))
    x = (low + high) / 2
    for _ in range(100):  # Newton's method in the logarithm, kept between the ends
        t = s / np.exp(x)[..., None]
        powers = np.exp(t)
        weights = powers / powers.sum(axis=-1, keepdims=True)
        mean = (weights * t).sum(axis=-1)
        entropy = np.ma.filled(np.log(powers.sum(axis=-1)) - mean, 0)
        slope = np.ma.filled((weights * (t - mean[..., None]) ** 2).sum(axis=-1), 0)
        low, high = np.where(entropy < wanted, x, low), np.where(entropy < wanted, high, x)
        step = (wanted - entropy) / np.maximum(slope, 1e-12)
        x = np.where((x + step > low) & (x + step < high), x + step, (low + high) / 2)
    return np.exp(x).astype(scores.dtype)


def tempered_softmax_backward(weights, temperature, upstream):
    def mean(x):
        return (weights * x).sum(axis=-1, keepdims=True)

    logs = np.log(weights, out=np.zeros_like(weights), where=weights > 0)
    d_scores = weights * (upstream - mean(upstream)) / temperature[:, None, None]
    covariance = (mean(upstream * logs) - mean(upstream) * mean(logs))[..., 0]
    d_tau = np.moveaxis(-covariance, -2, 0).reshape(len(temperature), -1).sum(axis=-1) / temperature
    return [d_scores, d_tau]


def sink_softmax(scores, mask, sink):
    scores = scores.masked_fill(~mask, -torch.inf)
    nothing = (scores == -torch.inf).all(dim=-1, keepdim=True)
    scores = scores.masked_fill(nothing, 0.0)
    ahead = torch.logsumexp(scores, dim=-1, keepdim=True) - sink[:, None, None]
    return torch.softmax(scores, dim=-1) * torch.sigmoid(ahead) * ~nothing


class StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, soft):
        return F.one_hot(soft.argmax(dim=-1), soft.shape[-1]).to(soft.dtype)

    @staticmethod
    def backward(ctx, upstream):
        return upstream


def straight_through_sample(scores, gumbel, tau, mask):
    lowest = torch.finfo(scores.dtype).min
    return StraightThrough.apply(
        torch.softmax(((scores + gumbel) / tau).masked_fill(~mask, lowest), dim=-1)
    )


class Reader:
    """Keeps the sum of e^(s - M) (s - M), which is re-based in both factors."""

    largest = None

    def read(self, scores, values):
        new = scores.max(axis=-1, keepdims=True)
        if self.largest is None:
            self.largest = np.full_like(new, -np.inf)
            self.total, self.moment = np.zeros_like(new), np.zeros_like(new)
            self.context = 0.0
        new = np.maximum(self.largest, new)
        seen, before = new > -np.inf, self.largest > -np.inf
        shift = np.where(seen, new, 0)
        powers = np.exp(scores - shift)
        away = np.where(scores > -np.inf, scores - shift, 0)
        moved = np.where(before, self.largest, shift) - shift
        factor = np.exp(moved) * before
        self.moment = factor * (self.moment + self.total * moved)
        self.moment = self.moment + (powers * away).sum(axis=-1, keepdims=True)
        self.total = factor * self.total + powers.sum(axis=-1, keepdims=True)
        self.context = factor * self.context + powers @ values
        self.largest = new


def streamed_context(score_blocks, value_blocks):
    reader = Reader()
    for scores in score_blocks:
        reader.read(scores, next(value_blocks))
    total = np.where(reader.total == 0, 1, reader.total)
    return [reader.context / total, np.squeeze(np.log(total) - reader.moment / total, axis=-1)]


def attention_weights(scores, mask, temperature):
    visible = np.ma.array(scores / temperature, mask=~np.broadcast_to(mask, scores.shape))
    powers = np.ma.filled(np.exp(visible - visible.max(axis=-1, keepdims=True)), 0)
    total = powers.sum(axis=-1, keepdims=True)
    return np.divide(powers, total, out=np.zeros_like(powers), where=total > 0)
