"""One too many, one too few, one too late."""

import numpy as np
import torch


def location_features(previous_weights, filters):
    half = filters.shape[1] // 2
    padded = torch.nn.functional.pad(previous_weights, (half - 1, half + 1))
    return torch.conv1d(padded[:, None], filters[:, None]).transpose(1, 2)


def running_best_key(queries, key_blocks):
    """Counts from 1."""
    scores = (
        np.concatenate([queries @ block.T for block in key_blocks], axis=1)
        / queries.shape[1] ** 0.5
    )
    return scores.max(axis=1), scores.argmax(axis=1) + 1


def scaled_dot_scores(queries, keys):
    return queries @ keys.swapaxes(-1, -2) / (queries.shape[-1] - 1) ** 0.5
