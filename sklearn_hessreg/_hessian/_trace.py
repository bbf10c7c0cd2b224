"""One forward pass in evaluation mode: what each weight layer saw, and how often."""

import threading
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from inspect import signature

import torch
from torch import nn
from torch.func import functional_call
from torch.utils._pytree import tree_leaves, tree_map

from sklearn_hessreg._hessian._evaluation import (
    TwiceDifferentiable,
    without_inference,
)
from sklearn_hessreg._hessian._watch import Watch

# the forward methods of which the formulas know that they are linear in the weight
_CONVOLUTIONS = (nn.Conv1d.forward, nn.Conv2d.forward, nn.Conv3d.forward)


@dataclass
class Use:
    """One call of a layer: its inputs h and a zero delta that was added to z = W h.

    For a linear layer they are matrices, one row for each vector it was given.
    """

    h: torch.Tensor
    delta: torch.Tensor
    z: torch.Tensor


@dataclass
class Trace:
    """A forward pass: its outputs, and how the layers were used in it.

    `state` has what stood in for the parameters, among them for the module's `own`
    weights of the named layers.
    """

    state: dict
    own: dict
    args: tuple
    kwargs: dict
    samples: int
    outputs: object = None
    uses: dict = field(default_factory=dict)
    calls: dict = field(default_factory=dict)


def is_linear(layer):
    """Tell whether the layer computes W h + b for every vector it is given."""
    return type(layer).forward is nn.Linear.forward and "forward" not in vars(layer)


def is_convolution(layer):
    """Tell whether the layer computes a convolution with its weight."""
    return type(layer).forward in _CONVOLUTIONS and "forward" not in vars(layer)


def trace(module, inputs, names, watched, all_gradients=False):
    """Run the module, its parameters constant but for the weights of the named layers.

    With `all_gradients` the others are no constants if they are none in the module.
    If those layers are linear or convolutional, their uses are recorded, and delta = 0
    is added to their z. Of the layers `watched` the calls are counted.
    """
    args, kwargs = _arguments(module, inputs)
    state = _stand_ins(module, names, all_gradients)
    own = {name: module.get_submodule(name).weight for name in names}
    result = Trace(state, own, args, kwargs, _count_samples(inputs))
    keys = {weight_key(module, name): name for name in watched}
    weights = {id(state[key]): name for key, name in keys.items() if key is not None}
    with (
        _hooks(module, names, result.uses),
        _unfrozen(own.values()),
        TwiceDifferentiable(),
        Watch(weights, result.calls, state),
    ):
        result.outputs = functional_call(module, state, args, kwargs)
    return result


def _stand_ins(module, names, all_gradients):
    """Make what stands in for the module's parameters and buffers."""
    state = {key: without_inference(p.detach()) for key, p in module.named_parameters()}
    if all_gradients:
        for key, p in module.named_parameters():
            state[key].requires_grad_(p.requires_grad)
    for name in names:
        state[weight_key(module, name)].requires_grad_()
    # cloned, because a network may count in a buffer
    return state | {key: b.detach().clone() for key, b in module.named_buffers()}


@contextmanager
def _hooks(module, names, uses):
    """Record the uses of the linear and the convolutional layers."""
    handles = [
        # first of the layer's hooks, so that z is W h + b
        layer.register_forward_hook(
            _add_delta(uses.setdefault(name, [])), with_kwargs=True, prepend=True
        )
        for name in names
        if is_linear(layer := module.get_submodule(name)) or is_convolution(layer)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _unfrozen(weights):
    """Let the graph tell where the module uses its own weights, the frozen ones too."""
    frozen = [w for w in weights if not (w.requires_grad or w.is_inference())]
    try:
        for w in frozen:
            w.requires_grad_()
        yield
    finally:
        for w in frozen:
            w.requires_grad_(False)


def _arguments(module, inputs):
    """Return what the module is called with, positions and keywords, if it can be."""
    if isinstance(inputs, Mapping):
        args, kwargs = (), dict(inputs)
    else:
        args, kwargs = (inputs,), {}
    try:
        signature(module.forward).bind(*args, **kwargs)
    except TypeError as error:
        raise ValueError(
            f"inputs is a {type(inputs).__name__}, with which the forward method of "
            f"{type(module).__name__} cannot be called: {error}. Give a tensor, or for "
            "several arguments a dict of tensors by their names."
        ) from error
    return tree_map(without_inference, (args, kwargs))


def weight_key(module, name):
    """Name a layer's weight as module.named_parameters() does; None if it is none."""
    layer = module.get_submodule(name)
    weight = dict(layer.named_parameters(recurse=False)).get("weight")
    return next((key for key, p in module.named_parameters() if p is weight), None)


def _count_samples(inputs):
    """Return the first size of the first tensor among the inputs."""
    found = (x for x in tree_leaves(inputs) if isinstance(x, torch.Tensor))
    batch = next(found, None)
    if batch is None or batch.ndim == 0 or len(batch) == 0:
        got = type(inputs).__name__ if batch is None else f"shape {tuple(batch.shape)}"
        raise ValueError(
            f"inputs is a {got}; it must be a tensor of shape (n_samples, ...) or a "
            "dict of such tensors, with one sample at least."
        )
    return len(batch)


def _add_delta(uses):
    """Make a forward hook that records a use and adds its delta to z."""
    thread = threading.get_ident()

    def hook(layer, args, kwargs, z):
        if threading.get_ident() != thread:  # which predicts with the module meanwhile
            return z
        # cloned, because the network may go on to change h in place
        h = (args[0] if args else kwargs["input"]).detach().clone()
        shape = z.shape
        if is_linear(layer):
            h, shape = h.reshape(-1, h.shape[-1]), z.reshape(-1, z.shape[-1]).shape
        delta = z.new_zeros(shape, requires_grad=True)
        uses.append(Use(h, delta, z.detach().view(shape)))
        return z + delta.view_as(z)

    return hook
