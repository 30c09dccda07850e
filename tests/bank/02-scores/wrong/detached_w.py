"""The values are right, but no gradient reaches w."""

import torch


class AdditiveEnergy(torch.nn.Module):
    def __init__(self, d_q, d_k, d_h):
        super().__init__()
        self.query_layer = torch.nn.Linear(d_q, d_h, bias=False)
        self.key_layer = torch.nn.Linear(d_k, d_h)
        self.w = torch.nn.Parameter(torch.ones(d_h))

    def forward(self, queries, keys):
        sums = self.query_layer(queries)[:, :, None] + self.key_layer(keys)[:, None]
        return torch.softmax(torch.tanh(sums) @ self.w.data, dim=-1)
