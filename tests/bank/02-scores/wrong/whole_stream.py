"""Right values, but the scores of the whole stream are kept block by block."""

import numpy as np


def running_best_key(queries, key_blocks):
    scores = np.concatenate([queries @ block.T for block in key_blocks], axis=1)
    scores = scores / float(queries.shape[1]) ** 0.5
    return scores.max(axis=1), scores.argmax(axis=1)
