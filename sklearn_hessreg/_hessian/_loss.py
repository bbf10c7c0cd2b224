"""The loss as a function of the outputs alone, and its second derivative S_n."""

import torch
from torch.utils._pytree import tree_leaves, tree_map

from sklearn_hessreg._hessian._forms import Dense, find_form
from sklearn_hessreg._hessian._probes import (
    any_groups_interact,
    derivatives,
    gradients,
    random_directions,
)


class LossByOutputs:
    """The loss as a function of the network's outputs alone, and its derivatives.

    `ys` are the outputs that the loss depends on, as the network returned them. J is
    the loss of copies of them, and v is its gradient with respect to the copies, so an
    output computed from another one does not count twice.
    """

    def __init__(self, loss, outputs):
        ys = [y for y in tree_leaves(outputs) if _is_differentiable(y)]
        xs = [y.detach().requires_grad_() for y in ys]
        copies = iter(xs)
        self.J = loss(
            tree_map(
                # cloned, because the loss may change its arguments in place
                lambda y: next(copies).clone() if _is_differentiable(y) else y,
                outputs,
            )
        )
        check_loss(self.J)
        v = [None] * len(xs)
        if xs and self.J.requires_grad:
            v = torch.autograd.grad(self.J, xs, create_graph=True, allow_unused=True)
        used = [i for i, g in enumerate(v) if g is not None and g.numel()]
        self.ys, self._xs, self.v = ([part[i] for i in used] for part in (ys, xs, v))
        self._curvature = self._interact = None

    @property
    def curvature(self):
        """S_n in its cheapest form, found on first use.

        Not a cached_property: up to Python 3.11, all threads wait while it computes.
        """
        if self._curvature is None:
            z = columns(self._xs).detach()
            u = random_directions(z)
            form = find_form(self.times, z, u, self.times(u))
            self._curvature = form or Dense(self._second_derivative)
        return self._curvature

    def samples_interact(self):
        """Return whether the loss couples any two rows of its outputs."""
        if self._interact is None:
            counts = {len(x) for x in self._xs if x.ndim}
            # a form found for S_n accounts for the whole derivative
            self._interact = isinstance(self.curvature, Dense) and any(
                any_groups_interact(self.v, self._xs, count) for count in counts
            )
        return self._interact

    def has_rows(self, count):
        """Return whether there are outputs and each has `count` rows."""
        return bool(self.ys) and all(y.ndim and len(y) == count for y in self.ys)

    def count_outputs(self):
        """Return C, the number of outputs per row."""
        return sum(y[0].numel() for y in self.ys if y.ndim)

    def jacobian(self, delta):
        """Return A_n = d outputs_n / d delta_n, of shape (rows, C, ...)."""
        ys = columns(self.ys).unbind(1)
        A = delta.new_empty(len(delta), len(ys), *delta.shape[1:])
        for c, y in enumerate(ys):
            (A[:, c],) = gradients(y.sum(), [delta])
        return A

    def times(self, u):
        """Return S_n u_n, of shape (rows, C), rounded as autograd rounds it."""
        us = u.split([x.numel() // len(x) for x in self._xs], 1)
        us = [part.reshape(x.shape).to(x) for part, x in zip(us, self._xs, strict=True)]
        return columns(derivatives(self.v, self._xs, us)).to(u.dtype)

    def _second_derivative(self):
        """Return S_n, of shape (rows, C, C), from C derivatives."""
        vs = columns(self.v).unbind(1)
        return torch.stack([columns(gradients(v.sum(), self._xs)) for v in vs], 1)


def _is_differentiable(y):
    """Return whether y is a real tensor through which a gradient flows."""
    return isinstance(y, torch.Tensor) and y.requires_grad and not y.is_complex()


def count_numbers(outputs):
    """Count the numbers in all outputs through which a gradient flows."""
    return sum(y.numel() for y in tree_leaves(outputs) if _is_differentiable(y))


def check_loss(J):
    """Reject a loss that is not a single number."""
    if not isinstance(J, torch.Tensor) or J.numel() != 1:
        got = f"shape {tuple(J.shape)}" if isinstance(J, torch.Tensor) else repr(J)
        raise ValueError(
            f"loss(outputs, targets) returned {got}, expected a tensor with one "
            "element; reduce the losses of the samples to their mean or sum."
        )


def columns(ys):
    """Lay several outputs side by side as one matrix, one row per sample."""
    if len(ys) == 1 and ys[0].ndim == 2:
        return ys[0]
    return torch.cat([y.flatten(1) if y.ndim > 1 else y[:, None] for y in ys], 1)
