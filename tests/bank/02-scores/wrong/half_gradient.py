"""The filters never learn: the gradient stops before them."""

import torch


def location_features(previous_weights, filters):
    taps = filters.detach()[:, None]
    return torch.conv1d(previous_weights[:, None], taps, padding=filters.shape[1] // 2).transpose(
        1, 2
    )
