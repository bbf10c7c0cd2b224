"""Find the layers of a module that have a weight matrix, and choose those to score."""

from numbers import Integral

import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized


def weight_layers(module):
    """List the names of the modules that own a weight matrix, in registration order.

    A weight that several layers share is listed once, under the last of them. The gains
    of normalisation layers are not weight matrices, whatever their shape.
    """
    names = {}
    for name, layer in module.named_modules():
        _check_callable(name, layer)
        own = layer._parameters.get("weight")  # named_parameters is ten times slower
        # a parametrised weight is not read: in training mode, reading changes some
        weight = layer if own is None and _is_parametrised(layer) else own
        gain = isinstance(layer, nn.LayerNorm | nn.RMSNorm)
        if weight is None or gain or (weight is own and own.ndim < 2):
            continue
        names.pop(weight, None)
        names[weight] = name
    return list(names.values())


def _check_callable(name, layer):
    """Reject modules that torch cannot call with weights other than their own."""
    if isinstance(layer, torch.jit.ScriptModule):
        raise ValueError(
            f"Module {name!r} is a {type(layer).__name__} of torch.jit, whose weights "
            "cannot be followed. Score the module that was scripted or traced."
        )
    if isinstance(layer, nn.DataParallel):
        raise ValueError(
            f"Module {name!r} is a DataParallel, which copies its weights. Score the "
            "module inside, its attribute module."
        )


def _is_parametrised(layer):
    """Return whether a layer computes its weight from other parameters."""
    hooked = isinstance(vars(layer).get("weight"), torch.Tensor)  # by torch.nn.utils
    return hooked or is_parametrized(layer, "weight")


def select_layers(module, n, names):
    """Return the last `n` of the module's weight layers `names`, or all for None."""
    if not names:
        raise ValueError(
            f"{type(module).__name__} has no trainable layer with a weight matrix, so "
            "there is nothing to score. Add a linear or convolutional layer."
        )
    n = len(names) if n is None else n
    if not isinstance(n, Integral) or not 1 <= n <= len(names):
        raise ValueError(
            f"n={n!r} is not possible: the module has {len(names)} weight layers "
            f"({', '.join(names)}), so n must be an integer from 1 to "
            f"{len(names)}, or None for all. Choose a smaller n."
        )
    last = names[-int(n) :]  # int, because -n is positive for numpy's unsigned
    check_names(module, last, names)
    return last


def check_names(module, names, known):
    """Reject unknown names, and weights that are not parameters."""
    for name in names:
        if name not in known:
            raise ValueError(
                f"layers names {name!r}, which is no layer with a weight matrix; the "
                f"module has {known}. Use names as in module.named_modules(); a weight "
                "that layers share goes by the last of them."
            )
        layer = module.get_submodule(name)
        if layer._parameters.get("weight") is None:
            raise ValueError(
                f"The weight of layer {name!r} is parametrised, so it is not a "
                "parameter of its own. Remove the parametrisation or choose a smaller "
                "n."
            )


def check_executed(names, executed):
    """Reject named layers if none of them ran."""
    if not any(name in executed for name in names):
        raise ValueError(
            f"Layers {names} were not used in the forward pass; executed were "
            f"{executed}. Name executed layers in `layers`."
        )


def check_order(names, executed, candidates):
    """Reject named layers that were not the last of the candidates to run."""
    present = {name for name in names if name in executed}
    ordered = [name for name in executed if name in (candidates or names)]
    last = ordered[len(ordered) - len(present) :]
    if set(last) != present:
        raise ValueError(
            f"The last {len(names)} weight layers by registration are {names}, but the "
            f"module executes {last} last. Register the layers in "
            "the order of execution, or name those to score in `layers`."
        )
