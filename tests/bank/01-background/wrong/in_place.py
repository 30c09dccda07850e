"""Right values, but the arguments are overwritten on the way."""

import numpy as np
import torch


def teacher_forcing_batch(tokens, lengths, bos, eos, pad):
    texts = np.split(tokens.copy(), np.cumsum(lengths)[:-1])
    lengths += 1
    width = lengths.max()
    inputs = np.full((len(lengths), width), pad)
    targets = inputs.copy()
    for row, text in enumerate(texts):
        inputs[row, : lengths[row]] = [bos, *text]
        targets[row, : lengths[row]] = [*text, eos]
    return inputs, targets, np.arange(width) < lengths[:, None]


def perplexity_and_bits(logits, targets, pad, characters):
    counted = targets != pad
    logits -= logits.max(axis=-1, keepdims=True)
    z, x = logits[counted], targets[counted]
    surprise = np.log(np.exp(z).sum(axis=-1)) - z[np.arange(len(x)), x]
    return np.exp(surprise.mean()), surprise.sum() / np.log(2) / characters[x].sum()


def nearest_weights(queries, keys, mask, k):
    keys[~mask] = np.inf
    squares = ((queries[..., :, None, :] - keys[..., None, :, :]) ** 2).sum(axis=-1)
    near = (squares <= np.sort(squares, axis=-1)[..., k - 1 : k]) & mask[..., None, :]
    count = np.maximum(near.sum(axis=-1, keepdims=True), 1)
    return (near / count).astype(queries.dtype)


def leave_one_out_loss(keys, values, log_bandwidths):
    with torch.no_grad():
        keys -= keys.mean(dim=1, keepdim=True)
    scaled = keys / log_bandwidths.exp()
    scores = -(scaled[:, :, None] - scaled[:, None]).square().sum(-1) / 2
    scores.diagonal(dim1=1, dim2=2).fill_(-np.inf)
    return (scores.softmax(-1) @ values - values).square().mean(dim=(1, 2))


def gru_last_states(inputs, lengths, W_ih, W_hh, b_ih, b_hh):
    inputs[np.arange(inputs.shape[1]) >= lengths[:, None]] = 0
    h = np.zeros((len(inputs), W_hh.shape[1]), inputs.dtype)
    for t in range(inputs.shape[1]):
        a_r, a_z, a_n = np.split(inputs[:, t] @ W_ih.T + b_ih, 3, axis=-1)
        c_r, c_z, c_n = np.split(h @ W_hh.T + b_hh, 3, axis=-1)
        r, z = 1 / (1 + np.exp(-a_r - c_r)), 1 / (1 + np.exp(-a_z - c_z))
        n = np.tanh(a_n + r * c_n)
        h = np.where((t < lengths)[:, None], (1 - z) * n + z * h, h)
    return h


def gradients_by_path(states, W_h, weights, upstream):
    direct = weights[:, :, None] * upstream[:, None]
    total = direct.copy()
    np.square(states, out=states)
    for t in range(states.shape[1] - 2, -1, -1):
        total[:, t] += total[:, t + 1] * (1 - states[:, t + 1]) @ W_h.T
    return direct, total


class NextTokenLoss(torch.nn.Module):
    def __init__(self, vocab_size, width, pad):
        super().__init__()
        self.pad = pad
        self.embedding = torch.nn.Embedding(vocab_size, width)
        self.rnn = torch.nn.RNN(width, width, batch_first=True)
        self.output = torch.nn.Linear(width, vocab_size)

    def forward(self, tokens):
        states, _ = self.rnn(self.embedding(tokens))
        tokens[tokens == self.pad] = -100
        losses = torch.nn.functional.cross_entropy(
            self.output(states)[:, :-1].transpose(1, 2), tokens[:, 1:], reduction="none"
        )
        return losses.sum(dim=1)
