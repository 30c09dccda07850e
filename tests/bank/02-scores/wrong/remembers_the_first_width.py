"""The scaling is worked out in the first call and kept for all later ones."""

kept = {}


def root(width):
    return kept.setdefault("root", width**0.5)


def scaled_dot_scores(queries, keys):
    return queries @ keys.swapaxes(-1, -2) / root(queries.shape[-1])


def scaled_dot_backward(queries, keys, upstream):
    g = upstream / root(queries.shape[-1])
    d_keys = g.swapaxes(-1, -2) @ queries
    return g @ keys, d_keys.sum(axis=tuple(range(d_keys.ndim - keys.ndim)))
