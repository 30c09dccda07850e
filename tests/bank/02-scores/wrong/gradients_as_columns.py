"""Both gradients transposed: a column for each query, a column for each key."""


def scaled_dot_backward(queries, keys, upstream):
    upstream = upstream / queries.shape[-1] ** 0.5
    d_queries = keys.swapaxes(-1, -2) @ upstream.swapaxes(-1, -2)
    d_keys = queries.swapaxes(-1, -2) @ upstream
    return d_queries, d_keys.sum(axis=tuple(range(d_keys.ndim - keys.ndim)))
