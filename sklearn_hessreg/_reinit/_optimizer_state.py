"""What an optimizer holds of single weights, and how it is set back to its start."""

import inspect

import torch
from torch.utils._pytree import tree_leaves


@torch.no_grad()
def reset_state(optimizer, parameter, mask):
    """Set what an optimizer holds of exactly the marked elements back to its start."""
    start = _trial_state(optimizer, parameter, gradient=0)
    for name, held in optimizer.state.get(parameter, {}).items():
        if isinstance(held, torch.Tensor) and held.shape == parameter.shape:
            # step sizes of Rprop start at the learning rate, moments at 0
            value = start[name].flatten()[0].item() if name in start else 0
            held.masked_fill_(mask, value)


def check_resettable(optimizer, parameter):
    """Refuse an optimizer whose state cannot be assigned to single weights."""
    trial = _trial_state(optimizer, parameter, gradient=1)
    shared = {
        *_shared(trial, torch.Size([2] * parameter.ndim)),
        *_shared(optimizer.state.get(parameter, {}), parameter.shape),
    }
    if shared:
        raise ValueError(
            f"optimizer_state='reset' is not possible with {type(optimizer).__name__}: "
            f"its {', '.join(sorted(shared))} cannot be assigned to single weights. "
            "Use optimizer_state='keep', or an optimizer such as torch.optim.Adam."
        )


def _shared(state, shape):
    """Name what holds other tensors than numbers and one element for each weight."""
    return {
        name
        for name, held in state.items()
        for leaf in tree_leaves(held)
        if isinstance(leaf, torch.Tensor) and leaf.numel() > 1 and leaf.shape != shape
    }


def _trial_state(optimizer, parameter, gradient):
    """Return the state after a step of a like optimizer on 2 x 2 (x ...) zeros.

    It is empty where the optimizer cannot be made anew from its hyperparameters.
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
