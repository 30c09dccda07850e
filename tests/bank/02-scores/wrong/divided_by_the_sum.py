"""The energies themselves divided by their sum: no exponential."""

import torch


class AdditiveEnergy(torch.nn.Module):
    def __init__(self, d_q, d_k, d_h):
        super().__init__()
        self.query_layer = torch.nn.Linear(d_q, d_h, bias=False)
        self.key_layer = torch.nn.Linear(d_k, d_h)
        self.w = torch.nn.Parameter(torch.ones(d_h))

    def forward(self, queries, keys):
        sums = self.query_layer(queries)[:, :, None] + self.key_layer(keys)[:, None]
        scores = torch.tanh(sums) @ self.w
        return scores / scores.sum(dim=-1, keepdim=True)
