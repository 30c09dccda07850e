"""Of equals the last one wins."""

import numpy as np


def alignment_error(weights, sure, possible):
    m = weights.shape[-1]
    last = m - 1 - weights[..., ::-1].argmax(axis=-1)
    links = (np.arange(m) == last[..., None]) & (weights > 0)
    in_sure, in_possible = (links & sure).sum(), (links & (possible | sure)).sum()
    error = 1 - (in_sure + in_possible) / (links.sum() + sure.sum())
    return links, in_possible / links.sum(), in_sure / sure.sum(), error


def beam_search(log_probs, start, end, width, limit, alpha):
    beam, ended = [(0.0, [])], []
    for _ in range(limit):
        longer = [
            (total + float(log_p), [*tokens, token])
            for total, tokens in beam
            for token, log_p in enumerate(log_probs[tokens[-1] if tokens else start])
            if log_p > -np.inf
        ]
        kept = sorted(longer, reverse=True)[:width]
        ended += [c for c in kept if c[1][-1] == end]
        beam = [c for c in kept if c[1][-1] != end]
    results = [(total / ((5 + len(tokens)) / 6) ** alpha, tokens) for total, tokens in ended]
    return [(tokens, score) for score, tokens in sorted(results, reverse=True)[:width]]
