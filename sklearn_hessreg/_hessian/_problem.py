"""A forward pass and its loss, and what all formulas may ask of them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils._pytree import tree_map

from sklearn_hessreg._hessian._forms import Dense
from sklearn_hessreg._hessian._forward_record import Trace, is_linear
from sklearn_hessreg._hessian._graph import reaches
from sklearn_hessreg._hessian._links import absolute_sums, find_links
from sklearn_hessreg._hessian._loss import LossByOutputs, check_loss
from sklearn_hessreg._hessian._share import WHOLE, Share


@dataclass
class Problem:
    """A forward pass and its loss; `elements` bounds the temporaries.

    Of the work on its scores a process does its `share`; theirs add up to the scores.
    `head` is the loss as a function of the outputs. What else is asked for once is kept
    by no cached_property: up to Python 3.11 all threads wait while it computes one.
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
            self._J = self.loss(tree_map(_clone, self.forward.outputs))
            check_loss(self._J)
        return self._J

    def layer(self, name):
        """Return a layer of the network."""
        return self.module.get_submodule(name)

    def weight(self, name):
        """Return what stood in for a layer's weight."""
        return self.forward.state[self.forward.keys[name]]

    def output_form(self, name):
        """Return B of a linear layer whose results are the outputs, or None.

        They are the only way from the weight to the loss, so that nothing is left to be
        tried out in the network.
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
        """sum_k |B_n[i,k]| of the layers that are linked to the outputs, by name."""
        if self._sums is None:
            self._sums = self._sum_behind_links()
        return self._sums

    def _sum_behind_links(self):
        """Go back from the last layer through those of which all uses are known."""
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
        """Tell whether a layer was scored, is linear and took its weight once."""
        uses = self.forward.uses.get(name, ())
        once = len(uses) == 1 == self.forward.calls.get(name)
        return once and is_linear(self.layer(name))


def _clone(y):
    """Copy a tensor in its graph; leave anything else as it is."""
    return y.clone() if isinstance(y, torch.Tensor) else y
