"""Right where every text has a token."""

import numpy as np
import torch


def teacher_forcing_batch(tokens, lengths, bos, eos, pad):
    ends = np.cumsum(lengths) - 1
    width = lengths.max() + 1
    inputs = np.full((len(lengths), width), pad)
    targets = inputs.copy()
    row, column = 0, 0
    inputs[:, 0] = bos
    for place, token in enumerate(tokens):
        targets[row, column], inputs[row, column + 1] = token, token
        column += 1
        if place == ends[row]:
            targets[row, column] = eos
            row, column = row + 1, 0
    return inputs, targets, np.arange(width) <= lengths[:, None]


def perplexity_and_bits(logits, targets, pad, characters):
    total, number, written = 0.0, 0, 0
    for z, x in zip(logits, targets, strict=True):
        z, x = z[x != pad], x[x != pad]
        z = z - z.max(axis=-1, keepdims=True)
        surprise = np.log(np.exp(z).sum(axis=-1)) - z[np.arange(len(x)), x]
        total, number = total + surprise.mean() * len(x), number + len(x)
        written += characters[x].sum()
    return np.exp(total / number), total / np.log(2) / written


def nearest_weights(queries, keys, mask, k):
    allowed = mask[..., None, :]
    squares = ((queries[..., :, None, :] - keys[..., None, :, :]) ** 2).sum(axis=-1)
    squares = np.where(allowed, squares, np.inf)
    near = (squares <= np.sort(squares, axis=-1)[..., k - 1 : k]) & allowed
    return (near / near.sum(axis=-1, keepdims=True)).astype(queries.dtype)


def gru_last_states(inputs, lengths, W_ih, W_hh, b_ih, b_hh):
    h = np.zeros((len(inputs), W_hh.shape[1]), inputs.dtype)
    states = []
    for t in range(inputs.shape[1]):
        a_r, a_z, a_n = np.split(inputs[:, t] @ W_ih.T + b_ih, 3, axis=-1)
        c_r, c_z, c_n = np.split(h @ W_hh.T + b_hh, 3, axis=-1)
        r, z = 1 / (1 + np.exp(-a_r - c_r)), 1 / (1 + np.exp(-a_z - c_z))
        n = np.tanh(a_n + r * c_n)
        h = (1 - z) * n + z * h
        states.append(h)
    return np.stack(states)[lengths - 1, np.arange(len(inputs))]


class NextTokenLoss(torch.nn.Module):
    def __init__(self, vocab_size, width, pad):
        super().__init__()
        self.pad = pad
        self.embedding = torch.nn.Embedding(vocab_size, width)
        self.rnn = torch.nn.RNN(width, width, batch_first=True)
        self.output = torch.nn.Linear(width, vocab_size)

    def forward(self, tokens):
        states, _ = self.rnn(self.embedding(tokens))
        sums = []
        for text, state in zip(tokens, states, strict=True):
            length = int((text != self.pad).sum())
            loss = torch.nn.functional.cross_entropy(
                self.output(state[: length - 1]), text[1:length]
            )
            sums.append(loss * (length - 1))
        return torch.stack(sums)
