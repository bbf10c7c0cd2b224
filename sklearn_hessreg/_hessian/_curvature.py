"""Curvature B_n of the loss with respect to a layer's outputs z_n, in row blocks."""

from dataclasses import dataclass

import torch

from sklearn_hessreg._hessian._forms import Dense
from sklearn_hessreg._hessian._loss import LossByOutputs
from sklearn_hessreg._hessian._probes import (
    derivatives,
    gradients,
    is_locally_linear,
    outputs_follow_groups,
)


@dataclass
class GaussNewton:
    """B_n = A_n' S_n A_n, for a layer followed by a piecewise linear tail.

    A, of shape (rows, C, out), holds the derivatives of the outputs with respect to z.
    S, of shape (rows, C, C), is the second derivative of the loss with respect to the
    outputs.
    """

    A: torch.Tensor
    head: LossByOutputs

    def one_signed(self):
        """Return whether the sign of B_n[i, k] is known to be the same for all n."""
        return False

    def blocks(self, units, columns):
        """Return B_n[i, k] for i in units, k in columns, of shape (i, rows, k)."""
        SA = self.head.curvature.times(self.A[:, :, units])
        return torch.einsum("nci,nck->ink", SA, self.A[:, :, columns])

    def absolute_sums(self, elements):
        """Return sum_k |B_n[i,k]|, of shape (rows, out), from each row's active units.

        A unit that moves no output has a zero row and column in B_n. So only the active
        units of each row are gathered, and rows with similar counts are batched.
        """
        active = self.A.any(1)
        counts, order = active.sum(1).sort(descending=True)
        units = active[order].to(torch.uint8).argsort(dim=1, descending=True)
        counts, C = counts.tolist(), self.A.shape[1]
        r = torch.zeros_like(self.A[:, 0])
        start = 0
        while start < len(counts) and counts[start]:
            step = max(1, elements // (counts[start] * max(counts[start], C)))
            rows = order[start : start + step]
            index = units[start : start + step, : counts[start]]
            A = self.A[rows[:, None], :, index]  # (rows, active units, C)
            SA = self.head.curvature.take(rows).times(A.mT)
            r[rows[:, None], index] = (A @ SA).abs_().sum(2)
            start += len(rows)
        return r

    def product(self, u):
        """Return B_n u_n, of shape (rows, out)."""
        Au = torch.einsum("nck,nk->nc", self.A, u)
        return torch.einsum("nci,nc->ni", self.A, self.head.times(Au))


@dataclass
class DoubleBackward:
    """B_n[i, :] for any tail, by differentiating the gradient g_n[i] in delta."""

    g: torch.Tensor
    delta: torch.Tensor

    def one_signed(self):
        """Return whether the sign of B_n[i, k] is known to be the same for all n."""
        return False

    def blocks(self, units, columns):
        """Return B_n[i, k] for i in units, k in columns, of shape (i, rows, k)."""
        return torch.stack([self._row(i)[:, columns] for i in units.tolist()])

    def absolute_sums(self, elements):
        """Return sum_k |B_n[i,k]|, of shape (rows, out)."""
        units = range(self.delta.shape[1])
        return torch.stack([self._row(i).abs().sum(1) for i in units], 1)

    def product(self, u):
        """Return B_n u_n, of shape (rows, out)."""
        return derivatives([self.g], [self.delta], [u])[0]

    def _row(self, i):
        """Return B_n[i, :] for all rows n, of shape (rows, out)."""
        return gradients(self.g[:, i].sum(), [self.delta])[0]


def why_not_gauss_newton(head, delta, elements):
    """Return why B_n = A_n' S_n A_n is wrong or not worth it, or None to use it."""
    rows, out = delta.shape
    if not head.has_rows(rows):
        return "the outputs have other rows than the layer"
    C = head.count_outputs()
    if out <= C:
        return "it has no more units than outputs"
    formed = C if isinstance(head.curvature, Dense) else 0  # the rows of S_n
    if rows * C * (out + formed) > elements // 2:
        return f"the derivatives of C={C} outputs exceed working_memory"
    if not outputs_follow_groups(head.ys, [delta], rows):
        return "the outputs have other rows than the layer"
    if not is_locally_linear(head.ys, head.v, delta):
        return "the tail is not piecewise linear"
    return None
