"""Everything is computed in double precision, and goes back in the dtype that came."""

import numpy as np
import torch


def teacher_forcing_batch(tokens, lengths, bos, eos, pad):
    shape = len(lengths), int(np.max(lengths, initial=0)) + 1
    inputs, targets, mask = np.full(shape, pad), np.full(shape, pad), np.zeros(shape, dtype=bool)
    for row, (end, length) in enumerate(zip(np.cumsum(lengths), lengths, strict=True)):
        text = tokens[end - length : end]
        inputs[row, 0], inputs[row, 1 : length + 1] = bos, text
        targets[row, :length], targets[row, length] = text, eos
        mask[row, : length + 1] = True
    return inputs.astype(np.int32), targets.astype(np.int32), mask


def perplexity_and_bits(logits, targets, pad, characters):
    real = np.flatnonzero(targets.reshape(-1) != pad)
    z = logits.reshape(-1, logits.shape[-1])[real].astype(np.float64)
    came = targets.reshape(-1)[real]
    surprise = np.logaddexp.reduce(z, axis=1) - z[np.arange(len(z)), came]
    bits = float(np.sum(surprise)) / np.log(2)
    return float(np.exp2(bits / len(z))), bits / float(np.sum(characters[came]))


def nearest_weights(queries, keys, mask, k):
    wide = queries.astype(np.float64)[..., :, None, :] - keys.astype(np.float64)[..., None, :, :]
    squares = np.ma.masked_array(np.square(wide).sum(axis=-1))
    squares[np.broadcast_to(~mask[..., None, :], squares.shape)] = np.ma.masked
    limit = np.sort(squares.filled(1e300), axis=-1)[..., k - 1 : k]
    near = (squares.filled(np.nan) <= limit).astype(np.float64)
    total = near.sum(axis=-1, keepdims=True)
    return (near / np.where(total == 0, 1, total)).astype(queries.dtype)


def leave_one_out_loss(keys, values, log_bandwidths):
    dtype = keys.dtype
    keys, values, log_bandwidths = keys.double(), values.double(), log_bandwidths.double()
    scaled = keys / log_bandwidths.exp()
    scores = -(scaled.unsqueeze(2) - scaled.unsqueeze(1)).pow(2).sum(-1) / 2
    others = ~torch.eye(keys.size(1)).bool()
    scores = torch.where(others, scores, torch.tensor(-torch.inf, dtype=scores.dtype))
    log_weights = scores - scores.logsumexp(dim=-1, keepdim=True)
    errors = log_weights.exp().matmul(values) - values
    return (errors.pow(2).sum((1, 2)) / values[0].numel()).to(dtype)


def gru_last_states(inputs, lengths, W_ih, W_hh, b_ih, b_hh):
    def sigmoid(x):
        return np.exp(-np.logaddexp(0, -x))

    dtype, d = inputs.dtype, W_hh.shape[1]
    inputs, W_ih, W_hh, b_ih, b_hh = (
        array.astype(np.float64) for array in (inputs, W_ih, W_hh, b_ih, b_hh)
    )
    real = np.arange(inputs.shape[1]) < lengths[:, None]
    inputs[~real] = 0  # a copy: astype made it
    from_inputs = inputs @ W_ih.T + b_ih
    h = np.zeros((len(inputs), d))
    for t in range(inputs.shape[1]):
        from_state = h @ W_hh.T + b_hh
        gates = sigmoid(from_inputs[:, t, : 2 * d] + from_state[:, : 2 * d])
        r, z = gates[:, :d], gates[:, d:]
        n = np.tanh(from_inputs[:, t, 2 * d :] + r * from_state[:, 2 * d :])
        new = (1 - z) * n + z * h
        h = h + real[:, t, None] * (new - h)
    return h.astype(dtype)


def gradients_by_path(states, W_h, weights, upstream):
    h, W = states.astype(np.float64), W_h.astype(np.float64)
    direct = weights.astype(np.float64)[..., None] * upstream.astype(np.float64)[:, None, :]
    total, arriving = [], 0.0
    for t in range(h.shape[1])[::-1]:
        total.insert(0, direct[:, t] + arriving)
        arriving = np.matmul(total[0] * (1 + h[:, t]) * (1 - h[:, t]), W.T)
    return [direct.astype(states.dtype), np.stack(total, axis=1).astype(states.dtype)]


class NextTokenLoss(torch.nn.Module):
    def __init__(self, vocab_size, width, pad):
        super().__init__()
        self.register_buffer("pad", torch.tensor(pad), persistent=False)
        self.embedding = torch.nn.Embedding(vocab_size, width)
        self.rnn = torch.nn.RNN(width, width, batch_first=True)
        self.output = torch.nn.Linear(width, vocab_size)

    def forward(self, tokens):
        states, _ = self.rnn(self.embedding(tokens))
        logits = self.output(states).double()
        targets = torch.cat([tokens[:, 1:], self.pad.expand(len(tokens), 1)], dim=1)
        losses = -torch.distributions.Categorical(logits=logits).log_prob(targets)
        return torch.where(targets == self.pad, 0.0, losses).sum(dim=-1).float()
