"""Plain loops, as the definitions read."""

import math

import numpy as np
import torch


def teacher_forcing_batch(tokens, lengths, bos, eos, pad):
    width = int(max(lengths)) + 1
    inputs, targets, mask, start = [], [], [], 0
    for length in lengths:
        text = [int(token) for token in tokens[start : start + length]]
        filling = [pad] * (width - length - 1)
        inputs.append([bos, *text, *filling])
        targets.append([*text, eos, *filling])
        mask.append([t <= length for t in range(width)])
        start += length
    return np.array(inputs), np.array(targets), np.array(mask)


def perplexity_and_bits(logits, targets, pad, characters):
    total, number, written = 0.0, 0, 0
    for b in range(targets.shape[0]):
        for t in range(targets.shape[1]):
            x = int(targets[b, t])
            if x == pad:
                continue
            z = [float(value) for value in logits[b, t]]
            top = max(z)
            total += top + math.log(sum(math.exp(value - top) for value in z)) - z[x]
            number += 1
            written += int(characters[x])
    return math.exp(total / number), total / math.log(2) / written


def nearest_weights(queries, keys, mask, k):
    lead = queries.shape[:-2]
    weights = np.zeros((*lead, queries.shape[-2], keys.shape[-2]), dtype=queries.dtype)
    for index in np.ndindex(lead):
        for i, query in enumerate(queries[index]):
            distance = {
                j: math.dist(query, key) for j, key in enumerate(keys[index]) if mask[index][j]
            }
            if not distance:
                continue
            limit = sorted(distance.values())[min(k, len(distance)) - 1]
            near = [j for j in distance if distance[j] <= limit]
            for j in near:
                weights[(*index, i, j)] = 1 / len(near)
    return weights


def leave_one_out_loss(keys, values, log_bandwidths):
    losses = []
    for data, answers in zip(keys, values, strict=True):
        errors = []
        for i in range(len(data)):
            others = [j for j in range(len(data)) if j != i]
            scores = torch.stack(
                [
                    -0.5 * (((data[i] - data[j]) / torch.exp(log_bandwidths)) ** 2).sum()
                    for j in others
                ]
            )
            weights = torch.exp(scores - scores.max())
            answer = (weights[:, None] * answers[others]).sum(dim=0) / weights.sum()
            errors.append(((answer - answers[i]) ** 2).mean())
        losses.append(sum(errors) / len(errors))
    return torch.stack(losses)


def gru_last_states(inputs, lengths, W_ih, W_hh, b_ih, b_hh):
    d = W_hh.shape[1]
    last = np.zeros((len(inputs), d), dtype=inputs.dtype)
    for row, length in enumerate(lengths):
        h = np.zeros(d, dtype=inputs.dtype)
        for x in inputs[row, :length]:
            a, c = W_ih @ x + b_ih, W_hh @ h + b_hh
            r = 1 / (1 + np.exp(-(a[:d] + c[:d])))
            z = 1 / (1 + np.exp(-(a[d : 2 * d] + c[d : 2 * d])))
            n = np.tanh(a[2 * d :] + r * c[2 * d :])
            h = n + z * (h - n)
        last[row] = h
    return last


def gradients_by_path(states, W_h, weights, upstream):
    direct, total = np.empty_like(states), np.empty_like(states)
    for b in range(len(states)):
        back = np.zeros_like(upstream[b])
        for t in reversed(range(states.shape[1])):
            direct[b, t] = weights[b, t] * upstream[b]
            total[b, t] = direct[b, t] + back
            back = W_h @ ((1 - states[b, t] ** 2) * total[b, t])
    return direct, total


class NextTokenLoss(torch.nn.Module):
    def __init__(self, vocab_size, width, pad):
        super().__init__()
        self.pad = pad
        self.embedding = torch.nn.Embedding(vocab_size, width)
        self.rnn = torch.nn.RNN(width, width)
        self.output = torch.nn.Linear(width, vocab_size)

    def forward(self, tokens):
        sums = []
        for text in tokens:
            text = text[text != self.pad]
            states, _ = self.rnn(self.embedding(text))
            loss = torch.zeros(())
            for t in range(len(text) - 1):
                loss = loss - self.output(states[t]).log_softmax(dim=0)[text[t + 1]]
            sums.append(loss)
        return torch.stack(sums)
