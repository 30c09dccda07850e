"""What ends takes no place: the beam is filled up from the continuations of the same step."""

import numpy as np


def beam_search(log_probs, start, end, width, limit, alpha):
    beam, done = [(0.0, [])], []
    for _ in range(limit):
        new = [
            (t + float(x), [*k, y])
            for t, k in beam
            for y, x in enumerate(log_probs[k[-1] if k else start])
            if x > -np.inf
        ]
        new = sorted(new, key=lambda c: (-c[0], c[1]))
        done += [c for c in new[:width] if c[1][-1] == end]
        beam = [c for c in new if c[1][-1] != end][:width]
    r = [(k, t / ((5 + len(k)) / 6) ** alpha) for t, k in done]
    return sorted(r, key=lambda p: (-p[1], p[0]))[:width]
