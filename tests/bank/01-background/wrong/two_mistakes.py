"""Two mistakes at once: naming one of them would be half of the truth."""

import numpy as np
import torch


def teacher_forcing_batch(tokens, lengths, bos, eos, pad):
    width = lengths.max() + 1
    inputs = np.full((len(lengths), width), pad)
    for row, text in enumerate(np.split(tokens, np.cumsum(lengths)[:-1])):
        inputs[row, : len(text) + 1] = [bos, *text]
    return inputs, inputs.copy(), np.arange(width) > lengths[:, None]


def perplexity_and_bits(logits, targets, pad, characters):
    z, x = logits[targets != pad], targets[targets != pad]
    shifted = z - z.max(axis=-1, keepdims=True)
    surprise = np.log(np.exp(shifted).sum(axis=-1)) - shifted[np.arange(len(x)), x]
    return 2 ** surprise.mean(), surprise.sum() / characters[x].sum()


def nearest_weights(queries, keys, mask, k):
    squares = ((queries[..., :, None, :] - keys[..., None, :, :]) ** 2).sum(axis=-1)
    return (squares <= np.sort(squares, axis=-1)[..., k - 1 : k]).astype(queries.dtype)


def leave_one_out_loss(keys, values, log_bandwidths):
    scaled = keys / log_bandwidths.exp()
    scores = -(scaled[:, :, None] - scaled[:, None]).square().sum(-1)
    return (scores.softmax(-1) @ values - values).square().mean(dim=(1, 2))


def gru_last_states(inputs, lengths, W_ih, W_hh, b_ih, b_hh):
    h = np.zeros((len(inputs), W_hh.shape[1]), inputs.dtype)
    for t in range(inputs.shape[1]):
        a_z, a_r, a_n = np.split(inputs[:, t] @ W_ih.T + b_ih, 3, axis=-1)
        c_z, c_r, c_n = np.split(h @ W_hh.T + b_hh, 3, axis=-1)
        r, z = 1 / (1 + np.exp(-a_r - c_r)), 1 / (1 + np.exp(-a_z - c_z))
        n = np.tanh(a_n + r * c_n)
        h = (1 - z) * n + z * h
    return h


def gradients_by_path(states, W_h, weights, upstream):
    direct = weights[:, :, None] * upstream[:, None]
    total = direct.copy()
    for t in range(states.shape[1] - 2, -1, -1):
        total[:, t] += total[:, t + 1] @ W_h
    return direct, total


class NextTokenLoss(torch.nn.Module):
    def __init__(self, vocab_size, width, pad):
        super().__init__()
        self.embedding = torch.nn.Embedding(vocab_size, width)
        self.rnn = torch.nn.RNN(width, width, batch_first=True)
        self.output = torch.nn.Linear(width, vocab_size)

    def forward(self, tokens):
        states, _ = self.rnn(self.embedding(tokens))
        losses = torch.nn.functional.cross_entropy(
            self.output(states).transpose(1, 2), tokens, reduction="none"
        )
        return losses.sum(dim=1)
