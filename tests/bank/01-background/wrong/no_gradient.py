"""Right values through which no gradient flows."""

import torch


def leave_one_out_loss(keys, values, log_bandwidths):
    keys, values, log_bandwidths = keys.detach(), values.detach(), log_bandwidths.detach()
    scaled = keys / log_bandwidths.exp()
    scores = -(scaled[:, :, None] - scaled[:, None]).square().sum(-1) / 2
    scores.diagonal(dim1=1, dim2=2).fill_(-torch.inf)
    return (scores.softmax(-1) @ values - values).square().mean(dim=(1, 2))


class NextTokenLoss(torch.nn.Module):
    def __init__(self, vocab_size, width, pad):
        super().__init__()
        self.pad = pad
        self.embedding = torch.nn.Embedding(vocab_size, width)
        self.rnn = torch.nn.RNN(width, width, batch_first=True)
        self.output = torch.nn.Linear(width, vocab_size)

    @torch.no_grad()
    def forward(self, tokens):
        states, _ = self.rnn(self.embedding(tokens[:, :-1]))
        losses = torch.nn.functional.cross_entropy(
            self.output(states).transpose(1, 2),
            tokens[:, 1:],
            ignore_index=self.pad,
            reduction="none",
        )
        return losses.sum(dim=1)
