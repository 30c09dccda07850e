"""Right values, but the stream is made a list first, and all scores are there at once."""

import math

import numpy as np


def running_best_key(queries, key_blocks):
    keys = np.concatenate(list(key_blocks))
    scores = queries @ keys.T / math.sqrt(queries.shape[1])
    return scores.max(axis=1), scores.argmax(axis=1)
