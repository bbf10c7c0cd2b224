"""Which formula scores a layer, and why: from rows of z, the Jacobian, or row by row.

Every condition is tested on the forward pass at hand, never by the architecture's name,
and what a formula says the Hessian does to a random direction is compared with what it
does.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn

from sklearn_hessreg._hessian import _jacobian, _row_by_row, _streamed
from sklearn_hessreg._hessian._curvature import LossByOutputs, curvature_by
from sklearn_hessreg._hessian._structure import (
    agrees,
    groups_interact,
    is_locally_linear,
    outputs_follow_groups,
    random_like,
)
from sklearn_hessreg._hessian._trace import (
    Trace,
    is_convolution,
    is_linear,
    weight_key,
)

logger = logging.getLogger("sklearn_hessreg")


@dataclass
class Problem:
    """A forward pass and its loss J; `elements` bounds the temporaries."""

    module: nn.Module
    forward: Trace
    loss: Callable
    J: torch.Tensor
    curvature: str
    elements: int

    @cached_property
    def head(self):
        """The loss as a function of the outputs."""
        return LossByOutputs(self.loss, self.forward.outputs)


def score_layer(problem, name):
    """Score one layer by the cheapest formula that holds, and log which and why."""
    layer, uses = problem.module.get_submodule(name), problem.forward.uses.get(name, [])
    key = weight_key(problem.module, name)
    W, reasons = problem.forward.state[key], []
    for why_not, score in (
        (_why_no_rows, _score_rows),
        (_why_no_jacobian, _score_jacobian),
    ):
        reason = _why_unknown(problem, name, layer, uses)
        reason = reason or why_not(problem, layer, uses, W)
        if reason is None:
            S, product, how = score(problem, layer, uses, W)
            if agrees(problem.J, W, product):
                because = f", because {reasons[0]}" if reasons else ""
                logger.debug("layer %r: %s%s", name, how, because)
                return S
            reason = "the Hessian moves a random direction elsewhere than the formula"
        reasons += [reason] if reason not in reasons else []
    logger.debug("layer %r: row by row, because %s", name, " and ".join(reasons))
    if problem.curvature == "per_sample":
        return _row_by_row.per_sample_score(
            *(problem.module, problem.loss, problem.J, problem.forward, key)
        )
    return _row_by_row.mean_loss_score(problem.J, W)


def _why_unknown(problem, name, layer, uses):
    """Tell why not all is known of what the layer does with its weight."""
    if not (is_linear(layer) or is_convolution(layer)):
        return f"it is a {type(layer).__name__}"
    if problem.forward.calls[name] != len(uses):
        return "its weight is also used outside of the layer"
    return None


def _why_no_rows(problem, layer, uses, W):
    """Tell why the Hessian is not sum_n B_n[i,k] h_nj h_nl over rows; None if it is."""
    if not is_linear(layer):
        return f"it is a {type(layer).__name__}"
    if len(uses) != 1:
        return f"it is used {len(uses)} times"
    rows = len(uses[0].delta)
    if problem.curvature == "per_sample" and rows != problem.forward.samples:
        return f"its {rows} rows are not the {problem.forward.samples} samples"
    if groups_interact(problem.J, [uses[0].delta], rows):
        _allow_interaction(problem.curvature)
        return "its rows interact"
    return None


def _why_no_jacobian(problem, layer, uses, W):
    """Tell why the Hessian is not sum_n G_n' S_n G_n; None if it is."""
    samples, head = problem.forward.samples, problem.head
    deltas = [use.delta for use in uses]
    if is_convolution(layer) and any(use.h.ndim != layer.weight.ndim for use in uses):
        return "its input has no dimension of samples"
    if any(len(delta) % samples for delta in deltas):
        return f"its rows are not in {samples} groups, one for each sample"
    C = head.count_outputs()
    if 3 * samples * C * layer.weight.numel() > problem.elements:
        return f"the Jacobian of C={C} outputs exceeds working_memory"
    if groups_interact(problem.J, deltas, samples):
        _allow_interaction(problem.curvature)
        return "samples interact"
    if not outputs_follow_groups(head.ys, deltas, samples):
        return "the outputs are not those of the samples"
    if not is_locally_linear(head.ys, head.v, W):
        return "the outputs are not piecewise linear in it"
    return None


def _allow_interaction(curvature):
    """Refuse samples that interact where their single curvatures are asked for."""
    if curvature == "per_sample":
        raise ValueError(
            "curvature='per_sample' has no meaning here: samples interact in the "
            "network or in the loss, as in batch norm without running statistics. Use "
            "curvature='mean_loss'."
        )


def _score_rows(problem, layer, uses, W):
    """Score a linear layer from B and h; return also H R, and how B was computed."""
    (use,) = uses
    h, elements = use.h.to(W.dtype), problem.elements
    B, g, how = curvature_by(
        *(problem.J, problem.head, use.delta, h @ random_like(W).T, elements)
    )
    if problem.curvature == "per_sample":
        S = _streamed.per_sample_score(B, h, elements)
        return S, B.product().to(h.dtype).T @ h, f"factorised, curvature by {how}"
    alive = h.any(0)  # the rows and columns of a dead input are exactly zero
    S = torch.zeros_like(W)
    S[:, alive], share = _streamed.mean_loss_score(B, g, h[:, alive], elements)
    how = f"{share:.1%} of the pairs of units streamed, curvature by {how}"
    return S, B.product().to(h.dtype).T @ h, how


def _score_jacobian(problem, layer, uses, W):
    """Score a layer from the Jacobian of the outputs by its weight; also H R."""
    G = _jacobian.jacobian_by_weight(layer, uses, problem.head, problem.forward.samples)
    S_n = problem.head.S.to(G)
    S = _jacobian.score(G, S_n, problem.curvature, problem.elements)
    product = _jacobian.product(G, S_n, random_like(W))
    return S.view_as(W), product, "Jacobian of the outputs"
