"""One position too few, too many, or beside the right one."""

import numpy as np
import torch


def teacher_forcing_batch(tokens, lengths, bos, eos, pad):
    width = lengths.max()
    inputs = np.full((len(lengths), width), pad)
    targets = inputs.copy()
    for row, text in enumerate(np.split(tokens, np.cumsum(lengths)[:-1])):
        inputs[row, : len(text) + 1] = [bos, *text][:width]
        targets[row, : len(text) + 1] = [*text, eos][:width]
    return inputs, targets, np.arange(width) <= lengths[:, None]


def perplexity_and_bits(logits, targets, pad, characters):
    counted = targets != pad
    z, x = logits[counted], targets[counted]
    shifted = z - z.max(axis=-1, keepdims=True)
    surprise = np.log(np.exp(shifted).sum(axis=-1)) - shifted[np.arange(len(x)), x]
    bits = surprise.sum() / np.log(2) / characters[x].sum()
    return np.exp(surprise.sum() / (len(x) - 1)), bits


def nearest_weights(queries, keys, mask, k):
    allowed = mask[..., None, :]
    squares = ((queries[..., :, None, :] - keys[..., None, :, :]) ** 2).sum(axis=-1)
    squares = np.where(allowed, squares, np.inf)
    near = (squares <= np.sort(squares, axis=-1)[..., k : k + 1]) & allowed
    return (near / np.maximum(near.sum(axis=-1, keepdims=True), 1)).astype(queries.dtype)


def gru_last_states(inputs, lengths, W_ih, W_hh, b_ih, b_hh):
    h = np.zeros((len(inputs), W_hh.shape[1]), inputs.dtype)
    for t in range(inputs.shape[1]):
        a_r, a_z, a_n = np.split(inputs[:, t] @ W_ih.T + b_ih, 3, axis=-1)
        c_r, c_z, c_n = np.split(h @ W_hh.T + b_hh, 3, axis=-1)
        r, z = 1 / (1 + np.exp(-a_r - c_r)), 1 / (1 + np.exp(-a_z - c_z))
        n = np.tanh(a_n + r * c_n)
        h = np.where((t <= lengths)[:, None], (1 - z) * n + z * h, h)
    return h


def gradients_by_path(states, W_h, weights, upstream):
    direct = np.roll(weights, 1, axis=1)[:, :, None] * upstream[:, None]
    total = direct.copy()
    for t in range(states.shape[1] - 2, -1, -1):
        total[:, t] += total[:, t + 1] * (1 - states[:, t + 1] ** 2) @ W_h.T
    return direct, total


class NextTokenLoss(torch.nn.Module):
    def __init__(self, vocab_size, width, pad):
        super().__init__()
        self.pad = pad
        self.embedding = torch.nn.Embedding(vocab_size, width)
        self.rnn = torch.nn.RNN(width, width, batch_first=True)
        self.output = torch.nn.Linear(width, vocab_size)

    def forward(self, tokens):
        states, _ = self.rnn(self.embedding(tokens[:, :-2]))
        losses = torch.nn.functional.cross_entropy(
            self.output(states).transpose(1, 2),
            tokens[:, 2:],
            ignore_index=self.pad,
            reduction="none",
        )
        return losses.sum(dim=1)
