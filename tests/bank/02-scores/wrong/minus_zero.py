"""Cut off after the convolution: with a filter of width one, `[0:-0]` is empty."""

import torch


def location_features(previous_weights, filters):
    p = filters.shape[1] // 2
    full = torch.conv1d(previous_weights[:, None], filters[:, None], padding=2 * p)
    return full[..., p:-p].transpose(1, 2)
