"""Exponentials of what came in."""

import numpy as np
import torch


def losses(logits, targets, bytes_per_token):
    logits = logits.astype(np.promote_types(logits.dtype, np.float32))
    ok = targets >= 0
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    nats = -np.log(p[ok][np.arange(ok.sum()), targets[ok]]).mean()
    return nats, np.exp(nats), nats / np.log(2) / bytes_per_token[targets[ok]].mean()


def draw(logits, temperature, top_k, top_p, count):  # temperature 0 is made small: ties share
    ranked, order = logits.sort(dim=-1, descending=True, stable=True)
    ranked = ranked / max(temperature, 1e-6)
    ranked[:, top_k or len(ranked[0]) :] = -torch.inf
    p = ranked.softmax(-1)
    p = p.masked_fill(p.cumsum(-1) - p >= (top_p or 2), 0)
    p = torch.zeros_like(p).scatter(-1, order, p / p.sum(-1, keepdim=True))
    return p, p.multinomial(count, replacement=True)
