"""Scores of any weight from the rows of its Hessian block, one derivative per row.

They are exact whatever the network does with the weight. A row costs about two forward
and backward passes. Rows are not batched: on a CPU that is no faster, and not every
operation has a correct batching rule.
"""

import torch
from torch.func import functional_call, vmap
from torch.utils._pytree import tree_map

from sklearn_hessreg._hessian._group import WHOLE
from sklearn_hessreg._hessian._probes import (
    agrees,
    any_groups_interact,
    gradients,
    hessian_product,
    random_like,
)
from sklearn_hessreg._hessian._twice_differentiable import TwiceDifferentiable


def mean_loss_score(J, W, share=WHOLE):
    """Sum |d2J / dW dW_kl| over k and l."""
    return _absolute_row_sums(J, W, W.shape, share)


def per_sample_score(module, loss, J, forward, key, share=WHOLE):
    """Sum |d2J_n / dW dW_kl| over n, k and l; each sample has a copy of the weight.

    Raises ValueError if that is not the same network, because samples interact.
    """
    samples, W = forward.samples, forward.state[key]
    copies = W.detach().repeat(samples, *[1] * W.ndim).requires_grad_()
    try:
        apart = loss(_call_one_by_one(module, key, copies, forward))
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise ValueError(
            f"curvature='per_sample' of {key} needs the network called sample by "
            f"sample, under torch.vmap, which failed: {error} Use "
            "curvature='mean_loss'."
        ) from error
    if apart.numel() != 1 or not _is_sum_of_samples(apart, copies, J, W):
        raise ValueError(
            f"curvature='per_sample' has no meaning for {key}: samples interact in the "
            "network or in the loss, which curve differently if they are called one by "
            "one. Use curvature='mean_loss'."
        )
    return _absolute_row_sums(apart, copies, W.shape, share)


def _is_sum_of_samples(apart, copies, J, W):
    """Return whether the Hessian of J in W is the sum of those in the copies of W."""
    samples = len(copies)
    g = gradients(apart, [copies], create_graph=True)
    R = random_like(W).repeat(samples, *[1] * W.ndim)
    product = hessian_product(apart, copies, R).view(samples, *W.shape).sum(0)
    return not any_groups_interact(g, [copies], samples) and agrees(J, W, product)


def _call_one_by_one(module, key, copies, forward):
    """Call the network on batches of one sample, each with its own copy of a weight."""
    inputs = (forward.args, forward.kwargs)
    dims = tree_map(lambda x: 0 if isinstance(x, torch.Tensor) else None, inputs)

    def call(W, args, kwargs):
        args, kwargs = tree_map(
            lambda x: x[None] if isinstance(x, torch.Tensor) else x, (args, kwargs)
        )
        with TwiceDifferentiable():
            return functional_call(module, {**forward.state, key: W}, args, kwargs)

    outputs = vmap(call, in_dims=(0, *dims))(copies, *inputs)
    return tree_map(lambda y: y.flatten(0, 1) if y.ndim > 1 else y, outputs)


def _absolute_row_sums(J, W, shape, share):
    """Sum |d2J / dW dW_kl| over k and l, for each of the `shape` weights in the share.

    If W holds several copies of the weights, all of them move together.
    """
    (g,) = gradients(J, [W], create_graph=True)
    g = g.reshape(-1, shape.numel())
    total = W.new_zeros(shape.numel())
    for i in range(len(total))[share.of("weights one by one")]:
        (row,) = gradients(g[:, i].sum(), [W])
        total[i] = row.abs().sum()
    return total.view(shape)
