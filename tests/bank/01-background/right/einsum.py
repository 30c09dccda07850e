"""Index notation, one-hot vectors and gathering instead of slices."""

import numpy as np
import torch


def teacher_forcing_batch(tokens, lengths, bos, eos, pad):
    columns = np.arange(np.max(lengths) + 1)[None]
    ends = np.asarray(lengths)[:, None]
    starts = np.cumsum(lengths)[:, None] - ends
    padded = np.concatenate([tokens, [pad]])
    texts = padded[np.where(columns < ends, starts + columns, len(tokens))]
    targets = np.where(columns == ends, eos, texts)
    before = padded[np.where((columns > 0) & (columns <= ends), starts + columns - 1, len(tokens))]
    inputs = np.where(columns == 0, bos, before)
    return inputs, targets, columns <= ends


def perplexity_and_bits(logits, targets, pad, characters):
    counted = targets != pad
    z = np.where(counted[..., None], logits, 0)
    came = np.where(counted, targets, 0)
    top = z.max(-1, keepdims=True)
    log_sum = np.log(np.einsum("btv->bt", np.exp(z - top))) + top[..., 0]
    surprise = log_sum - np.take_along_axis(z, came[..., None], -1)[..., 0]
    total = np.einsum("bt,bt->", surprise, counted.astype(surprise.dtype))
    written = np.einsum("bt,bt->", characters[came], counted.astype(int))
    return np.exp(total / counted.sum()), total / (np.log(2) * written)


def nearest_weights(queries, keys, mask, k):
    squares = (
        np.einsum("...nd,...nd->...n", queries, queries)[..., None]
        - 2 * np.einsum("...nd,...md->...nm", queries, keys)
        + np.einsum("...md,...md->...m", keys, keys)[..., None, :]
    )
    allowed = np.broadcast_to(mask[..., None, :], squares.shape)
    # Within the k nearest is a key that fewer than k allowed ones beat.
    nearer = (squares[..., None, :] < squares[..., :, None]) & allowed[..., None, :]
    near = ((nearer.sum(-1) < k) & allowed).astype(queries.dtype)
    count = near.sum(-1, keepdims=True)
    return np.divide(near, count, out=np.zeros_like(near), where=count > 0)


def leave_one_out_loss(keys, values, log_bandwidths):
    m = keys.shape[1]
    others = torch.tensor([[j for j in range(m) if j != i] for i in range(m)])  # (m, m - 1)
    differences = keys[:, others] - keys[:, :, None]  # (batch, m, m - 1, d_k)
    scores = torch.einsum("bijc,c->bij", differences**2, torch.exp(-2 * log_bandwidths)) / -2
    weights = torch.softmax(scores, dim=2)
    answers = torch.einsum("bij,bijv->biv", weights, values[:, others])
    return ((answers - values) ** 2).flatten(1).mean(1)


def gru_last_states(inputs, lengths, W_ih, W_hh, b_ih, b_hh):
    (U_r, U_z, U_n), (b_r, b_z, b_n) = np.split(W_hh, 3), np.split(b_hh, 3)
    h = np.zeros((inputs.shape[0], W_hh.shape[1]), inputs.dtype)
    kept = [h]
    for x in np.moveaxis(inputs, 1, 0):
        from_x = np.einsum("bi,hi->bh", x, W_ih) + b_ih
        a_r, a_z, a_n = np.split(from_x, 3, axis=1)
        r = 1 / (1 + np.exp(-(a_r + np.einsum("bi,hi->bh", h, U_r) + b_r)))
        z = 1 / (1 + np.exp(-(a_z + np.einsum("bi,hi->bh", h, U_z) + b_z)))
        n = np.tanh(a_n + r * (np.einsum("bi,hi->bh", h, U_n) + b_n))
        h = n - z * n + z * h
        kept.append(h)
    return np.stack(kept, axis=1)[np.arange(len(inputs)), lengths]


def gradients_by_path(states, W_h, weights, upstream):
    batch, steps, width = states.shape
    direct = np.einsum("bt,bh->bth", weights, upstream)
    total = np.zeros_like(direct)
    # Every pair of a state and a later one, by the product of the Jacobians between them.
    for t in range(steps):
        product = np.broadcast_to(np.eye(width, dtype=states.dtype), (batch, width, width))
        for later in range(t, steps):
            if later > t:
                jacobian = np.einsum("bo,io->boi", 1 - states[:, later] ** 2, W_h)
                product = np.einsum("bpo,boi->bpi", jacobian, product)
            total[:, t] += np.einsum("bp,bpi->bi", direct[:, later], product)
    return direct, total


class NextTokenLoss(torch.nn.Module):
    def __init__(self, vocab_size, width, pad):
        super().__init__()
        self.vocab_size, self.pad = vocab_size, pad
        self.embedding = torch.nn.Embedding(vocab_size, width, padding_idx=pad)
        self.rnn = torch.nn.RNN(width, width, batch_first=True)
        self.output = torch.nn.Linear(width, vocab_size)

    def forward(self, tokens):
        states, _ = self.rnn(self.embedding(tokens))
        log_p = self.output(states[:, :-1]).log_softmax(-1)
        came = torch.nn.functional.one_hot(tokens[:, 1:], self.vocab_size).to(log_p.dtype)
        counted = (tokens[:, 1:] != self.pad).to(log_p.dtype)
        return -torch.einsum("btv,btv,bt->b", log_p, came, counted)
