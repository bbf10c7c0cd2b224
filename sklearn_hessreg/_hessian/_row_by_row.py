"""Scores of any weight from the rows of its Hessian block, one derivative for each.

Exact whatever the network does with the weight; a row costs about two forward and
backward passes.
"""

import torch
from torch.func import functional_call, vmap
from torch.utils._pytree import tree_map

from sklearn_hessreg._hessian._structure import gradients, groups_interact


def mean_loss_score(J, forward, key, elements):
    """Add up |d2J / dW dW_kl| over k and l."""
    W = forward.state[key]
    chunk = max(1, elements // (4 * forward.elements + W.numel()))
    return _absolute_row_sums(J, W, W.shape, chunk)


def per_sample_score(module, loss, together, forward, key, elements):
    """Add up the samples' |d2J_n / dW dW_kl|; each sample has a copy of the weight.

    `together` is the loss of the samples in one batch, J = loss(outputs).

    Raises ValueError where that is not the same network: if samples interact.
    """
    samples, W = forward.samples, forward.state[key].detach()
    copies = W.repeat(samples, *[1] * W.ndim).requires_grad_()
    J = loss(_call_one_by_one(module, key, copies, forward))
    tolerance = torch.finfo(J.dtype).eps ** 0.5
    if not torch.isclose(J, together, rtol=tolerance, atol=0, equal_nan=True).all():
        raise ValueError(
            f"curvature='per_sample' has no meaning for {key}: samples interact in "
            f"the network (J={J.item():.6g} if it is called sample by sample, "
            f"{together.item():.6g} if together). Use curvature='mean_loss'."
        )
    if groups_interact(J, [copies], samples):
        raise ValueError(
            f"curvature='per_sample' has no meaning for {key}: samples interact in "
            "the loss. Use curvature='mean_loss'."
        )
    chunk = max(1, elements // (4 * forward.elements + copies.numel()))
    return _absolute_row_sums(J, copies, W.shape, chunk)


def _call_one_by_one(module, key, copies, forward):
    """Call the network on batches of one sample, each with its own copy of a weight."""

    def call(W, args, kwargs):
        args, kwargs = tree_map(lambda x: x[None], (args, kwargs))
        return functional_call(module, {**forward.state, key: W}, args, kwargs)

    try:
        outputs = vmap(call)(copies, forward.args, forward.kwargs)
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"curvature='per_sample' of {key} needs the network called sample by "
            f"sample, under torch.vmap, which failed: {error} Use "
            "curvature='mean_loss'."
        ) from error
    return tree_map(lambda y: y.flatten(0, 1) if y.ndim > 1 else y, outputs)


def _absolute_row_sums(J, W, shape, chunk):
    """Sum the absolute second derivatives by W and each of the `shape` weights."""
    (G,) = gradients(J, [W], create_graph=True)
    total = torch.zeros(shape.numel(), dtype=W.dtype, device=W.device)
    if not G.requires_grad:
        return total.view(shape)
    for start in range(0, len(total), chunk):
        part = total[start : start + chunk]
        unit = torch.zeros(len(part), len(total), dtype=W.dtype, device=W.device)
        unit[:, start : start + chunk].fill_diagonal_(1)
        # the same direction for every copy of the weight
        unit = unit.view(-1, *[1] * (W.ndim - len(shape)), *shape)
        unit = unit.expand(-1, *W.shape)
        (rows,) = torch.autograd.grad(
            G, W, unit, retain_graph=True, is_grads_batched=True, materialize_grads=True
        )
        part.copy_(rows.abs().flatten(1).sum(1))
    return total.view(shape)
