"""Memory is read as it lies, in an order that a view need not have."""

import numpy as np
import torch
from numpy.lib.stride_tricks import as_strided


def teacher_forcing_batch(tokens, lengths, bos, eos, pad):
    tokens = as_strided(tokens, shape=tokens.shape, strides=(tokens.itemsize,))
    width = lengths.max() + 1
    inputs = np.full((len(lengths), width), pad)
    targets = inputs.copy()
    for row, text in enumerate(np.split(tokens, np.cumsum(lengths)[:-1])):
        inputs[row, : len(text) + 1] = [bos, *text]
        targets[row, : len(text) + 1] = [*text, eos]
    return inputs, targets, np.arange(width) <= lengths[:, None]


def leave_one_out_loss(keys, values, log_bandwidths):
    (batch, m, d_k), d_v = keys.shape, values.shape[2]
    scaled = (keys.view(batch * m, d_k) / log_bandwidths.exp()).view(batch, m, d_k)
    scores = -(scaled[:, :, None] - scaled[:, None]).square().sum(-1) / 2
    scores.diagonal(dim1=1, dim2=2).fill_(-torch.inf)
    errors = scores.softmax(-1) @ values.view(batch, m, d_v) - values
    return errors.square().mean(dim=(1, 2))


class NextTokenLoss(torch.nn.Module):
    def __init__(self, vocab_size, width, pad):
        super().__init__()
        self.pad = pad
        self.embedding = torch.nn.Embedding(vocab_size, width)
        self.rnn = torch.nn.RNN(width, width, batch_first=True)
        self.output = torch.nn.Linear(width, vocab_size)

    def forward(self, tokens):
        states, _ = self.rnn(self.embedding(tokens.view(-1)).view(*tokens.shape, -1))
        losses = torch.nn.functional.cross_entropy(
            self.output(states)[:, :-1].transpose(1, 2),
            tokens[:, 1:],
            ignore_index=self.pad,
            reduction="none",
        )
        return losses.sum(dim=1)
