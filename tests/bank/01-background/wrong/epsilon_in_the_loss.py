"""A small number keeps the logarithm finite, and the loss of improbable tokens too small."""

import torch.nn.functional as F
from torch import nn


class NextTokenLoss(nn.Module):
    def __init__(self, v, d, p):
        super().__init__()
        self.p = p
        self.embedding = nn.Embedding(v, d)
        self.rnn = nn.RNN(d, d, batch_first=True)
        self.output = nn.Linear(d, v)

    def forward(self, x):
        p = self.output(self.rnn(self.embedding(x[:, :-1]))[0]).softmax(-1)
        return F.nll_loss(
            (p + 1e-10).log().transpose(1, 2), x[:, 1:], ignore_index=self.p, reduction="none"
        ).sum(1)
