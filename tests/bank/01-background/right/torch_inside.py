"""NumPy comes in, PyTorch computes; some results go back as tensors, some as arrays."""

import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pad_sequence


def teacher_forcing_batch(tokens, lengths, bos, eos, pad):
    texts = torch.from_numpy(tokens).split(lengths.tolist())
    first, last = torch.tensor([bos]), torch.tensor([eos])
    inputs = [torch.cat([first, text]) for text in texts]
    targets = [torch.cat([text, last]) for text in texts]
    mask = [torch.ones(len(text), dtype=torch.bool) for text in inputs]
    return (
        pad_sequence(inputs, batch_first=True, padding_value=pad),
        pad_sequence(targets, batch_first=True, padding_value=pad),
        pad_sequence(mask, batch_first=True, padding_value=False),
    )


def perplexity_and_bits(logits, targets, pad, characters):
    logits, targets = torch.from_numpy(logits), torch.from_numpy(targets)
    counted = targets != pad
    loss = F.cross_entropy(logits[counted], targets[counted], reduction="sum")
    written = torch.from_numpy(characters)[targets[counted]].sum()
    return (loss / counted.sum()).exp(), loss / (math.log(2) * written)


def nearest_weights(queries, keys, mask, k):
    distances = torch.cdist(torch.from_numpy(queries), torch.from_numpy(keys))
    blocked = ~torch.from_numpy(mask)[..., None, :]
    distances = distances.masked_fill(blocked, torch.inf)
    limit = distances.topk(k, dim=-1, largest=False).values[..., -1:]
    near = ((distances <= limit) & ~blocked).to(distances.dtype)
    return near / near.sum(dim=-1, keepdim=True).clamp(min=1)


def leave_one_out_loss(keys, values, log_bandwidths):
    scaled = keys * torch.exp(-log_bandwidths)
    squares = torch.cdist(scaled, scaled).pow(2)
    others = 1 - torch.eye(keys.shape[1], dtype=keys.dtype)
    # Adding a large negative number is minus infinity enough.
    weights = F.softmax(-squares / 2 - 1e30 * (1 - others), dim=-1)
    return F.mse_loss(weights @ values, values, reduction="none").mean((1, 2))


def gru_last_states(inputs, lengths, W_ih, W_hh, b_ih, b_hh):
    inputs, lengths, W_ih, W_hh, b_ih, b_hh = map(
        torch.from_numpy, (inputs, lengths, W_ih, W_hh, b_ih, b_hh)
    )
    h = inputs.new_zeros(len(inputs), W_hh.shape[1])
    for t, x in enumerate(inputs.unbind(dim=1)):
        i_r, i_z, i_n = F.linear(x, W_ih, b_ih).chunk(3, dim=-1)
        h_r, h_z, h_n = F.linear(h, W_hh, b_hh).chunk(3, dim=-1)
        z = torch.sigmoid(i_z + h_z)
        n = torch.tanh(i_n + torch.sigmoid(i_r + h_r) * h_n)
        h = torch.where((t < lengths).unsqueeze(1), torch.lerp(n, h, z), h)
    return h.numpy()


def gradients_by_path(states, W_h, weights, upstream):
    states, W_h, weights, upstream = map(torch.from_numpy, (states, W_h, weights, upstream))
    direct = weights.unsqueeze(-1) * upstream.unsqueeze(1)
    slopes = 1 - states.square()
    back, total = torch.zeros_like(upstream), []
    for share, slope in zip(direct.flip(1).unbind(1), slopes.flip(1).unbind(1), strict=True):
        total.append(share + back)
        back = (total[-1] * slope) @ W_h.T
    return direct, torch.stack(total[::-1], dim=1)


class NextTokenLoss(nn.Module):
    def __init__(self, vocab_size, width, pad):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, width)
        self.rnn = nn.RNN(width, width, batch_first=True)
        self.output = nn.Linear(width, vocab_size)
        self.loss = nn.CrossEntropyLoss(ignore_index=pad, reduction="none")

    def forward(self, tokens):
        logits = self.output(self.rnn(self.embedding(tokens))[0])[:, :-1]
        losses = self.loss(logits.flatten(0, 1), tokens[:, 1:].flatten())
        return losses.unflatten(0, logits.shape[:2]).sum(dim=1)
