"""Every one of several largest weights makes a link."""


def alignment_error(weights, sure, possible):
    links = (weights == weights.max(axis=-1, keepdims=True)) & (weights > 0)
    in_sure, in_possible = (links & sure).sum(), (links & (possible | sure)).sum()
    error = 1 - (in_sure + in_possible) / (links.sum() + sure.sum())
    return links, in_possible / links.sum(), in_sure / sure.sum(), error
