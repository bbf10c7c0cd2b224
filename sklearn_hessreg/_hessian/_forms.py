"""Forms of the curvature of C outputs, S_n of the loss or B_n of a layer: mostly two.

It is diagonal, S_n = diag(d_n), if each output has its own loss. After a softmax p_n it
is S_n = w_n (diag(p_n) - p_n p_n'). The numbers decide which: a form found from one
product S u is kept if it predicts another, for all rows at once, which also shows that
rows do not interact. A form provides products with S_n, its blocks, its absolute row
sums, and whether the signs are the same for all n.
"""

import torch

from sklearn_hessreg._hessian._probes import powers_of_two_like

# Elements of a temporary that fits in a processor's cache.
CACHE_ELEMENTS = 2**16


def find_form(times, z, u, Su):
    """Return the form of S_n at the outputs z, or None.

    `times` computes products S_n u_n. Su is the one for u, which can be almost any.
    """
    p = z.softmax(1)
    top = p.argmax(1, keepdim=True)
    column = times(torch.zeros_like(z).scatter_(1, top, 1))
    others = column.scatter(1, top, 0)  # not in place: some zeros of torch refuse
    if others.numel() and max(others.max(), -others.min()) > _denormal(z):
        return Softmax.find(p, top, -others.sum(1, keepdim=True), z, u, Su)
    return Diagonal.find(times, z)


def _denormal(z):
    """Return a size below which the terms of a product are rounded."""
    limits = torch.finfo(z.dtype)
    return 2**10 * limits.eps * limits.tiny


def _exceeds(x, limits):
    """Return whether any element of x exceeds its limit."""
    # not <=: NaN passes, and is left to whoever uses the scores; max(), because any()
    # takes ten times as long
    return bool(x.numel()) and bool((x - limits).max() > 0)


class Diagonal:
    """S_n = diag(d_n)."""

    def __init__(self, d):
        self.d = d

    @classmethod
    def find(cls, times, z):
        """Return S_n in this form, or None.

        Powers of two pass unrounded through derivatives that stay within one output, so
        a correct prediction matches to the bit.
        """
        d = times(torch.ones_like(z))
        u = powers_of_two_like(z)
        return None if _exceeds((times(u) - d * u).abs(), _denormal(z)) else cls(d)

    def take(self, rows):
        """Return S_n for some rows n."""
        return Diagonal(self.d[rows])

    def times(self, A):
        """Return S_n A_n, of shape (rows, C, k)."""
        return self.d[:, :, None].to(A) * A

    def absolute_sums(self, elements=None):
        """Return sum_k |S_n[i,k]|, of shape (rows, C)."""
        return self.d.abs()

    def blocks(self, units, columns):
        """Return S_n[i, k] for i in units, k in columns, of shape (i, rows, k)."""
        same = units[:, None] == columns
        return self.d.T[units][:, :, None] * same[:, None]

    def one_signed(self):
        """Return whether the sign of S_n[i, k] is the same for all n."""
        return bool(((self.d >= 0).all(0) | (self.d <= 0).all(0)).all())


class Softmax:
    """S_n = w_n (diag(p_n) - p_n p_n'), to the relative accuracy of p_n.

    `top` is the index of the largest p_n[k]. `rest` is 1 - p_n; for the largest it is
    the sum of the others, which does not round to zero as p_n[top] nears 1.
    """

    def __init__(self, w, p, rest, top):
        self.w, self.p, self.rest, self.top = w, p, rest, top

    @classmethod
    def find(cls, p, top, product, z, u, Su):
        """Return S_n in this form, or None; `product` is w_n p_n[top] (1 - p_n[top]).

        `product` is minus the sum of the other elements of S_n e_top. This takes no
        difference, so w_n is as accurate as p_n.
        """
        largest = p.gather(1, top)
        others = p.scatter_(1, top, 0).sum(1, keepdim=True)
        p.scatter_(1, top, largest)
        w = torch.where(largest * others > 0, product / (largest * others), 0)
        found = cls(w, p, (1 - p).scatter_(1, top, others), top)
        step = max(1, CACHE_ELEMENTS // z.shape[1])
        parts = [slice(n, n + step) for n in range(0, len(z), step)]
        foretold = (found.take(n)._foretells(z[n], u[n], Su[n]) for n in parts)
        return found if all(foretold) else None

    def _foretells(self, z, u, Su):
        """Return whether S_n u_n equals Su, up to the rounding of each element.

        p_n[k] is off by -log(p_n[k] / p_n[top]) roundings, and a sum over k by those of
        its C terms, most of which cancel.
        """
        limits = torch.finfo(z.dtype)
        spread = z.amax(1, keepdim=True) - z.amin(1, keepdim=True)
        relative = 4 * limits.eps * (8 + z.shape[1] ** 0.5 + spread) * self.w.abs()
        mean = torch.linalg.vecdot(self.p, u)[:, None]
        difference = (u - mean).mul_(self.p).mul_(self.w).sub_(Su).abs_()
        allowed = u.abs().add_(mean.abs() + 1).mul_(self.p).mul_(relative)
        return not _exceeds(difference, allowed.add_(limits.tiny * (1 + self.w.abs())))

    def take(self, rows):
        """Return S_n for some rows n."""
        return Softmax(self.w[rows], self.p[rows], self.rest[rows], self.top[rows])

    def times(self, A):
        """Return S_n A_n, of shape (rows, C, k).

        S_n ignores what all rows of A_n have in common. So the row of the largest p_n
        is subtracted first, and nothing cancels as that p_n nears 1.
        """
        p, w = self.p.to(A), self.w.to(A)
        A = A - A.gather(1, self.top[:, :, None].expand(-1, 1, A.shape[2]))
        A -= p[:, None] @ A
        return A.mul_((w * p)[:, :, None])

    def absolute_sums(self, elements=None):
        """Return sum_k |S_n[i,k]|, of shape (rows, C)."""
        return (self.p * self.rest).mul_(2 * self.w.abs())

    def blocks(self, units, columns):
        """Return S_n[i, k] for i in units, k in columns, of shape (i, rows, k)."""
        wp = (self.w * self.p).T[units]
        block = wp[:, :, None] * -self.p[:, columns]
        same = (units[:, None] == columns)[:, None]
        return torch.where(same, (wp * self.rest.T[units])[:, :, None], block)

    def one_signed(self):
        """Return whether the sign of S_n[i, k] is the same for all n."""
        return bool((self.w >= 0).all() | (self.w <= 0).all())


class Dense:
    """S_n of any other form; `compute` returns it in shape (rows, C, C)."""

    def __init__(self, compute):
        self.compute = compute
        self._S = None

    @property
    def S(self):  # noqa: N802
        """S_n, of shape (rows, C, C), computed on first use."""
        if self._S is None:
            self._S = self.compute()
        return self._S

    def take(self, rows):
        """Return S_n for some rows n."""
        return Dense(lambda: self.S[rows])

    def times(self, A):
        """Return S_n A_n, of shape (rows, C, k)."""
        return self.S.to(A) @ A
