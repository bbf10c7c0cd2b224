"""The curvature B_n of the loss by the outputs z_n of a layer, in blocks of rows."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch.utils._pytree import tree_leaves, tree_map

from sklearn_hessreg._hessian._structure import (
    gradients,
    is_locally_linear,
    outputs_follow_groups,
)


class LossByOutputs:
    """The loss as a function of the network's outputs alone, and its derivatives.

    `ys` are the outputs that the loss depends on, as they came from the network, and v
    the gradient of the loss by copies of them, so that an output that is computed from
    another one does not count twice.
    """

    def __init__(self, loss, outputs):
        copies = tree_map(_differentiable_copy, outputs)
        ys, xs = _real_tensors(outputs), _real_tensors(copies)
        J = loss(copies)
        v = [None] * len(xs)
        if xs and J.requires_grad:
            v = torch.autograd.grad(J, xs, create_graph=True, allow_unused=True)
        used = [i for i, g in enumerate(v) if g is not None]
        self.ys, self._xs, self.v = ([part[i] for i in used] for part in (ys, xs, v))

    @cached_property
    def S(self):  # noqa: N802
        """Second derivative S_n by the outputs, of shape (rows, C, C)."""
        columns = _columns(self.v).unbind(1)
        rows = [_columns(gradients(g.sum(), self._xs)) for g in columns]
        return torch.stack(rows, 1)

    def count_outputs(self):
        """Return C, the number of outputs of a row."""
        return sum(y[0].numel() for y in self.ys if y.ndim)

    def jacobian(self, delta):
        """Return A_n, every row's outputs differentiated by delta: (rows, C, ...)."""
        columns = _columns(self.ys).unbind(1)
        A = delta.new_empty(len(delta), len(columns), *delta.shape[1:])
        for c, y in enumerate(columns):
            (A[:, c],) = gradients(y.sum(), [delta])
        return A


@dataclass
class GaussNewton:
    """B_n = A_n' S_n A_n behind a piecewise linear tail.

    A of shape (rows, C, out) holds the derivatives of the outputs by z, S of shape
    (rows, C, C) the second derivative of the loss by the outputs.
    """

    A: torch.Tensor
    S: torch.Tensor
    u: torch.Tensor

    def blocks(self, units):
        """Return B_n[i, :] for i in units, of shape (units, rows, out)."""
        SA = self.S @ self.A[:, :, units]
        return torch.einsum("nci,nck->ink", SA, self.A)

    def absolute_sums(self, elements):
        """Return sum_k |B_n[i,k]|, of shape (rows, out), from each row's active units.

        A unit behind which nothing moves has a zero row and column in B_n, so the units
        that are active for a row are gathered; rows of like number go together.
        """
        active = self.A.any(1)
        order = active.sum(1).argsort(descending=True)
        units = active[order].to(torch.uint8).argsort(dim=1, descending=True)
        counts = active.sum(1)[order].tolist()
        r = torch.zeros_like(self.A[:, 0])
        start = 0
        while start < len(counts):
            step = max(1, elements // max(1, counts[start]) ** 2)
            rows = order[start : start + step]
            index = units[start : start + step, : counts[start]]
            wide = index[:, None, :].expand(-1, self.A.shape[1], -1)
            A = self.A[rows].gather(2, wide)
            sums = torch.bmm(A.transpose(1, 2), self.S[rows] @ A).abs_().sum(2)
            r[rows] = torch.zeros_like(r[rows]).scatter_(1, index, sums)
            start += len(rows)
        return r

    def product(self):
        """Return B_n u_n, of shape (rows, out)."""
        Au = torch.einsum("nck,nk->nc", self.A, self.u)
        return torch.einsum("nci,ncd,nd->ni", self.A, self.S, Au)


class DoubleBackward:
    """B_n[i, :] from one derivative of the gradient g_n[i] by delta, for any tail."""

    def __init__(self, g, delta, u):
        self.g = g
        self.delta = delta
        self.u = u
        self._product = torch.zeros_like(u)

    def blocks(self, units):
        """Return B_n[i, :] for i in units, of shape (units, rows, out)."""
        return torch.stack([self._row(i) for i in units.tolist()])

    def absolute_sums(self, elements):
        """Return sum_k |B_n[i,k]|, of shape (rows, out)."""
        units = range(self.delta.shape[1])
        return torch.stack([self._row(i).abs().sum(1) for i in units], 1)

    def product(self):
        """Return B_n u_n, of shape (rows, out), once all rows have been asked for."""
        return self._product

    def _row(self, i):
        """Return B_n[i, :] for all rows n, of shape (rows, out)."""
        (row,) = gradients(self.g[:, i].sum(), [self.delta])
        self._product[:, i] = (row * self.u).sum(1)
        return row


def curvature_by(J, head, delta, u, elements):
    """Choose how B and B_n u_n are computed; return B, the gradient, and the reason."""
    (g,) = gradients(J, [delta], create_graph=True)
    rows, out = delta.shape
    C = head.count_outputs()
    if out <= C:
        no = "it has no more units than outputs"
    elif rows * C * out > elements // 2:
        no = f"the derivatives of C={C} outputs exceed working_memory"
    elif not outputs_follow_groups(head.ys, [delta], rows):
        no = "the outputs have other rows than the layer"
    elif not is_locally_linear(head.ys, head.v, delta):
        no = "the tail is not piecewise linear"
    else:
        A = head.jacobian(delta)
        how = f"C={C} backward passes, because the tail is piecewise linear"
        return GaussNewton(A, head.S.to(A), u), g, how
    how = f"one double backward pass for each unit, because {no}"
    return DoubleBackward(g, delta, u), g, how


def _differentiable_copy(y):
    """Detach a tensor through which a gradient flows; leave anything else as it is."""
    if isinstance(y, torch.Tensor) and y.requires_grad:
        return y.detach().requires_grad_()
    return y


def _real_tensors(tree):
    """List the real tensors in a tree through which a gradient flows."""
    return [
        y
        for y in tree_leaves(tree)
        if isinstance(y, torch.Tensor) and y.requires_grad and not y.is_complex()
    ]


def _columns(ys):
    """Lay several outputs side by side as one matrix, a row for each sample."""
    return torch.cat([y.flatten(1) if y.ndim > 1 else y[:, None] for y in ys], 1)
