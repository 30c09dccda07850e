"""`.view` on an argument fails where its memory has gaps."""

import torch


def location_features(previous_weights, filters):
    batch, m = previous_weights.shape
    channels, width = filters.shape
    weights, taps = previous_weights.view(batch, 1, m), filters.view(-1).view(channels, 1, width)
    return torch.conv1d(weights, taps, padding=width // 2).transpose(1, 2)


class AdditiveEnergy(torch.nn.Module):
    def __init__(self, d_q, d_k, d_h):
        super().__init__()
        self.query_layer = torch.nn.Linear(d_q, d_h, bias=False)
        self.key_layer = torch.nn.Linear(d_k, d_h)
        self.w = torch.nn.Parameter(torch.zeros(d_h))

    def forward(self, queries, keys):
        (batch, n, d_q), (_, m, d_k) = queries.shape, keys.shape
        q = self.query_layer(queries.view(batch * n, d_q)).view(batch, n, 1, -1)
        k = self.key_layer(keys.view(batch * m, d_k)).view(batch, 1, m, -1)
        return torch.softmax(torch.tanh(q + k) @ self.w, dim=-1)
