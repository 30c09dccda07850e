"""Every product is an einsum."""

import heapq
import math

import numpy as np
import torch
import torch.nn.functional as F


def padded_attention(queries, keys, values, lengths):
    shape = (len(lengths),) + (1,) * (keys.ndim - 2)
    outside = np.arange(keys.shape[-2]) >= np.reshape(lengths, (*shape, 1))[..., 0, :]
    outside = np.broadcast_to(outside.reshape(*shape[:-1], keys.shape[-2]), keys.shape[:-1])
    clean_keys, clean_values = keys.copy(), values.copy()
    clean_keys[outside], clean_values[outside] = 0, 0
    scores = np.einsum("...id,...jd->...ij", queries, clean_keys) / math.sqrt(keys.shape[-1])
    scores = np.where(outside[..., None, :], -np.finfo(scores.dtype).max, scores)
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True)) * ~outside[..., None, :]
    total = np.einsum("...ij->...i", shares)[..., None]
    weights = np.divide(shares, total, out=np.zeros_like(shares), where=total > 0)
    return np.einsum("...ij,...jd->...id", weights, clean_values), weights


def alignment_error(weights, sure, possible):
    one_hot = np.eye(weights.shape[-1], dtype=int)[weights.argmax(axis=-1)]
    links = one_hot * weights.any(axis=-1)[..., None]
    union = np.maximum(sure, possible).astype(int)
    in_sure = np.einsum("bij,bij->", links, sure.astype(int))
    in_possible = np.einsum("bij,bij->", links, union)
    made, wanted = np.einsum("bij->", links), np.einsum("bij->", sure.astype(int))
    error = 1 - (in_sure + in_possible) / (made + wanted)
    return links.astype(bool), in_possible / made, in_sure / wanted, error


def coverage_attention(queries, keys, W_q, W_k, w_c, w):
    asked = torch.einsum("bnq,qh->nbh", queries, W_q)
    offered = torch.einsum("bmk,kh->bmh", keys, W_k)
    steps = []
    for query in asked:
        read = torch.stack([torch.zeros_like(offered[..., 0]), *steps]).sum(dim=0)
        inside = query[:, None] + offered + torch.einsum("bm,h->bmh", read, w_c)
        steps.append(F.softmax(torch.einsum("bmh,h->bm", inside.tanh(), w), dim=1))
    return torch.stack(steps).transpose(0, 1)


def memory_backward(queries, memory, W, mask, upstream):
    scores = np.einsum("bia,ac,bjc->bij", queries, W, memory)
    shares = np.where(mask[:, None], np.exp(scores - scores.max(axis=-1, keepdims=True)), 0)
    total = np.einsum("bij->bi", shares)[..., None]
    weights = np.divide(shares, total, out=np.zeros_like(shares), where=total > 0)
    context = np.einsum("bij,bjc->bic", weights, memory)
    gains = np.einsum("bic,bjc->bij", upstream, memory)
    gains = gains - np.einsum("bic,bic->bi", upstream, context)[..., None]
    push = weights * gains
    d_queries = np.einsum("bij,bjc,ac->bia", push, memory, W)
    d_memory = np.einsum("bij,bia,ac->bjc", push, queries, W)
    d_memory = d_memory + np.einsum("bij,bic->bjc", weights, upstream)
    return d_queries, d_memory, np.einsum("bij,bia,bjc->ac", push, queries, memory)


def beam_search(log_probs, start, end, width, limit, alpha):
    live, done = [(-0.0, ())], []
    for _ in range(limit):
        longer = [
            (cost - log_probs[(start, *tokens)[-1], token], (*tokens, token))
            for cost, tokens in live
            for token in np.flatnonzero(np.isfinite(log_probs[(start, *tokens)[-1]]))
        ]
        kept = heapq.nsmallest(width, longer)  # pairs compare by cost, then by tokens
        done += [(cost / ((5 + len(t)) / 6) ** alpha, t) for cost, t in kept if t[-1] == end]
        live = [(cost, t) for cost, t in kept if t[-1] != end]
    return [(list(tokens), -cost) for cost, tokens in heapq.nsmallest(width, done)]


class MendedDecoder(torch.nn.Module):
    def __init__(self, vocabulary, width, d_memory, start):
        super().__init__()
        self.embedding = torch.nn.Embedding(vocabulary, width)
        self.cell = torch.nn.GRUCell(2 * width, width)
        self.W = torch.nn.Parameter(torch.rand(width, d_memory))
        self.mix = torch.nn.Linear(d_memory + width, width)
        self.output = torch.nn.Linear(width, vocabulary)
        self.register_buffer("start", torch.tensor([[start]]), persistent=False)

    def forward(self, targets, hidden, memory, mask):
        inputs = torch.cat([self.start.expand(len(targets), 1), targets], dim=1)[:, :-1]
        state, fed, all_fed = hidden, hidden * 0, []
        for embedded in torch.einsum("bnw->nbw", self.embedding(inputs)):
            state = self.cell(torch.cat((embedded, fed), 1), state)
            scores = torch.einsum("bw,wd,bjd->bj", state, self.W, memory)
            weights = F.softmax(torch.where(mask, scores, float("-inf")), dim=1)
            context = torch.einsum("bj,bjd->bd", weights, memory)
            fed = self.mix(torch.cat((context, state), 1)).tanh()
            all_fed.append(fed)
        return self.output(torch.stack(all_fed, 1))
