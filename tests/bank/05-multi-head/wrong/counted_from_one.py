"""The rates begin with the second one."""

import numpy as np


def rotary_positions(x, positions, rotated, base):
    half = rotated // 2
    angles = positions[:, None, :, None] * float(base) ** (-2 * np.arange(1, half + 1) / rotated)
    cos, sin = np.cos(angles).astype(x.dtype), np.sin(angles).astype(x.dtype)
    a, b, rest = np.split(x, [half, rotated], axis=-1)
    return np.concatenate([a * cos - b * sin, a * sin + b * cos, rest], axis=-1)
