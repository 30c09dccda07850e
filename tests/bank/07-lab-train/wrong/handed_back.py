"""Arguments, or zeros of the right shape, are handed back."""

import numpy as np
import torch


def windows(tokens, starts, n):
    return np.zeros((len(starts), n), int), np.zeros((len(starts), n), int)


def losses(logits, targets, bytes_per_token):
    return logits.mean(), logits.max(), bytes_per_token.mean()


def learning_rate(step, steps, warmup, highest, lowest):
    return step.astype(float)


def decay_groups(parameters, memory):
    return [row[0] for row in parameters], [], 1.0


def training_steps(W, b, inputs, targets, clip, rate):
    return W, b, torch.zeros(len(inputs)), torch.zeros(len(inputs))


def draw(logits, temperature, top_k, top_p, count):
    return logits, torch.zeros(len(logits), count, dtype=torch.long)


def next_logits(weights, sizes, prefixes):
    return torch.zeros(len(prefixes), sizes[0])
