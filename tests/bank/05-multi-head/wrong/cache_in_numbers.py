"""The cache is counted in numbers, not in bytes."""


def decoder_costs(vocab_size, d, layers, n):
    h, g, d_k, d_ff = layers.T
    matrices = (2 * d * (h + g) * d_k + 3 * d * d_ff).sum()
    parameters = vocab_size * d + matrices + (2 * len(layers) + 1) * d
    flops = 2 * n * (matrices + vocab_size * d) + 4 * (h * d_k).sum() * n * n
    return parameters, flops, 2 * (g * d_k).sum() * n
