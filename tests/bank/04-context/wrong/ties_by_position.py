"""Of equals the one that came first in the beam wins."""

import numpy as np


def beam_search(log_probs, start, end, width, limit, alpha):
    V = len(log_probs)
    beam, done = [(0.0, [])], []
    for _ in range(limit):
        if not beam:
            break
        tot = np.array(
            [[t + float(x) for x in log_probs[(k[-1] if k else start)]] for t, k in beam]
        ).ravel()
        order = [i for i in np.argsort(-tot, kind="stable")[:width] if tot[i] > -np.inf]
        new = [(tot[i], beam[i // V][1] + [int(i % V)]) for i in order]
        done += [c for c in new if c[1][-1] == end]
        beam = [c for c in new if c[1][-1] != end]
    r = [(k, float(t) / ((5 + len(k)) / 6) ** alpha) for t, k in done]
    return sorted(r, key=lambda p: (-p[1], p[0]))[:width]
