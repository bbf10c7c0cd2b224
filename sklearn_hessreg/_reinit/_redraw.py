"""Re-initialisation of the highest-scoring weights: selection and redraw."""

import math
from fractions import Fraction

import torch
from torch import nn

INITIALIZERS = {
    "zeros": lambda tensor, generator: nn.init.zeros_(tensor),
    "uniform": nn.init.uniform_,
    "normal": nn.init.normal_,
    "trunc_normal": nn.init.trunc_normal_,
    "xavier_uniform": nn.init.xavier_uniform_,
    "xavier_normal": nn.init.xavier_normal_,
    "kaiming_uniform": nn.init.kaiming_uniform_,
    "kaiming_normal": nn.init.kaiming_normal_,
    "orthogonal": nn.init.orthogonal_,
}


def select_top_k(scores, k, scope, rows=None):
    """Mark the ceil(k/100 * count) highest scores, ties to the lowest index.

    `scores` is a dict of tensors; `scope` says whether each of them ("layer") or all
    together ("global") are ranked. Of the layers in `rows` only the marked rows are
    counted and ranked. Returns boolean masks of the same shapes.
    """
    rows = rows or {}
    ranked = {n: S[rows[n]] if n in rows else S for n, S in scores.items()}
    masks = _select(ranked, k, scope)
    for name, taken in rows.items():
        whole = torch.zeros_like(scores[name], dtype=torch.bool)
        whole[taken] = masks[name]
        masks[name] = whole
    return masks


def _select(scores, k, scope):
    """Mark the highest scores of each tensor, or of all together."""
    if scope == "layer":
        return {
            name: _top_mask(S.flatten(), k).view_as(S) for name, S in scores.items()
        }
    mask = _top_mask(torch.cat([S.flatten() for S in scores.values()]), k)
    parts = mask.split([S.numel() for S in scores.values()])
    return {
        name: part.view_as(S)
        for (name, S), part in zip(scores.items(), parts, strict=True)
    }


def reduce_units(scores, aggregation):
    """Aggregate the scores of each output unit's weights."""
    reduce = torch.sum if aggregation == "sum" else torch.mean
    return {name: reduce(S.flatten(1), 1) for name, S in scores.items()}


def _top_mask(scores, k):
    """Mark the highest k percent of a vector by index, never by threshold."""
    # as a fraction, because 7 / 100 * 100 is more than 7 in floating point; the sign
    # makes a number of a boolean
    count = math.ceil(Fraction(str(+k)) * scores.numel() / 100)
    if count == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    # not sorted, which takes ten times as long
    values = scores.byte() if scores.dtype == torch.bool else scores
    lowest = values.topk(count, sorted=False).values.min()
    mask = values > lowest
    ties = (values == lowest).nonzero()[: count - int(mask.sum()), 0]
    return mask.index_fill_(0, ties, True)


def draw_like(weight, initializer, generator):
    """Draw a whole new matrix like `weight` (its fans count), on its device.

    `initializer` is a key of INITIALIZERS or a callable f(tensor, generator=...) that
    fills the tensor in place or returns a new one. The draw is made on the CPU, so that
    it is the same on every device.
    """
    fresh = torch.empty(weight.shape, dtype=weight.dtype, device="cpu")
    with torch.no_grad():
        named = isinstance(initializer, str)
        draw = INITIALIZERS[initializer] if named else initializer
        drawn = draw(fresh, generator=generator)
    drawn = fresh if drawn is None else drawn
    if not isinstance(drawn, torch.Tensor) or drawn.shape != weight.shape:
        got = tuple(drawn.shape) if isinstance(drawn, torch.Tensor) else type(drawn)
        raise ValueError(
            f"initializer={initializer!r} returned {got} for a weight of shape "
            f"{tuple(weight.shape)}. Fill the given tensor in place, or return a "
            "tensor of the same shape."
        )
    if not torch.isfinite(drawn).all():
        raise ValueError(
            f"initializer={initializer!r} drew NaN or infinity for a weight of shape "
            f"{tuple(weight.shape)}. Fill every element with a finite number."
        )
    return drawn.to(weight)


@torch.no_grad()
def write_masked(parameter, mask, values):
    """Overwrite the marked elements of a parameter and leave the others untouched."""
    # where, not a product: 0 * NaN would stay NaN
    parameter.copy_(torch.where(mask, values, parameter))
