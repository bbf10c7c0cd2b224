"""Scores of a layer from the Jacobian of the outputs with respect to its weight.

Where the outputs are piecewise linear in the weight W, whatever the layer does with it,

    d2J / dW2 = sum_n G_n' S_n G_n,      G_n = d outputs_n / dW,

with S_n the second derivative of the loss with respect to the outputs of sample n.
"""

import torch
from torch.func import vjp, vmap

from sklearn_hessreg._hessian._forward_record import is_linear
from sklearn_hessreg._hessian._group import WHOLE


def jacobian_by_weight(layer, uses, head, samples):
    """Return G, of shape (samples, C, weights), summed over the uses of the layer."""
    return sum(
        _use_jacobian(layer, use, head.jacobian(use.delta), samples) for use in uses
    )


def product(G, head, R):
    """Return sum_n G_n' S_n G_n R."""
    return torch.einsum("ncp,nc->p", G, head.times(G @ R.flatten()))


def score(G, SG, curvature, elements, share=WHOLE):
    """Sum |sum_n G_n' S_n G_n|, or sum_n |G_n' S_n G_n|, over the second weight."""
    alive = G.any(0).any(0)  # the others' rows and columns are exactly zero
    own = alive.nonzero()[:, 0][share.of("weights", alive)]
    G, SG = G[:, :, own], SG[:, :, alive]
    total = G.new_zeros(alive.shape)
    if curvature == "per_sample":
        total[own] = _per_sample_sums(G, SG, elements)
    else:
        total[own] = _mean_loss_sums(G.flatten(0, 1), SG.flatten(0, 1), elements)
    return total


def _use_jacobian(layer, use, A, samples):
    """Pull the outputs' derivatives A back from the layer's result to its weight."""
    weight, C = layer.weight.detach(), A.shape[1]
    A, h = A.to(weight.dtype), use.h.to(weight.dtype)
    if is_linear(layer):
        A = A.view(samples, -1, C, weight.shape[0])
        h = h.view(samples, -1, weight.shape[1])
        return torch.einsum("ntci,ntj->ncij", A, h).flatten(2)

    def pull_back(h, a):
        _, back = vjp(lambda W: layer._conv_forward(h[None], W, None), weight)
        return vmap(lambda row: back(row[None])[0])(a)

    return vmap(pull_back)(h, A).flatten(2)


def _mean_loss_sums(G, SG, elements):
    """Sum |G' SG| over its columns, one block of rows at a time."""
    step = max(1, elements // (8 * max(1, SG.shape[1])))
    return torch.cat([(part.T @ SG).abs_().sum(1) for part in G.split(step, 1)])


def _per_sample_sums(G, SG, elements):
    """Sum |G_n' SG_n| over n, some samples and a block of rows at a time."""
    P = max(1, SG.shape[2])
    step = min(P, max(1, elements // (8 * P)))
    samples = max(1, elements // (8 * P * step))
    total = 0
    for g, sg in zip(G.split(samples), SG.split(samples), strict=True):
        parts = [
            torch.bmm(part.transpose(1, 2), sg).abs_().sum((0, 2))
            for part in g.split(step, 2)
        ]
        total = total + torch.cat(parts)
    return total
