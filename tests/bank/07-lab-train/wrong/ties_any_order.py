"""Equal logits stand in the order in which a sort happens to leave them, here the last first; or all of them stay."""

import torch


def draw(logits, temperature, top_k, top_p, count):
    ranked, order = logits.flip(-1).sort(dim=-1, descending=True, stable=True)
    order = logits.shape[-1] - 1 - order
    ranked = ranked / (temperature or 1)
    ranked[:, 1 if temperature == 0 else top_k or len(ranked[0]) :] = -torch.inf
    p = ranked.softmax(-1)
    p = p.masked_fill(p.cumsum(-1) - p >= (top_p or 2), 0)
    p = torch.zeros_like(p).scatter(-1, order, p / p.sum(-1, keepdim=True))
    return p, p.multinomial(count, replacement=True)
