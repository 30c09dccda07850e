"""PyTorch's tools for texts of unequal length, cdist and kthvalue."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence


def teacher_forcing_batch(tokens, lengths, bos, eos, pad):
    ts = torch.as_tensor(np.ascontiguousarray(tokens)).split(lengths.tolist())
    b, e = torch.tensor([bos]), torch.tensor([eos])
    i = pad_sequence([torch.cat([b, t]) for t in ts], batch_first=True, padding_value=pad)
    o = pad_sequence([torch.cat([t, e]) for t in ts], batch_first=True, padding_value=pad)
    return i, o, torch.arange(i.shape[1]) <= torch.as_tensor(lengths)[:, None]


def perplexity_and_bits(logits, targets, pad, characters):
    z, x = torch.as_tensor(logits), torch.as_tensor(targets)
    x = x.reshape(-1)
    z = z.reshape(len(x), -1)
    k = x != pad
    nats = F.cross_entropy(z[k], x[k], reduction="sum")
    return torch.exp(nats / k.sum()), nats / math.log(2) / torch.as_tensor(characters)[x[k]].sum()


def nearest_weights(queries, keys, mask, k):
    d = torch.cdist(
        torch.as_tensor(queries).double(),
        torch.as_tensor(keys).double(),
        compute_mode="donot_use_mm_for_euclid_dist",
    )
    d = d.masked_fill(~torch.as_tensor(mask)[..., None, :], math.inf)
    lim = d.kthvalue(k, dim=-1, keepdim=True).values
    w = ((d <= lim) & d.isfinite()).double()
    return (w / w.sum(-1, keepdim=True).clamp(min=1)).to(torch.as_tensor(queries).dtype)


def leave_one_out_loss(keys, values, log_bandwidths):
    x = keys * torch.exp(-log_bandwidths)
    n = (x * x).sum(-1)
    d2 = n[:, :, None] + n[:, None] - 2 * x @ x.mT
    s = -0.5 * d2 - 1e9 * torch.eye(keys.shape[1], dtype=keys.dtype)
    p = torch.log_softmax(s, -1).exp() @ values
    return ((p - values) ** 2).mean((-1, -2))


def gru_last_states(inputs, lengths, W_ih, W_hh, b_ih, b_hh):
    x, Wi, Wh, bi, bh = (torch.as_tensor(a) for a in (inputs, W_ih, W_hh, b_ih, b_hh))
    d = Wh.shape[1]
    h = torch.zeros(len(x), d, dtype=x.dtype)
    states = [h]
    for t in range(x.shape[1]):
        g, c = F.linear(x[:, t], Wi, bi), F.linear(h, Wh, bh)
        r = torch.sigmoid(g[:, :d] + c[:, :d])
        z = torch.sigmoid(g[:, d : 2 * d] + c[:, d : 2 * d])
        n = torch.tanh(g[:, 2 * d :] + r * c[:, 2 * d :])
        h = n + z * (h - n)
        states.append(h)
    return torch.stack(states, 1)[torch.arange(len(x)), torch.as_tensor(lengths)]


def gradients_by_path(states, W_h, weights, upstream):
    _B, T, _d = states.shape
    direct = weights[..., None] * upstream[:, None, :]
    total = np.empty_like(direct)

    def back(t):
        if t == T - 1:
            total[:, t] = direct[:, t]
        else:
            back(t + 1)
            total[:, t] = direct[:, t] + np.matmul(
                total[:, t + 1] - total[:, t + 1] * states[:, t + 1] ** 2, W_h.T
            )

    back(0)
    return direct, total


class NextTokenLoss(nn.Module):
    def __init__(self, vocab_size, width, pad):
        super().__init__()
        self.p = pad
        self.rnn = nn.RNN(width, width, batch_first=True)
        self.output = nn.Linear(width, vocab_size)
        self.embedding = nn.Embedding(vocab_size, width)

    def forward(self, tokens):
        n = (tokens != self.p).sum(1)
        packed = pack_padded_sequence(
            self.embedding(tokens), n, batch_first=True, enforce_sorted=False
        )
        states, _ = pad_packed_sequence(
            self.rnn(packed)[0], batch_first=True, total_length=tokens.shape[1]
        )
        lp = self.output(states[:, :-1]).log_softmax(-1)
        s = -lp.gather(-1, tokens[:, 1:, None])[..., 0]
        return torch.where(tokens[:, 1:] != self.p, s, torch.zeros_like(s)).sum(1)
