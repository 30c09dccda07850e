"""The libraries' own functions wherever there is one, whole arrays, no slices of the time axis."""

import functools
import itertools

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


def teacher_forcing_batch(tokens, lengths, bos, eos, pad):
    parts = np.split(tokens, np.cumsum(lengths)[:-1])
    zipped = itertools.zip_longest(*([bos, *part, None] for part in parts), fillvalue=None)
    whole = np.array(list(zipped), dtype=object).T
    real = whole[:, 1:] != None  # noqa: E711
    mask = np.arange(whole.shape[1] - 1) <= np.asarray(lengths).reshape(-1, 1)
    inputs = np.where(mask, np.where(whole[:, :-1] == None, pad, whole[:, :-1]), pad)  # noqa: E711
    targets = np.where(real, whole[:, 1:], np.where(mask, eos, pad))
    return inputs.astype(np.int64), targets.astype(np.int64), mask


def perplexity_and_bits(logits, targets, pad, characters):
    real = targets != pad
    p = torch.distributions.Categorical(logits=torch.from_numpy(logits[real]))
    surprise = -p.log_prob(torch.from_numpy(targets[real])).numpy()
    log2 = np.log2(np.e) * surprise
    return np.float64(2) ** log2.mean(), log2.sum() / np.take(characters, targets[real]).sum()


def nearest_weights(queries, keys, mask, k):
    gaps = np.abs(np.expand_dims(queries, -2) - np.expand_dims(keys, -3))
    squares = np.sum(np.multiply(gaps, gaps), axis=-1)
    squares = np.where(np.expand_dims(mask, -2), squares, np.nan)
    ordered = np.sort(squares, axis=-1)  # NaN comes last
    number = np.minimum(k, mask.sum(axis=-1))[..., None, None]
    place = np.broadcast_to(np.maximum(number - 1, 0), (*ordered.shape[:-1], 1))
    near = np.less_equal(squares, np.take_along_axis(ordered, place, axis=-1))
    return (near / near.sum(axis=-1, keepdims=True).clip(min=1)).astype(queries.dtype)


def leave_one_out_loss(keys, values, log_bandwidths):
    kernel = torch.distributions.Normal(torch.zeros_like(log_bandwidths), log_bandwidths.exp())
    log_kernel = kernel.log_prob(keys.unsqueeze(-2) - keys.unsqueeze(-3)).sum(dim=-1)
    own = torch.full(log_kernel.shape[1:], -torch.inf).triu().tril().nan_to_num(neginf=-torch.inf)
    own = torch.where(torch.eye(len(own)) == 1, own, 0).to(log_kernel.dtype)
    return F.mse_loss(
        F.softmax(log_kernel + own, dim=-1).bmm(values), values, reduction="none"
    ).mean(dim=[-2, -1])


def gru_last_states(inputs, lengths, W_ih, W_hh, b_ih, b_hh):
    def step(h, x):
        a, c = np.split(x @ W_ih.T + b_ih, 3, -1), np.split(h @ W_hh.T + b_hh, 3, -1)
        r, z = (1 / (1 + np.exp(-(a[i] + c[i]))) for i in (0, 1))
        return np.average([np.tanh(a[2] + r * c[2]), h], axis=0, weights=[1 - z, z])

    first = np.zeros(W_hh.shape[1], inputs.dtype)
    return np.stack(
        [functools.reduce(step, x[:n], first) for x, n in zip(inputs, lengths, strict=True)]
    )


def gradients_by_path(states, W_h, weights, upstream):
    direct = weights[:, :, np.newaxis] * upstream[:, np.newaxis, :]
    pairs = zip(
        np.moveaxis(direct[:, :-1], 1, 0)[::-1], np.moveaxis(states, 1, 0)[:0:-1], strict=True
    )
    found = itertools.accumulate(
        pairs,
        lambda later, pair: pair[0] + np.dot(later * (1 - np.square(pair[1])), W_h.T),
        initial=direct[:, -1],
    )
    return direct, np.stack(list(found)[::-1], axis=1)


class NextTokenLoss(nn.Module):
    def __init__(self, vocab_size, width, pad):
        super().__init__()
        self.pad = pad
        self.embedding = nn.Embedding(vocab_size, width)
        self.rnn = nn.RNN(input_size=width, hidden_size=width, batch_first=True)
        self.output = nn.Linear(width, vocab_size)

    def forward(self, tokens):
        lengths = (tokens != self.pad).sum(dim=1)
        packed = pack_padded_sequence(
            self.embedding(tokens), lengths, batch_first=True, enforce_sorted=False
        )
        states, _ = pad_packed_sequence(self.rnn(packed)[0], batch_first=True)
        log_p = F.log_softmax(self.output(states[:, :-1]), dim=-1)
        targets = tokens[:, 1 : states.shape[1]]
        losses = F.nll_loss(log_p.movedim(-1, 1), targets, ignore_index=self.pad, reduction="none")
        return losses.sum(dim=-1)
