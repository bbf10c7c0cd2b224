"""Re-initialise the highest-scoring weights: select, draw, write, reset optimizers."""

import inspect
import math
from fractions import Fraction

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

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
    """Mark the ceil(k/100 * count) highest scores; ties go to the lowest index.

    `scores` is a dict of tensors; `scope` says whether to rank each one ("layer") or
    all together ("global"). In the layers named in `rows`, only the marked rows are
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
    # as a fraction, because 7 / 100 * 100 is more than 7 in floating point; the plus
    # sign turns a boolean into a number
    count = math.ceil(Fraction(str(+k)) * scores.numel() / 100)
    if count == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    # unsorted, because sorting takes ten times as long
    values = scores.byte() if scores.dtype == torch.bool else scores
    lowest = values.topk(count, sorted=False).values.min()
    mask = values > lowest
    ties = (values == lowest).nonzero()[: count - int(mask.sum()), 0]
    return mask.index_fill_(0, ties, True)


def draw_like(weight, initializer, generator):
    """Draw a whole new matrix like `weight` (its fans matter), on its device.

    `initializer` is a key of INITIALIZERS or a callable f(tensor, generator=...) that
    fills the tensor in place or returns a new one. The draw is made on the CPU, so it
    is the same on every device.
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
    """Overwrite the marked elements of a parameter and leave the others unchanged."""
    # where, not a product: 0 * NaN would stay NaN
    parameter.copy_(torch.where(mask, values, parameter))


@torch.no_grad()
def reset_state(optimizer, parameter, mask):
    """Reset an optimizer's state to its start, for exactly the marked elements."""
    start = _trial_state(optimizer, parameter, gradient=0)
    for name, held in optimizer.state.get(parameter, {}).items():
        if isinstance(held, torch.Tensor) and held.shape == parameter.shape:
            # step sizes of Rprop start at the learning rate, moments at 0
            value = start[name].flatten()[0].item() if name in start else 0
            held.masked_fill_(mask, value)


def check_resettable(optimizer, parameter):
    """Refuse an optimizer whose state cannot be assigned to single weights."""
    state, shape = optimizer.state.get(parameter), parameter.shape
    if not state:  # it has not stepped yet
        state = _trial_state(optimizer, parameter, gradient=1)
        shape = torch.Size([2] * parameter.ndim)
    if shared := _shared(state, shape):
        raise ValueError(
            f"optimizer_state='reset' is not possible with {type(optimizer).__name__}: "
            f"its {', '.join(sorted(shared))} cannot be assigned to single weights. "
            "Use optimizer_state='keep', or an optimizer such as torch.optim.Adam."
        )


def _shared(state, shape):
    """Name state tensors that are neither one number nor one element per weight."""
    return {
        name
        for name, held in state.items()
        for leaf in tree_leaves(held)
        if isinstance(leaf, torch.Tensor) and leaf.numel() > 1 and leaf.shape != shape
    }


def _trial_state(optimizer, parameter, gradient):
    """Return the state of an identical optimizer after a step on 2 x 2 (x ...) zeros.

    It is empty if the optimizer cannot be rebuilt from its hyperparameters.
    """
    groups = optimizer.param_groups
    group = next((g for g in groups if any(p is parameter for p in g["params"])), {})
    known = inspect.signature(type(optimizer)).parameters
    options = {k: v for k, v in group.items() if k in known and k != "params"}
    shape = [2] * parameter.ndim
    weight = torch.nn.Parameter(parameter.new_zeros(shape))
    weight.grad = parameter.new_full(shape, gradient)
    try:
        trial = type(optimizer)([weight], **options)
        trial.step(lambda: weight.new_zeros(()))  # some need a closure
    except (AttributeError, RuntimeError, TypeError, ValueError):
        return {}
    return trial.state.get(weight, {})
