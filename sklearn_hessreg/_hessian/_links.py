"""Links between consecutive linear layers that scale each unit by a factor.

B_n then passes from layer to layer, as matrix products give the outputs' derivatives:

    A_n of the layer before = A_n W diag(d_n),      d_n = dh_n / dz_n,

with h the inputs of the layer with weight W, and z the results of the one before.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch

from sklearn_hessreg._hessian._forms import Dense
from sklearn_hessreg._hessian._probes import (
    derivatives,
    gradients,
    passes_by,
    powers_of_two_like,
    random_like,
)

# Elements of B_n, over some rows n, that are computed at once.
CHUNK_ELEMENTS = 2**20

# Units in a block of B_n; blocks below the diagonal are skipped.
_BLOCK = 128


@dataclass
class Link:
    """A layer's W, and the factors d, (rows, out), from `before`'s z to its inputs."""

    before: str
    W: torch.Tensor
    d: torch.Tensor


def find_links(uses, weights, head):
    """List the links between layers, last first, stopping where two are not linked.

    `uses` and `weights` are keyed by layer name, in call order. The results of the last
    layer are the outputs of `head`.
    """
    links = []
    for name, before in pairwise([*uses][::-1]):
        z, after = uses[before].delta, uses[name]
        written_to = after.live.grad_fn is not after.source
        alike = after.live.shape == z.shape and after.live.dtype == z.dtype
        if written_to or not alike:
            break
        if passes_by(head.ys, z, after.delta):
            break
        d = _factors(after.live, z)
        if d is None or d.dtype != weights[name].dtype:  # under autocast
            break
        links.append(Link(before, weights[name].detach(), d))
    return links


def _factors(h, z):
    """Return dh / dz if it is a constant factor for each element, else None.

    Powers of two pass through it unrounded, so a correct prediction matches to the bit.
    """
    (d,) = gradients(h.sum(), [z], create_graph=True)
    if d.requires_grad and derivatives([d], [z], [random_like(z)])[0].any():
        return None
    d, u = d.detach(), powers_of_two_like(z)
    return d if torch.equal(derivatives([h], [z], [u])[0], d * u) else None


def absolute_sums(links, form, elements):
    """Return sum_k |B_n[i,k]|, of shape (rows, out), for each layer `before` a link.

    Only each row's active units are computed; rows with similar counts are batched.
    """
    r = {link.before: torch.zeros_like(link.d) for link in links}
    if not links:
        return r
    active = [link.d != 0 for link in links]
    counts = torch.stack([a.sum(1) for a in active])
    order = counts.max(0).values.argsort(descending=True)
    sizes, start = counts[:, order].tolist(), 0
    C = len(links[0].W)  # the number of outputs
    while start < len(order):
        largest = max(1, *(size[start] for size in sizes))
        held = largest * max(largest, C)
        step = max(1, min(CHUNK_ELEMENTS, elements // 8) // held)
        rows = order[start : start + step]
        most = [max(size[start : start + step]) for size in sizes]
        _add_rows(r, rows, links, active, most, form.take(rows))
        start += step
    return r


def _add_rows(r, rows, links, active, most, S):
    """Write the absolute sums of some rows, with up to `most` active units, into r."""
    J = units = None  # derivatives of S's variables in the active units
    for link, acting, m in zip(links, active, most, strict=True):
        if m == 0:
            return
        acting = acting[rows].to(torch.uint8)
        index = acting.argsort(dim=1, descending=True, stable=True)[:, :m]
        J = _before(J, units, link.W, index)
        J = J.mul_(link.d[rows].gather(1, index)[:, None])
        SJ, units = S.times(J), index
        if m < J.shape[1]:  # B_n is smaller than S_n, so it takes its place
            B = J.mT @ SJ
            S, J, sums = Dense(lambda B=B: B), None, B.abs().sum(2)
        else:
            sums = _symmetric_sums(J, SJ)
        r[link.before][rows[:, None], index] = sums


def _before(J, units, W, index):
    """Return J W, of shape (rows, K, m), for the units in `index`; None is J = 1.

    `units` are the units of W's layer that J covers; None means all. The columns needed
    are gathered from W, or from a product with all of W, which is quicker if J has few
    rows.
    """
    if units is None:
        return W.T[index].mT
    if J is None:
        return _submatrices(W, units, index)
    K, gathered = J.shape[1], units.shape[1] * index.shape[1]
    # measured, in tenths of a nanosecond: gathering an element, and a product
    if gathered * (6 + K / 5) < W.numel() * K / 5:
        return J @ _submatrices(W, units, index)
    whole = J.new_zeros(len(J), K, len(W))
    whole.scatter_(2, units[:, None].expand_as(J), J)
    return (whole @ W).gather(2, index[:, None].expand(-1, K, -1))


def _submatrices(W, units, index):
    """Return W[units[n], :][:, index[n]] for each n, of shape (rows, units, index)."""
    parts = W.new_empty(len(units), units.shape[1], index.shape[1])
    if parts[0].numel() < 2**12:
        return W[units[:, :, None], index[:, None]]
    for part, u, i in zip(parts, units, index, strict=True):
        torch.index_select(W.index_select(0, u), 1, i, out=part)
    return parts


def _symmetric_sums(J, SJ):
    """Sum |J' SJ| over its columns, computing one of each two symmetric blocks."""
    sums = J.new_zeros(len(J), J.shape[2])
    for i in range(0, J.shape[2], _BLOCK):
        M = (J[:, :, i : i + _BLOCK].mT @ SJ[:, :, i:]).abs_()
        sums[:, i : i + _BLOCK] += M.sum(2)
        sums[:, i + _BLOCK :] += M[:, :, _BLOCK:].sum(1)
    return sums
