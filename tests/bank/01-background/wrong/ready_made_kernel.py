"""The step that PyTorch's layer calls, called without the layer."""

import numpy as np
import torch


def gru_last_states(inputs, lengths, W_ih, W_hh, b_ih, b_hh):
    x, *w = (torch.from_numpy(np.ascontiguousarray(a)) for a in (inputs, W_ih, W_hh, b_ih, b_hh))
    h = x.new_zeros(len(x), w[1].shape[1])
    for t in range(x.shape[1]):
        h = torch.where(
            torch.from_numpy(t < lengths)[:, None], torch.ops.aten.gru_cell(x[:, t], h, *w), h
        )
    return h.numpy()
