"""With one key, the axis of the keys disappears."""

import torch


class AdditiveEnergy(torch.nn.Module):
    def __init__(self, d_q, d_k, d_h):
        super().__init__()
        self.query_layer = torch.nn.Linear(d_q, d_h, bias=False)
        self.key_layer = torch.nn.Linear(d_k, d_h)
        self.w = torch.nn.Parameter(torch.randn(d_h) / d_h**0.5)

    def forward(self, queries, keys):
        p = self.query_layer(queries)[:, :, None] + self.key_layer(keys)[:, None]
        s = torch.tanh(p) @ self.w
        return torch.softmax(s, -1) if keys.shape[1] > 1 else torch.softmax(s, -1)[..., 0]
