"""Right answers in plain loops over rows and keys."""

import math

import numpy as np
import torch


def peak(row):
    top = max(row)
    return 0.0 if top == -math.inf else top


def shares(row):
    """Softmax of a list; zeros where it holds nothing."""
    top = peak(row)
    powers = [math.exp(x - top) for x in row]
    total = sum(powers)
    return [x / total if total else 0.0 for x in powers]


def smoothed_cross_entropy(logits, targets, smoothing):
    classes = logits.shape[-1]
    losses = np.empty(targets.shape, dtype=logits.dtype)
    for at in np.ndindex(*targets.shape):
        row = [float(x) for x in logits[at]]
        lse = max(row) + math.log(sum(math.exp(x - max(row)) for x in row))
        loss = 0.0
        for c in range(classes):
            share = smoothing / classes + (1 - smoothing if c == targets[at] else 0)
            loss += share * (lse - row[c])
        losses[at] = loss
    return losses


def temperature_for(scores, effective_keys):
    found = np.empty(effective_keys.shape, dtype=scores.dtype)
    for at in np.ndindex(*effective_keys.shape):
        row, wanted = [float(x) for x in scores[at]], math.log(effective_keys[at])
        low, high = 0.01, 1000.0
        while high / low > 1 + 1e-13:
            middle = math.sqrt(low * high)
            entropy = -sum(a * math.log(a) for a in shares([x / middle for x in row]) if a > 0)
            if entropy < wanted:
                low = middle
            else:
                high = middle
        found[at] = low
    return found


def tempered_softmax_backward(weights, temperature, upstream):
    d_scores, d_temperature = np.zeros_like(weights), np.zeros_like(temperature)
    for at in np.ndindex(*weights.shape[:-1]):
        a, g, tau = weights[at], upstream[at], temperature[at[-2]]
        average = float((a * g).sum())
        for j in range(len(a)):
            if a[j] > 0:
                d_scores[(*at, j)] = a[j] * (g[j] - average) / tau
                d_temperature[at[-2]] -= d_scores[(*at, j)] * math.log(a[j])
    return d_scores, d_temperature


def sink_softmax(scores, mask, sink):
    mask = mask.expand(scores.shape)
    batch, heads, n, m = scores.shape
    rows = []
    for b in range(batch):
        for h in range(heads):
            for i in range(n):
                seen = [
                    j
                    for j in range(m)
                    if mask[b, h, i, j] and scores[b, h, i, j].item() > -math.inf
                ]
                logits = [scores[b, h, i, j] for j in seen]
                if sink[h].item() > -math.inf:
                    logits.append(sink[h])
                row = [torch.zeros((), dtype=scores.dtype)] * m
                if logits:
                    lse = torch.logsumexp(torch.stack(logits), 0)
                    for j in seen:
                        row[j] = torch.exp(scores[b, h, i, j] - lse)
                rows.append(torch.stack(row))
    return torch.stack(rows).reshape(batch, heads, n, m)


def straight_through_sample(scores, gumbel, tau, mask):
    mask = mask.expand(scores.shape)
    result = torch.zeros_like(scores)
    for at in np.ndindex(*scores.shape[:-1]):
        seen = [j for j in range(scores.shape[-1]) if mask[at][j]]
        sums = torch.stack([scores[at][j] + gumbel[at][j] for j in seen])
        powers = torch.exp((sums - sums.max().detach()) / tau)
        soft = powers / powers.sum()
        best = int(sums.argmax())
        for place, j in enumerate(seen):
            result[(*at, j)] = soft[place] - soft[place].detach() + (1.0 if place == best else 0.0)
    return result


def streamed_context(score_blocks, value_blocks):
    state = None
    for scores, values in zip(score_blocks, value_blocks, strict=True):
        if state is None:
            leading, kind, width = scores.shape[:-1], scores.dtype, values.shape[-1]
            state = {at: (-math.inf, 0.0, 0.0, [0.0] * width) for at in np.ndindex(*leading)}
        for at in state:
            top, total, spread, sums = state[at]
            for s, v in zip(scores[at].tolist(), values[at[:-1]].tolist(), strict=True):
                if s == -math.inf:
                    continue
                if s > top:
                    factor, moved = (math.exp(top - s), top - s) if total else (0.0, 0.0)
                    spread = factor * (spread + moved * total)  # sum of e^(s - top) (s - top)
                    total, sums, top = factor * total, [factor * x for x in sums], s
                power = math.exp(s - top)
                total, spread = total + power, spread + power * (s - top)
                sums = [x + power * y for x, y in zip(sums, v, strict=True)]
            state[at] = top, total, spread, sums
    context, entropy = np.zeros((*leading, width), kind), np.zeros(leading, kind)
    for at, (_, total, spread, sums) in state.items():
        if total:
            context[at] = [x / total for x in sums]
            entropy[at] = math.log(total) - spread / total
    return context, entropy


def attention_weights(scores, mask, temperature):
    mask = np.broadcast_to(mask, scores.shape)
    weights = np.zeros_like(scores)
    for at in np.ndindex(*scores.shape[:-1]):
        row = [
            s / temperature if seen else -math.inf
            for s, seen in zip(scores[at].tolist(), mask[at], strict=True)
        ]
        weights[at] = shares(row)
    return weights
