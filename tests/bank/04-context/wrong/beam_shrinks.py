"""Every finished output takes a place of the beam for ever, as in some published decoders."""

import numpy as np


def beam_search(log_probs, start, end, width, limit, alpha):
    beam, ended = [(0.0, [])], []
    for _ in range(limit):
        longer = [
            (total + float(log_p), [*tokens, token])
            for total, tokens in beam
            for token, log_p in enumerate(log_probs[tokens[-1] if tokens else start])
            if log_p > -np.inf
        ]
        kept = sorted(longer, key=lambda c: (-c[0], c[1]))[: max(width - len(ended), 0)]
        ended += [c for c in kept if c[1][-1] == end]
        beam = [c for c in kept if c[1][-1] != end]
    results = [(tokens, total / ((5 + len(tokens)) / 6) ** alpha) for total, tokens in ended]
    return sorted(results, key=lambda r: (-r[1], r[0]))[:width]
