"""Which formula scores a layer, and why: from the rows of z, the Jacobian, or by rows.

Every condition is tested on the forward pass at hand, never by the architecture's name.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from sklearn_hessreg._hessian import _jacobian, _row_by_row, _streamed
from sklearn_hessreg._hessian._curvature import curvature_by
from sklearn_hessreg._hessian._structure import (
    differentiable_tensors,
    gradients,
    groups_interact,
    is_locally_linear,
    outputs_follow_groups,
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


def score_layer(problem, name):
    """Score one layer by the cheapest formula that holds, and log which and why."""
    layer, uses = problem.module.get_submodule(name), problem.forward.uses.get(name, [])
    key = weight_key(problem.module, name)
    if not (is_linear(layer) or is_convolution(layer)):
        why = f"it is a {type(layer).__name__}"
    elif problem.forward.calls[name] != len(uses):
        why = "its weight is also used outside of the layer"
    else:
        no_rows = _why_no_rows(problem, layer, uses)
        if no_rows is None:
            return _score_rows(problem, name, uses[0])
        no_jacobian = _why_no_jacobian(problem, layer, uses, key)
        if no_jacobian is None:
            return _score_jacobian(problem, name, layer, uses, no_rows)
        why = f"{no_rows} and {no_jacobian}"
    logger.debug("layer %r: row by row, because %s", name, why)
    rest = (problem.J, problem.forward, key, problem.elements)
    if problem.curvature == "per_sample":
        return _row_by_row.per_sample_score(problem.module, problem.loss, *rest)
    return _row_by_row.mean_loss_score(*rest)


def _why_no_rows(problem, layer, uses):
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


def _why_no_jacobian(problem, layer, uses, key):
    """Tell why the Hessian is not sum_n G_n' S_n G_n; None if it is."""
    samples = problem.forward.samples
    ys = differentiable_tensors(problem.forward.outputs)
    deltas = [use.delta for use in uses]
    if is_convolution(layer) and any(use.h.ndim != layer.weight.ndim for use in uses):
        return "its input has no dimension of samples"
    if any(len(delta) % samples for delta in deltas):
        return f"its rows are not in {samples} groups, one for each sample"
    if groups_interact(problem.J, deltas, samples):
        _allow_interaction(problem.curvature)
        return "samples interact"
    if not outputs_follow_groups(ys, deltas, samples):
        return "the outputs are not those of the samples"
    C = sum(y[0].numel() for y in ys)
    if 3 * samples * C * layer.weight.numel() > problem.elements:
        return f"the Jacobian of C={C} outputs exceeds working_memory"
    v = [x.detach() for x in gradients(problem.J, ys)]
    if not is_locally_linear(ys, v, problem.forward.state[key]):
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


def _score_rows(problem, name, use):
    """Score a linear layer from B and h."""
    B, G, how = curvature_by(
        problem.J, problem.forward.outputs, use.delta, problem.elements // 4
    )
    out, fan_in = use.delta.shape[1], use.h.shape[1]
    if problem.curvature == "per_sample":
        logger.debug("layer %r: factorised, curvature by %s", name, how)
        return _streamed.per_sample_score(B, use.h, problem.elements)
    alive = use.h.any(0)  # the rows and columns of a dead input are exactly zero
    S = use.h.new_zeros(out, fan_in)
    S[:, alive], share = _streamed.mean_loss_score(
        B, G, use.h[:, alive], problem.elements
    )
    logger.debug(
        "layer %r: %.3g %% of the pairs of units streamed, because their terms differ "
        "in sign, the others factorised; curvature by %s",
        *(name, 100 * share, how),
    )
    return S


def _score_jacobian(problem, name, layer, uses, why):
    """Score a layer from the Jacobian of the outputs by its weight."""
    logger.debug("layer %r: Jacobian of the outputs, because %s", name, why)
    ys = differentiable_tensors(problem.forward.outputs)
    v = gradients(problem.J, ys, create_graph=True)
    G = _jacobian.jacobian_by_weight(layer, uses, ys, problem.forward.samples)
    S = _jacobian.score(G, v, ys, problem.curvature, problem.elements)
    return S.view_as(layer.weight)
