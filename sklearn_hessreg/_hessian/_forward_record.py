"""Record of one forward pass in evaluation mode: each weight layer's uses and calls."""

import threading
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from inspect import signature

import torch
from torch import nn
from torch.func import functional_call
from torch.utils._pytree import tree_leaves, tree_map

from sklearn_hessreg._hessian._twice_differentiable import (
    TwiceDifferentiable,
    without_inference,
)
from sklearn_hessreg._hessian._weight_uses import Watch

# forward methods that the formulas know to be linear in the weight
_CONVOLUTIONS = (nn.Conv1d.forward, nn.Conv2d.forward, nn.Conv3d.forward)


@dataclass
class Use:
    """One call of a layer: its inputs h and its results z = W h + b.

    For a linear layer both are matrices, with one row per input vector. `delta` is z in
    the graph, where nothing writes to it. `live` holds the inputs as they were given,
    and `source` is the node they came from. `node` is the node of the results that the
    network went on with.
    """

    h: torch.Tensor
    delta: torch.Tensor
    live: torch.Tensor
    source: object
    node: object


@dataclass
class Trace:
    """A forward pass: its outputs, and how the layers were used in it.

    `state` holds the stand-ins for the parameters. `own` holds the module's own weights
    of the named layers, and `keys` maps layers to the names of their weights.
    """

    state: dict
    own: dict
    keys: dict
    args: tuple
    kwargs: dict
    samples: int
    outputs: object = None
    uses: dict = field(default_factory=dict)
    calls: dict = field(default_factory=dict)
    _counted: int = 0

    @property
    def numbers(self):
        """How many the pass holds: results, copies of h and z, factors after z."""
        uses = [use for uses in self.uses.values() for use in uses]
        return self._counted + sum(u.h.numel() + 4 * u.delta.numel() for u in uses)


def is_linear(layer):
    """Return whether the layer computes W h + b for every vector it is given."""
    return type(layer).forward is nn.Linear.forward and "forward" not in vars(layer)


def is_convolution(layer):
    """Return whether the layer computes a convolution with its weight."""
    return type(layer).forward in _CONVOLUTIONS and "forward" not in vars(layer)


def trace(module, inputs, names, watched, all_gradients=False):
    """Run the module with all parameters constant but the named layers' weights.

    With `all_gradients`, parameters that have a gradient in the module keep it. Uses of
    the named layers are recorded if they are linear or convolutional. Calls of the
    `watched` layers are counted.
    """
    args, kwargs = _arguments(inputs)
    parameters = dict(module.named_parameters())
    keys = _weight_keys(module, watched, parameters)
    needed = [key for key, p in parameters.items() if all_gradients and p.requires_grad]
    needed += [keys[name] for name in names]
    state = _stand_ins(module, parameters, needed)
    own = {name: parameters[keys[name]] for name in names}
    result = Trace(state, own, keys, args, kwargs, count_samples(inputs))
    weights = {id(state[key]): name for name, key in keys.items()}
    with (
        _hooks(module, names, result.uses),
        _unfrozen(own.values()),
        TwiceDifferentiable(),
        Watch(weights, result.calls, state) as watch,
    ):
        try:
            result.outputs = functional_call(module, state, args, kwargs)
        except TypeError:
            _check_arguments(module, inputs, args, kwargs)
            raise
    result._counted = watch.numbers
    return result


def _weight_keys(module, layers, parameters):
    """Map layers to the names of their weights, leaving out parametrised ones."""
    keys = {id(p): key for key, p in parameters.items()}
    weights = {n: module.get_submodule(n)._parameters.get("weight") for n in layers}
    return {name: keys[id(W)] for name, W in weights.items() if W is not None}


def _stand_ins(module, parameters, needed):
    """Make stand-ins for parameters and buffers; those in `needed` have gradients."""
    state = {key: without_inference(p.detach()) for key, p in parameters.items()}
    for key in needed:
        state[key].requires_grad_()
    # cloned, because a network may keep a counter in a buffer
    return state | {key: b.detach().clone() for key, b in module.named_buffers()}


@contextmanager
def _hooks(module, names, uses):
    """Record the uses of the linear and convolutional layers."""
    handles = [
        # before the layer's other hooks, so that z is W h + b
        layer.register_forward_hook(
            _record(uses.setdefault(name, [])), with_kwargs=True, prepend=True
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
    """Let the graph show where the module uses its own weights, even frozen ones."""
    frozen = [w for w in weights if not (w.requires_grad or w.is_inference())]
    try:
        for w in frozen:
            w.requires_grad_()
        yield
    finally:
        for w in frozen:
            w.requires_grad_(False)


def _arguments(inputs):
    """Return the positional and keyword arguments to call the module with."""
    if isinstance(inputs, Mapping):
        args, kwargs = (), dict(inputs)
    else:
        args, kwargs = (inputs,), {}
    return tree_map(without_inference, (args, kwargs))


def _check_arguments(module, inputs, args, kwargs):
    """Raise ValueError if the module's forward method takes other arguments."""
    try:
        signature(module.forward).bind(*args, **kwargs)
    except TypeError as error:
        raise ValueError(
            f"inputs is a {type(inputs).__name__}, with which the forward method of "
            f"{type(module).__name__} cannot be called: {error}. Give a tensor, or for "
            "several arguments a dict of tensors by their names."
        ) from error


def count_samples(inputs):
    """Return the length of the first tensor among the inputs."""
    found = (x for x in tree_leaves(inputs) if isinstance(x, torch.Tensor))
    batch = next(found, None)
    if batch is None or batch.ndim == 0 or len(batch) == 0:
        got = type(inputs).__name__ if batch is None else f"shape {tuple(batch.shape)}"
        raise ValueError(
            f"inputs is a {got}; it must be a tensor of shape (n_samples, ...) or a "
            "dict of such tensors, with one sample at least."
        )
    return len(batch)


def _record(uses):
    """Make a forward hook that records a use of a layer."""
    thread = threading.get_ident()

    def hook(layer, args, kwargs, z):
        if threading.get_ident() != thread:  # another one is predicting
            return z
        # nothing here uses a weight, and watching would take as long as the work
        with torch._C.DisableTorchFunction():
            given = args[0] if args else kwargs["input"]
            use, result = _split(given, z, is_linear(layer))
        uses.append(use)
        return result

    return hook


def _split(given, z, linear):
    """Return a Use of a layer's input and result, and a copy of the result to use."""
    # cloned, because the network may later change h and z in place
    h, delta = given.detach().clone(), z
    if linear and z.ndim != 2:
        h, delta = h.reshape(-1, h.shape[-1]), z.reshape(-1, z.shape[-1])
    if not delta.requires_grad:  # under no_grad
        delta = delta.detach().requires_grad_()
    result = delta.clone()
    if result.shape != z.shape:
        result = result.view(z.shape)
    return Use(h, delta, given, given.grad_fn, result.grad_fn), result
