"""The curvature B_n of the loss by the outputs z_n of a layer, in blocks of rows."""

from dataclasses import dataclass

import torch

from sklearn_hessreg._hessian._structure import (
    differentiable_tensors,
    gradients,
    is_locally_linear,
    outputs_follow_groups,
)

# Elements of a temporary that stays in a processor's cache.
CACHE_ELEMENTS = 2**18


@dataclass
class GaussNewton:
    """B_n = A_n' S_n A_n behind a piecewise linear tail.

    A of shape (rows, C, out) holds the derivatives of the outputs by z, SA the products
    of S_n, the second derivative of the loss by the outputs, with it.
    """

    A: torch.Tensor
    SA: torch.Tensor

    def blocks(self, units):
        """Return B_n[i, :] for i in units, of shape (units, rows, out)."""
        return torch.einsum("nci,nck->ink", self.A[:, :, units], self.SA)

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
            A, SA = self.A[rows].gather(2, wide), self.SA[rows].gather(2, wide)
            sums = torch.bmm(A.transpose(1, 2), SA).abs_().sum(2)
            r[rows] = torch.zeros_like(r[rows]).scatter_(1, index, sums)
            start += len(rows)
        return r


@dataclass
class DoubleBackward:
    """B_n[i, :] from one derivative of the gradient G_n[i] by delta, for any tail."""

    G: torch.Tensor
    delta: torch.Tensor

    def row(self, i):
        """Return B_n[i, :] for all rows n, of shape (rows, out)."""
        return gradients(self.G[:, i].sum(), [self.delta])[0]

    def blocks(self, units):
        """Return B_n[i, :] for i in units, of shape (units, rows, out)."""
        return torch.stack([self.row(i) for i in units])

    def absolute_sums(self, elements):
        """Return sum_k |B_n[i,k]|, of shape (rows, out)."""
        units = range(self.delta.shape[1])
        return torch.stack([self.row(i).abs().sum(1) for i in units], 1)


def curvature_by(J, outputs, delta, elements):
    """Choose how B is computed; return it, the gradient by delta, and the reason."""
    (G,) = gradients(J, [delta], create_graph=True)
    why = "one double backward pass for each unit, because "
    ys = differentiable_tensors(outputs)
    C = sum(y.numel() for y in ys) // max(1, len(delta))
    if delta.shape[1] <= C:
        return DoubleBackward(G, delta), G, f"{why}it has no more units than outputs"
    if 2 * C * delta.numel() > elements:
        return DoubleBackward(G, delta), G, f"{why}C={C} passes exceed the memory"
    if not outputs_follow_groups(ys, [delta], len(delta)):
        return DoubleBackward(G, delta), G, f"{why}outputs are no rows of the layer's"
    v = gradients(J, ys, create_graph=True)
    if not is_locally_linear(ys, [x.detach() for x in v], delta):
        return DoubleBackward(G, delta), G, f"{why}the tail is not piecewise linear"
    S = loss_curvature(v, ys)
    A = jacobian(ys, delta)
    return GaussNewton(A, S @ A), G, f"C={C} backward passes of a piecewise linear tail"


def loss_curvature(v, ys):
    """Return S_n, the second derivative by the outputs, of shape (rows, C, C)."""
    columns = _columns(v)
    rows = [_columns(gradients(g.sum(), ys)) for g in columns.unbind(1)]
    return torch.stack(rows, 1)


def jacobian(ys, delta):
    """Return the derivatives of every row's outputs, of shape (rows, C, out)."""
    rows = [gradients(y.sum(), [delta])[0] for y in _columns(ys).unbind(1)]
    return torch.stack(rows, 1)


def _columns(ys):
    """Lay several outputs side by side as one matrix, a row for each sample."""
    return torch.cat([y.flatten(1) if y.ndim > 1 else y[:, None] for y in ys], 1)
