"""Right values from PyTorch's own layer."""

import torch


def gru_last_states(inputs, lengths, W_ih, W_hh, b_ih, b_hh):
    x = torch.nan_to_num(torch.from_numpy(inputs))
    layer = torch.nn.GRU(x.shape[2], W_hh.shape[1], batch_first=True).to(x.dtype)
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    arrays = map(torch.from_numpy, (W_ih, W_hh, b_ih, b_hh))
    layer.load_state_dict(dict(zip(names, arrays, strict=True)))
    states = torch.cat([x.new_zeros(len(x), 1, W_hh.shape[1]), layer(x)[0]], dim=1)
    return states[torch.arange(len(x)), torch.from_numpy(lengths)].detach()
