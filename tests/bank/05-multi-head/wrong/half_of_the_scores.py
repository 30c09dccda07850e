"""Only the scores that the causal mask leaves are counted."""


def decoder_costs(vocab_size, d, layers, n):
    h, g, d_k, d_ff = layers.T
    matrices = (2 * d * (h + g) * d_k + 3 * d * d_ff).sum()
    parameters = vocab_size * d + matrices + (2 * len(layers) + 1) * d
    flops = 2 * n * (matrices + vocab_size * d) + 2 * (h * d_k).sum() * n * n
    return parameters, flops, 4 * (g * d_k).sum() * n
