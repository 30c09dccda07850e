"""Works in place wherever it can, on copies of its own."""

import numpy as np
import torch


def smoothed_cross_entropy(logits, targets, smoothing):
    log_p = logits.copy()
    log_p -= log_p.max(axis=-1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(axis=-1, keepdims=True))
    share = np.full(logits.shape, smoothing / logits.shape[-1], dtype=logits.dtype)
    own = np.take_along_axis(share, targets[..., None], axis=-1) + (1 - smoothing)
    np.put_along_axis(share, targets[..., None], own, axis=-1)
    share *= log_p
    return -share.sum(axis=-1)


def temperature_for(scores, effective_keys):
    wanted = np.log(effective_keys)
    low = np.full(wanted.shape, 1e-2, dtype=scores.dtype)
    high = np.full(wanted.shape, 1e3, dtype=scores.dtype)
    for _ in range(90):
        middle = np.sqrt(low * high)
        a = scores / middle[..., None]
        a -= a.max(axis=-1, keepdims=True)
        np.exp(a, out=a)
        a /= a.sum(axis=-1, keepdims=True)
        logs = np.zeros_like(a)
        np.log(a, out=logs, where=a > 0)
        logs *= a
        cold = -logs.sum(axis=-1) < wanted
        low[cold] = middle[cold]
        high[~cold] = middle[~cold]
    return np.sqrt(low * high)


def tempered_softmax_backward(weights, temperature, upstream):
    d_scores = upstream.copy()
    d_scores -= (weights * upstream).sum(axis=-1, keepdims=True)
    d_scores *= weights
    d_scores /= temperature[:, None, None]
    logs = np.zeros_like(weights)
    np.log(weights, out=logs, where=weights > 0)
    logs *= d_scores
    d_temperature = np.zeros_like(temperature)
    for head in range(len(temperature)):
        d_temperature[head] -= logs[..., head, :, :].sum()
    return d_scores, d_temperature


def sink_softmax(scores, mask, sink):
    batch, heads, n, m = scores.shape
    logits = scores.new_full((batch, heads, n, m + 1), -torch.inf)
    logits[..., :m] = scores.masked_fill(~mask, -torch.inf)
    logits[..., m] = sink[:, None]
    nothing = logits.detach().isinf().all(dim=-1)
    logits[nothing] = 0.0
    weights = logits.softmax(dim=-1)[..., :m].clone()
    weights[nothing] = 0.0
    return weights


def straight_through_sample(scores, gumbel, tau, mask):
    noisy = scores.clone()
    noisy += gumbel
    noisy /= tau
    noisy.masked_fill_(~mask, -torch.inf)
    soft = noisy.softmax(dim=-1)
    hard = soft.detach().clone().zero_()
    hard.scatter_(-1, noisy.argmax(dim=-1, keepdim=True), 1.0)
    return hard.sub_(soft.detach()).add(soft)


def streamed_context(score_blocks, value_blocks):
    started = False
    for scores, values in zip(score_blocks, value_blocks, strict=True):
        if not started:
            started, kind = True, scores.dtype
            top = np.full(scores.shape[:-1], -np.inf, dtype=kind)
            total, spread = np.zeros_like(top), np.zeros_like(top)
            context = np.zeros((*top.shape, values.shape[-1]), dtype=kind)
        block = scores.max(axis=-1)
        grown = block > top
        factor = np.ones_like(top)
        factor[grown] = np.exp(top[grown] - block[grown])
        moved = np.where(grown & (total > 0), top - block, 0)
        moved[np.isnan(moved)] = 0
        spread += moved * total  # sums of e^(s - top) (s - top) move with the maximum
        spread *= factor
        total *= factor
        context *= factor[..., None]
        top[grown] = block[grown]
        gap = scores - np.where(top == -np.inf, 0, top)[..., None]
        powers = np.exp(gap)
        gap[powers == 0] = 0
        total += powers.sum(axis=-1)
        spread += (powers * gap).sum(axis=-1)
        context += powers @ values
    total[total == 0] = 1
    context /= total[..., None]
    return context, np.log(total) - spread / total


def attention_weights(scores, mask, temperature):
    visible = np.broadcast_to(mask, scores.shape)
    weights = scores / temperature
    weights[~visible] = -np.inf
    largest = weights.max(axis=-1, keepdims=True)
    largest[largest == -np.inf] = 0
    weights -= largest
    np.exp(weights, out=weights)
    total = weights.sum(axis=-1, keepdims=True)
    np.divide(weights, total, out=weights, where=total > 0)
    return weights
