"""Every sum spelt out with einsum."""

import numpy as np
import torch


def scaled_dot_scores(queries, keys):
    return np.einsum("...id,...jd->...ij", queries, keys) / float(queries.shape[-1]) ** 0.5


def low_rank_bilinear_scores(queries, keys, U, V):
    left = np.einsum("...id,dr->...ir", queries, U)
    right = np.einsum("...jd,dr->...jr", keys, V)
    return np.einsum("...ir,...jr->...ij", left, right)


def additive_scores(queries, keys, W_q, W_k, b, w):
    left = np.einsum("...id,dh->...ih", queries, W_q)
    right = np.einsum("...jd,dh->...jh", keys, W_k) + b
    hidden = np.tanh(left[..., :, np.newaxis, :] + right[..., np.newaxis, :, :])
    return np.einsum("...ijh,h->...ij", hidden, w)


def location_features(previous_weights, filters):
    half = (filters.shape[1] - 1) // 2
    padded = torch.nn.functional.pad(previous_weights, (half, half))
    return torch.einsum("bjt,ct->bjc", padded.unfold(-1, 2 * half + 1, 1), filters)


def scaled_dot_backward(queries, keys, upstream):
    root = float(queries.shape[-1]) ** 0.5
    if keys.ndim == 2:  # shared: the leading axes become one, which is summed over
        g, q = (x.reshape(-1, *x.shape[-2:]) for x in (upstream, queries))
        d_keys = np.einsum("bij,bid->jd", g, q)
    else:
        d_keys = np.einsum("...ij,...id->...jd", upstream, queries)
    return np.einsum("...ij,...jd->...id", upstream, keys) / root, d_keys / root


def running_best_key(queries, key_blocks):
    best = np.full(queries.shape[0], -np.inf, dtype=queries.dtype)
    index = np.full(queries.shape[0], -1)
    start = 0
    for block in key_blocks:
        scores = np.einsum("id,jd->ij", queries, block) / float(queries.shape[1]) ** 0.5
        for i, row in enumerate(scores):
            j = int(np.argmax(row))
            if row[j] > best[i]:
                best[i], index[i] = row[j], start + j
        start += len(block)
    return best, index


class AdditiveEnergy(torch.nn.Module):
    def __init__(self, d_q, d_k, d_h):
        super().__init__()
        self.query_layer = torch.nn.Linear(d_q, d_h, bias=False)
        self.key_layer = torch.nn.Linear(d_k, d_h, bias=True)
        self.w = torch.nn.Parameter(torch.empty(d_h))
        torch.nn.init.uniform_(self.w, -0.1, 0.1)

    def forward(self, queries, keys):
        hidden = torch.tanh(
            self.query_layer(queries)[:, :, None, :] + self.key_layer(keys)[:, None, :, :]
        )
        energies = torch.einsum("bijh,h->bij", hidden, self.w)
        exponentials = torch.exp(energies - energies.amax(dim=-1, keepdim=True))
        return exponentials / exponentials.sum(dim=-1, keepdim=True)
