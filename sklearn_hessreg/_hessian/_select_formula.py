"""Choose the formula that scores a layer: rows of z, the Jacobian, or row by row.

Every condition is tested on the actual forward pass, never by the architecture's name.
Each formula's product of the Hessian with a random direction is compared with the one
from autograd.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils._pytree import tree_map_only

from sklearn_hessreg._hessian import _jacobian, _row_by_row, _streamed
from sklearn_hessreg._hessian._curvature import (
    DoubleBackward,
    GaussNewton,
    why_not_gauss_newton,
)
from sklearn_hessreg._hessian._forms import Dense, find_form
from sklearn_hessreg._hessian._forward_record import (
    Trace,
    is_convolution,
    is_linear,
)
from sklearn_hessreg._hessian._group import WHOLE, Share
from sklearn_hessreg._hessian._links import absolute_sums, find_links
from sklearn_hessreg._hessian._loss import LossByOutputs, check_loss, count_numbers
from sklearn_hessreg._hessian._probes import (
    agrees,
    any_groups_interact,
    gradients,
    is_locally_linear,
    outputs_follow_groups,
    random_like,
    reaches,
    refuse_interaction,
    some_groups_interact,
)


@dataclass
class Problem:
    """A forward pass and its loss; `elements` bounds the temporaries.

    `head` is the loss as a function of the outputs. Other cached values do not use
    cached_property: up to Python 3.11, all threads wait while one is computed.
    """

    module: nn.Module
    forward: Trace
    loss: Callable
    head: LossByOutputs
    curvature: str
    elements: int
    share: Share = WHOLE
    _J: torch.Tensor | None = None
    _sums: dict | None = None

    @property
    def J(self):  # noqa: N802
        """The loss in the graph of the forward pass."""
        if self._J is None:
            # cloned, because the loss may change its arguments in place
            outputs = self.forward.outputs
            self._J = self.loss(tree_map_only(torch.Tensor, torch.clone, outputs))
            check_loss(self._J)
        return self._J

    def layer(self, name):
        """Return a layer of the network."""
        return self.module.get_submodule(name)

    def weight(self, name):
        """Return the stand-in for a layer's weight."""
        return self.forward.state[self.forward.keys[name]]

    def output_form(self, name):
        """Return B of a linear layer whose results are the outputs, or None.

        The outputs are the only way from the weight to the loss, so nothing in the
        network is left to test.
        """
        ys = self.head.ys
        if not self._is_used_once(name) or len(ys) != 1:
            return None
        use, y = self.forward.uses[name][0], ys[0]
        if y.grad_fn is not use.node or y.shape != use.delta.shape:
            return None
        W = [self.weight(name)]
        if len(y) != self.forward.samples or reaches([self.head.J, use.live], W):
            return None
        form = self.head.curvature
        return None if isinstance(form, Dense) else form

    @property
    def sums_behind_links(self):
        """sum_k |B_n[i,k]| of the layers linked to the outputs, by name."""
        if self._sums is None:
            self._sums = self._sum_behind_links()
        return self._sums

    def _sum_behind_links(self):
        """Go back from the last layer for as long as all uses of a layer are known."""
        names = []
        for name in reversed(self.forward.calls):
            if not self._is_used_once(name):
                break
            names.insert(0, name)
        form = self.output_form(names[-1]) if len(names) > 1 else None
        weights = {name: self.weight(name) for name in names}
        if form is None or reaches([self.head.J], weights.values()):
            return {}
        uses = {name: self.forward.uses[name][0] for name in names}
        return absolute_sums(find_links(uses, weights, self.head), form, self.elements)

    def _is_used_once(self, name):
        """Return whether a layer is scored, is linear and used its weight once."""
        uses = self.forward.uses.get(name, ())
        once = len(uses) == 1 == self.forward.calls.get(name)
        return once and is_linear(self.layer(name))


class _FormulaError(Exception):
    """A formula's condition is not met; the message says which."""


def score_layer(problem, name):
    """Score one layer by the cheapest formula that holds; say which one, and why."""
    layer, uses = problem.layer(name), problem.forward.uses.get(name, [])
    key = problem.forward.keys[name]
    W, reasons = problem.forward.state[key], []
    known = _why_unknown(problem, name, layer, uses)
    uses = [use for use in uses if use.delta.numel()]
    if known is None and not uses:
        S = torch.zeros_like(W, requires_grad=False)
        return S, "zero, because it was given no rows"
    if known is None:
        S, how = _score_certain(problem, name, uses, W)
        if S is not None:
            return S, how
    for score in (_score_rows, _score_jacobian) if known is None else ():
        try:
            S, product, HR, how = score(problem, layer, uses, W)
        except _FormulaError as reason:
            reasons.append(str(reason))
            continue
        if agrees(problem.J, W, product, HR):
            because = f", because {reasons[0]}" if reasons else ""
            return S, how + because
        reasons.append("the Hessian does not move a random direction as the formula")
    how = f"row by row, because {known or ' and '.join(dict.fromkeys(reasons))}"
    if problem.curvature == "per_sample":
        passes = problem.module, problem.loss, problem.J, problem.forward
        return _row_by_row.per_sample_score(*passes, key, problem.share), how
    return _row_by_row.mean_loss_score(problem.J, W, problem.share), how


def _why_unknown(problem, name, layer, uses):
    """Return why the layer's use of its weight is not fully known, or None if it is."""
    if name not in problem.forward.calls:
        return None
    if not (is_linear(layer) or is_convolution(layer)):
        return f"it is a {type(layer).__name__}"
    if problem.forward.calls[name] != len(uses):
        return "its weight is also used outside of the layer"
    return None


def _score_certain(problem, name, uses, W):
    """Score an output layer, or one linked to it, without tests; None for others."""
    h = uses[0].h.to(W.dtype)
    if (B := problem.output_form(name)) is not None:
        S, how = _score_by(problem, B, problem.head.v[0].detach(), h)
        return S, f"{how}, curvature by its form, {type(B).__name__.lower()}"
    if problem.curvature == "per_sample" and name in problem.sums_behind_links:
        S = _streamed.score_of_sums(problem.sums_behind_links[name], h, problem.share)
        return S, "factorised, curvature by links from layer to layer"
    return None, None


def _score_by(problem, B, g, h):
    """Score from B and h; also say how much was streamed."""
    work = problem.elements, problem.share
    if problem.curvature == "per_sample":
        return _streamed.per_sample_score(B, h, *work), "factorised"
    S, streamed = _streamed.mean_loss_score(B, g, h, *work)
    return S, f"{streamed:.1%} of the pairs of units streamed"


def _score_rows(problem, layer, uses, W):
    """Score a linear layer from B and h; also return H R, and how it was done."""
    if not is_linear(layer):
        raise _FormulaError(f"it is a {type(layer).__name__}")
    if len(uses) != 1:
        raise _FormulaError(f"it is used {len(uses)} times")
    h, delta = uses[0].h.to(W.dtype), uses[0].delta
    samples = problem.forward.samples
    if problem.curvature == "per_sample" and len(h) != samples:
        raise _FormulaError(f"its {len(h)} rows are not the {samples} samples")
    R = random_like(W)
    G, g = gradients(problem.J, [W, delta], create_graph=True)
    # delta takes the place of W h, so its part of the same derivative is B_n R h_n
    HR, BRh = gradients((G * R).sum(), [W, delta])
    B, how = _curvature(problem, g, uses[0], R, BRh, W.dtype)
    BRh = B.product(h @ R.T) if isinstance(B, GaussNewton | DoubleBackward) else BRh
    product = BRh.to(h.dtype).T @ h
    S, streamed = _score_by(problem, B, g, h)
    return S, product, HR, f"{streamed}, curvature by {how}"


def _curvature(problem, g, use, R, BRh, dtype):
    """Choose how to compute B, and say why; its rows must not interact."""
    delta, rows = use.delta, len(use.delta)
    B = DoubleBackward(g, delta)
    if delta.numel() == count_numbers(problem.forward.outputs):
        u = use.h.to(delta.dtype) @ R.to(delta.dtype).T
        form = find_form(B.product, delta.detach(), u, BRh)
        if form is not None:
            return form, f"its form, {type(form).__name__.lower()}"
    if some_groups_interact([g], [delta], rows):
        _refuse_interaction(problem.curvature, "its rows interact")
    head = problem.head
    why_not = why_not_gauss_newton(head, delta, problem.elements)
    if why_not is None:
        # tests all pairs of rows in the loss; the outputs' test covered the tail
        interact = head.samples_interact()
        B = GaussNewton(head.jacobian(delta).to(dtype), head)
        how = f"C={head.count_outputs()} backward passes, the tail is piecewise linear"
    else:
        interact = any_groups_interact([g], [delta], rows)
        how = f"one double backward pass for each unit, because {why_not}"
    if interact:
        _refuse_interaction(problem.curvature, "its rows interact")
    return B, how


def _score_jacobian(problem, layer, uses, W):
    """Score a layer from the outputs' Jacobian in its weight; also return H R."""
    samples, head = problem.forward.samples, problem.head
    deltas = [use.delta for use in uses]
    if is_convolution(layer) and any(use.h.ndim != W.ndim for use in uses):
        raise _FormulaError("its input has no dimension of samples")
    if any(len(delta) % samples for delta in deltas):
        raise _FormulaError(
            f"its rows are not in {samples} groups, one for each sample"
        )
    if not head.has_rows(samples):
        raise _FormulaError("the outputs are not those of the samples")
    C = head.count_outputs()
    held = C * (3 * samples * W.numel() + sum(delta.numel() for delta in deltas))
    if held > problem.elements:
        raise _FormulaError(f"the Jacobian of C={C} outputs exceeds working_memory")
    g = gradients(problem.J, deltas, create_graph=True)
    if some_groups_interact(g, deltas, samples) or head.samples_interact():
        _refuse_interaction(problem.curvature, "samples interact")
    if not outputs_follow_groups(head.ys, deltas, samples):
        raise _FormulaError("the outputs are not those of the samples")
    if not is_locally_linear(head.ys, head.v, W):
        raise _FormulaError("the outputs are not piecewise linear in it")
    G = _jacobian.jacobian_by_weight(layer, uses, head, samples)
    SG = head.curvature.times(G)
    work = (problem.elements, problem.share)
    S = _jacobian.score(G, SG, problem.curvature, *work)
    product = _jacobian.product(G, head, random_like(W))
    return S.view_as(W), product, None, "Jacobian of the outputs"


def _refuse_interaction(curvature, reason):
    """Leave interacting samples to a formula that allows them, or raise ValueError."""
    if curvature == "per_sample":
        refuse_interaction()
    raise _FormulaError(reason)
