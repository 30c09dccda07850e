"""Stops when the best finished output beats the beam, with other outputs still wanted."""

import numpy as np


def beam_search(log_probs, start, end, width, limit, alpha):
    beam, done = [(0.0, [])], []

    def lp(n):
        return ((5 + n) / 6) ** alpha

    for _ in range(limit):
        new = [
            (t + float(x), [*k, y])
            for t, k in beam
            for y, x in enumerate(log_probs[k[-1] if k else start])
            if x > -np.inf
        ]
        new = sorted(new, key=lambda c: (-c[0], c[1]))[:width]
        done += [c for c in new if c[1][-1] == end]
        beam = [c for c in new if c[1][-1] != end]
        if (
            done
            and beam
            and max(t / lp(len(k)) for t, k in done) > beam[0][0] / lp(len(beam[0][1]))
        ):
            break
    r = [(k, t / lp(len(k))) for t, k in done]
    return sorted(r, key=lambda p: (-p[1], p[0]))[:width]
