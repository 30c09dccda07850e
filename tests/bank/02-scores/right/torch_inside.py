"""PyTorch inside, also where arrays come in as NumPy; some results stay tensors."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def scaled_dot_scores(queries, keys):
    q, k = torch.from_numpy(queries), torch.from_numpy(keys)
    return torch.matmul(q, k.mT) / q.size(-1) ** 0.5


def low_rank_bilinear_scores(queries, keys, U, V):
    q, k, u, v = map(torch.as_tensor, (queries, keys, U, V))
    return ((q @ u) @ (k @ v).transpose(-2, -1)).numpy()


def additive_scores(queries, keys, W_q, W_k, b, w):
    q, k, W_q, W_k, b, w = (torch.tensor(x) for x in (queries, keys, W_q, W_k, b, w))
    return torch.tanh((q @ W_q).unsqueeze(-2) + (k @ W_k).unsqueeze(-3) + b).matmul(w)


def location_features(previous_weights, filters):
    layer = F.conv1d(previous_weights.unsqueeze(1), filters.unsqueeze(1), padding="same")
    return layer.permute(0, 2, 1).contiguous()


def scaled_dot_backward(queries, keys, upstream):
    # PyTorch as the array library only: the derivative is still written by hand.
    q, k, g = (torch.from_numpy(x.copy()) for x in (queries, keys, upstream))
    g = g / q.size(-1) ** 0.5
    d_queries, d_keys = g @ k, g.transpose(-1, -2) @ q
    return d_queries, d_keys.sum_to_size(k.shape)


def running_best_key(queries, key_blocks):
    q = torch.from_numpy(queries)
    best = torch.full((len(q),), -float("inf"), dtype=q.dtype)
    index = torch.zeros(len(q), dtype=torch.long)
    seen = 0
    for block in key_blocks:
        scores = q @ torch.from_numpy(block).T / q.shape[1] ** 0.5
        for j in range(scores.shape[1]):
            better = scores[:, j] > best
            best[better] = scores[better, j]
            index[better] = seen + j
        seen += scores.shape[1]
    return best, index


class AdditiveEnergy(nn.Module):
    def __init__(self, d_q, d_k, d_h):
        super().__init__()
        self.query_layer, self.key_layer = nn.Linear(d_q, d_h, bias=False), nn.Linear(d_k, d_h)
        self.w = nn.Parameter(nn.init.normal_(torch.empty(d_h)))

    def forward(self, queries, keys):
        n, m = queries.size(1), keys.size(1)
        q = self.query_layer(queries).unsqueeze(2).expand(-1, -1, m, -1)
        k = self.key_layer(keys).unsqueeze(1).expand(-1, n, -1, -1)
        return F.softmax(F.linear((q + k).tanh(), self.w[None]).squeeze(-1), dim=-1)
