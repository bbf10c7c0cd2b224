"""The curvature B_n of the loss by the outputs z_n of a layer, in blocks of rows."""

from dataclasses import dataclass

import torch
from torch.utils._pytree import tree_leaves, tree_map

from sklearn_hessreg._hessian._structure import (
    any_groups_interact,
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
        ys = [y for y in tree_leaves(outputs) if _is_differentiable(y)]
        xs = [y.detach().requires_grad_() for y in ys]
        copies = iter(xs)
        J = loss(
            tree_map(
                # cloned, because the loss may change its arguments in place
                lambda y: next(copies).clone() if _is_differentiable(y) else y,
                outputs,
            )
        )
        v = [None] * len(xs)
        if xs and J.requires_grad:
            v = torch.autograd.grad(J, xs, create_graph=True, allow_unused=True)
        used = [i for i, g in enumerate(v) if g is not None and g.numel()]
        self.ys, self._xs, self.v = ([part[i] for i in used] for part in (ys, xs, v))
        self._S = self._interact = None

    @property
    def S(self):  # noqa: N802
        """Second derivative S_n by the outputs, of shape (rows, C, C)."""
        if self._S is None:
            columns = _columns(self.v).unbind(1)
            rows = [_columns(gradients(g.sum(), self._xs)) for g in columns]
            self._S = torch.stack(rows, 1)
        return self._S

    @property
    def samples_interact(self):
        """Whether the loss couples any two rows of its outputs."""
        if self._interact is None:
            counts = {len(x) for x in self._xs if x.ndim}
            self._interact = any(
                any_groups_interact(self.v, self._xs, count) for count in counts
            )
        return self._interact

    def has_rows(self, count):
        """Tell whether there are outputs, each of them with `count` rows."""
        return bool(self.ys) and all(y.ndim and len(y) == count for y in self.ys)

    def count_outputs(self):
        """Return C, the number of outputs of a row."""
        return sum(y[0].numel() for y in self.ys)

    def jacobian(self, delta):
        """Return A_n, every row's outputs differentiated by delta: (rows, C, ...)."""
        columns = _columns(self.ys).unbind(1)
        A = delta.new_empty(len(delta), len(columns), *delta.shape[1:])
        for c, y in enumerate(columns):
            (A[:, c],) = gradients(y.sum(), [delta])
        return A

    def times(self, u):
        """Return S_n u_n, of shape (rows, C), rounded as autograd rounds it."""
        product = (_columns(self.v) * u).sum()
        return _columns(gradients(product, self._xs)).to(u.dtype)


@dataclass
class GaussNewton:
    """B_n = A_n' S_n A_n behind a piecewise linear tail.

    A of shape (rows, C, out) holds the derivatives of the outputs by z, S of shape
    (rows, C, C) the second derivative of the loss by the outputs.
    """

    A: torch.Tensor
    head: LossByOutputs

    def blocks(self, units, columns):
        """Return B_n[i, k] for i in units, k in columns, of shape (i, rows, k)."""
        SA = self.head.S.to(self.A) @ self.A[:, :, units]
        return torch.einsum("nci,nck->ink", SA, self.A[:, :, columns])

    def absolute_sums(self, elements):
        """Return sum_k |B_n[i,k]|, of shape (rows, out), from each row's active units.

        A unit behind which nothing moves has a zero row and column in B_n, so the units
        that are active for a row are gathered; rows of like number go together.
        """
        active = self.A.any(1)
        counts, order = active.sum(1).sort(descending=True)
        units = active[order].to(torch.uint8).argsort(dim=1, descending=True)
        S, counts = self.head.S.to(self.A), counts.tolist()
        r = torch.zeros_like(self.A[:, 0])
        start = 0
        while start < len(counts) and counts[start]:
            step = max(1, elements // (counts[start] * max(counts[start], len(S[0]))))
            rows = order[start : start + step]
            index = units[start : start + step, : counts[start]]
            A = self.A[rows[:, None], :, index]  # (rows, active units, C)
            r[rows[:, None], index] = (A @ S[rows] @ A.mT).abs_().sum(2)
            start += len(rows)
        return r

    def product(self, u):
        """Return B_n u_n, of shape (rows, out)."""
        Au = torch.einsum("nck,nk->nc", self.A, u)
        return torch.einsum("nci,nc->ni", self.A, self.head.times(Au))


@dataclass
class DoubleBackward:
    """B_n[i, :] from one derivative of the gradient g_n[i] by delta, for any tail."""

    g: torch.Tensor
    delta: torch.Tensor

    def blocks(self, units, columns):
        """Return B_n[i, k] for i in units, k in columns, of shape (i, rows, k)."""
        return torch.stack([self._row(i)[:, columns] for i in units.tolist()])

    def absolute_sums(self, elements):
        """Return sum_k |B_n[i,k]|, of shape (rows, out)."""
        units = range(self.delta.shape[1])
        return torch.stack([self._row(i).abs().sum(1) for i in units], 1)

    def product(self, u):
        """Return B_n u_n, of shape (rows, out)."""
        return gradients((self.g * u).sum(), [self.delta])[0]

    def _row(self, i):
        """Return B_n[i, :] for all rows n, of shape (rows, out)."""
        return gradients(self.g[:, i].sum(), [self.delta])[0]


def why_not_gauss_newton(head, delta, elements):
    """Tell why B_n = A_n' S_n A_n is wrong or no gain; None if it is right."""
    rows, out = delta.shape
    if not head.has_rows(rows):
        return "the outputs have other rows than the layer"
    C = head.count_outputs()
    if out <= C:
        return "it has no more units than outputs"
    if rows * C * (out + C) > elements // 2:
        return f"the derivatives of C={C} outputs exceed working_memory"
    if not outputs_follow_groups(head.ys, [delta], rows):
        return "the outputs have other rows than the layer"
    if not is_locally_linear(head.ys, head.v, delta):
        return "the tail is not piecewise linear"
    return None


def _is_differentiable(y):
    """Tell whether y is a real tensor through which a gradient flows."""
    return isinstance(y, torch.Tensor) and y.requires_grad and not y.is_complex()


def _columns(ys):
    """Lay several outputs side by side as one matrix, a row for each sample."""
    return torch.cat([y.flatten(1) if y.ndim > 1 else y[:, None] for y in ys], 1)
