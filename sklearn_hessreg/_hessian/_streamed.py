"""Scores of a linear layer from B and h: factorised if nothing cancels, else streamed.

Units and inputs are taken in order of activity, least active first. Each product runs
only over the rows in which its unit and its input are both active, so the less active
one sets the work of a tile. Tiles that are active in most rows are plain products.
"""

import torch

from sklearn_hessreg._hessian._forms import Diagonal
from sklearn_hessreg._hessian._group import WHOLE

# Elements of a temporary that fits in a processor's cache.
CACHE_ELEMENTS = 2**18

# Share of active rows from which gathering them costs more than multiplying zeros.
_DENSE = 0.5


def count_operations(n_samples, out_features, in_features, diagonal=False):
    """Count the operations that stream the score of one layer without any zeros.

    With `diagonal`, no two units share a curvature, as in an output layer where each
    output has its own loss.
    """
    every_pair = out_features * (out_features + 1) // 2
    pairs_of_units = out_features if diagonal else every_pair
    pairs_of_inputs = in_features * (in_features + 1) // 2
    return 2 * n_samples * pairs_of_units * pairs_of_inputs


def per_sample_score(B, h, elements, share=WHOLE):
    """Sum |B_n[i,k]| |h_nj| |h_nl| over n, k and l."""
    return score_of_sums(B.absolute_sums(_tile_elements(h, elements)), h, share)


def score_of_sums(r, h, share=WHOLE):
    """Sum r_ni |h_nj| |h_nl| over n and l, for r_ni = sum_k |B_n[i,k]|."""
    own = share.of("rows")
    return r[own].to(h.dtype).T @ _factor(h[own])


def mean_loss_score(B, g, h, elements, share=WHOLE):
    """Sum |sum_n B_n[i,k] h_nj h_nl| over k and l; also return the share streamed.

    Each pair (i, k) of units is handled once, in the row of whichever comes first. It
    is factorised if all its terms have the same sign, and streamed otherwise. Either
    way it counts for both units. Only pairs whose first unit is in the `share` are
    handled; the share streamed is relative to all pairs.
    """
    one_signed = bool(((h.amin(0) >= 0) | (h.amax(0) <= 0)).all())
    if one_signed and B.one_signed():
        return per_sample_score(B, h, elements, share), 0.0  # all pairs at once
    alive = h.abs().amax(0) != 0  # the rows and columns of a dead input are zero
    S = h.new_zeros(g.shape[1], h.shape[1])
    score = _diagonal_score if isinstance(B, Diagonal) else _pair_score
    S[:, alive], streamed = score(B, g, h[:, alive], one_signed, elements, share)
    return S, streamed


def _pair_score(B, g, h, one_signed, elements, share):
    """Score every pair of units, in order of activity."""
    rows, out = g.shape
    order = (g != 0).sum(0).argsort(stable=True)  # the least active units first
    S, r = h.new_zeros(out, h.shape[1]), h.new_zeros(out, rows)
    streamed, step = 0, max(1, elements // (8 * rows * out))
    own = range(out)[share.of("units by activity", order)]
    for part in (own[i : i + step] for i in range(0, len(own), step)):
        units, others = order[part.start : part.stop : part.step], order[part.start :]
        columns = torch.arange(len(part), device=h.device) * part.step  # of the units
        block = B.blocks(units, others).to(h.dtype)
        pairs = torch.arange(len(others), device=h.device) >= columns[:, None]
        coherent = ((block >= 0).all(1) | (block <= 0).all(1)) & one_signed & pairs
        terms = block.abs() * coherent[:, None]
        r[units] += terms.sum(2)
        terms[torch.arange(len(part)), :, columns] = 0  # the pair (i, i) counts once
        r[others] += terms.sum(0).T
        todo = pairs & ~coherent
        streamed += _stream_block(S, block, todo, columns, others, h, elements)
    S += r @ _factor(h)
    return S, streamed / (out * (out + 1) / 2)


def _diagonal_score(B, g, h, one_signed, elements, share):
    """Score every unit on its own, as no two of them share a curvature."""
    out = g.shape[1]
    S, streamed = h.new_zeros(out, h.shape[1]), 0
    todo = torch.ones(1, 1, dtype=torch.bool, device=h.device)
    column = torch.zeros(1, dtype=torch.long, device=h.device)
    own = torch.arange(out, device=h.device)[share.of("units")]
    for unit in own.split(1) if len(own) else ():
        block = B.blocks(unit, unit).to(h.dtype)
        if one_signed and ((block >= 0).all() or (block <= 0).all()):
            S[unit] = block[0].abs().T @ _factor(h)
        else:
            streamed += _stream_block(S, block, todo, column, unit, h, elements)
    return S, streamed / out


def _factor(h):
    """Return |h_nj| * ||h_n||_1."""
    return h.abs() * h.abs().sum(1, keepdim=True)


def _tile_elements(h, elements):
    """Limit a tile to the cache on a CPU, or to part of the memory elsewhere."""
    on_cpu = h.device.type == "cpu"
    return min(CACHE_ELEMENTS, elements // 16) if on_cpu else elements // 16


def _stream_block(S, block, todo, columns, units, h, elements):
    """Add the pairs marked in `todo` to S; return how many there were.

    block[i, n, k] belongs to the pair of units[columns[i]] and units[k]. All sizes are
    known before the loop over i, so it never waits for the device.
    """
    active = (block != 0).any(2)
    shared = active.float() @ (h != 0).float()  # rows with unit and input active
    shared, inputs = shared.sort(1)
    row_order = active.to(torch.uint8).argsort(dim=1, descending=True, stable=True)
    unit_order = todo.to(torch.uint8).argsort(dim=1, descending=True, stable=True)
    n_rows, n_units = active.sum(1).tolist(), todo.sum(1).tolist()
    own, counts = todo.gather(1, columns[:, None]).tolist(), shared.long().tolist()
    first = units[columns]
    for i, count in enumerate(counts):
        dead = count.count(0)
        if not n_units[i] or dead == len(count):
            continue
        rows, ks = row_order[i, : n_rows[i]], unit_order[i, : n_units[i]]
        js = inputs[i, dead:]
        b = block[i].index_select(0, rows).index_select(1, ks)
        hi = h.index_select(0, rows).index_select(1, js)
        R = h.new_zeros(len(ks), h.shape[1])
        R[:, js] = _stream_unit(b, hi, count[dead:], _tile_elements(h, elements))
        S.index_add_(0, first[i : i + 1], R.sum(0, keepdim=True))
        later = int(own[i][0])  # the pair (i, i), if present, counts once
        S.index_add_(0, units[ks[later:]], R[later:])
    return sum(n_units)


def _stream_unit(b, h, counts, elements):
    """Sum |sum_n b_nk h_nj h_nl| over l, for every k and j, in tiles over j and l.

    `counts` holds the number of rows in which each input is active, ascending.
    """
    R = h.new_zeros(b.shape[1], h.shape[1])
    j = 0
    while j < len(counts):
        rest = len(counts) - j
        width = max(1, min(rest, elements // (rest * b.shape[1])))
        if counts[j + width - 1] < _DENSE * len(h):
            M = _gathered_products(b, h[:, j:], width, counts[j + width - 1], elements)
        else:
            M = _products(b, h[:, j:], width, elements)
        R[:, j : j + width] += M.abs_().sum(2).T
        R[:, j + width :] += M[:, :, width:].sum(0)  # the symmetric pairs (l, j)
        j += width
    return R


def _products(b, h, width, elements):
    """Return sum_n b_nk h_nj h_nl of shape (width, k, l), for the first `width` j."""
    M, chunk = 0, max(1, 4 * elements // (width * b.shape[1]))
    for n in range(0, len(h), chunk):
        hn = h[n : n + chunk]
        left = (hn[:, :width, None] * b[n : n + chunk, None, :]).flatten(1)
        M = M + left.T @ hn
    return M.view(width, b.shape[1], h.shape[1])


def _gathered_products(b, h, width, count, elements):
    """Return the same products from the at most `count` rows where h_nj is active."""
    active = (h[:, :width] != 0).to(torch.uint8)
    rows = active.argsort(dim=0, descending=True, stable=True)[:count].T
    hj = h[:, :width].T.gather(1, rows)
    M, chunk = 0, max(1, 4 * elements // (width * (b.shape[1] + h.shape[1])))
    for n in range(0, count, chunk):
        index = rows[:, n : n + chunk]
        left = b.index_select(0, index.flatten()).view(*index.shape, -1)
        left.mul_(hj[:, n : n + chunk, None])
        right = h.index_select(0, index.flatten()).view(*index.shape, -1)
        M = M + torch.bmm(left.transpose(1, 2), right)
    return M
