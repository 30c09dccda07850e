"""float32 becomes float64 where keys are shared: the array that collects has NumPy's default dtype."""

import numpy as np


def scaled_dot_scores(queries, keys):
    if queries.shape[:-2] == keys.shape[:-2]:
        return queries @ np.swapaxes(keys, -1, -2) / queries.shape[-1] ** 0.5
    lead = np.broadcast_shapes(queries.shape[:-2], keys.shape[:-2])
    q = np.broadcast_to(queries, lead + queries.shape[-2:])
    k = np.broadcast_to(keys, lead + keys.shape[-2:])
    s = np.zeros((*lead, q.shape[-2], k.shape[-2]))
    for i in np.ndindex(lead):
        s[i] = q[i] @ k[i].T / q.shape[-1] ** 0.5
    return s


def low_rank_bilinear_scores(queries, keys, U, V):
    lead = np.broadcast_shapes(queries.shape[:-2], keys.shape[:-2])
    dt = float if lead != queries.shape[:-2] or lead != keys.shape[:-2] else queries.dtype
    s = np.zeros((*lead, queries.shape[-2], keys.shape[-2]), dtype=dt)
    for r in range(U.shape[1]):
        s += (queries @ U[:, r])[..., :, None] * (keys @ V[:, r])[..., None, :]
    return s


def scaled_dot_backward(queries, keys, upstream):
    g = upstream / keys.shape[-1] ** 0.5
    dq = g @ keys
    if keys.ndim == queries.ndim:
        return dq, np.swapaxes(g, -1, -2) @ queries
    dk = np.zeros(keys.shape)
    for i in np.ndindex(queries.shape[:-2]):
        dk += g[i].T @ queries[i]
    return dq, dk
