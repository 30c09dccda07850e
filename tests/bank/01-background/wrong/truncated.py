"""Backpropagation through the last twenty steps only."""


def gradients_by_path(states, W_h, weights, upstream):
    direct = weights[:, :, None] * upstream[:, None]
    total = direct.copy()
    T = states.shape[1]
    for t in range(T - 2, -1, -1):
        back = 0 * upstream
        for s in range(min(T - 1, t + 20), t, -1):
            back = (direct[:, s] + back) * (1 - states[:, s] ** 2) @ W_h.T
        total[:, t] += back
    return (direct, total)
