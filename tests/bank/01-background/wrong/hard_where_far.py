"""Where every kernel rounds to 0 one neighbour answers alone, though two are equally near."""

import torch
import torch.nn.functional as F


def leave_one_out_loss(keys, values, log_bandwidths):
    x = keys / log_bandwidths.exp()
    s = -(x[:, :, None] - x[:, None]).square().sum(-1) / 2
    s = s.masked_fill(torch.eye(keys.shape[1], dtype=torch.bool), -torch.inf)
    e = s.exp()
    t = e.sum(-1, keepdim=True)
    hard = F.one_hot(s.argmax(-1), keys.shape[1]).to(keys.dtype)
    w = torch.where(t > 0, e / t.clamp(min=1e-300), hard)
    return (w @ values - values).square().mean(dim=(1, 2))
