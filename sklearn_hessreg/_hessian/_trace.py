"""One forward pass in evaluation mode: what each weight layer saw, and how often."""

from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain

import torch
from torch import nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

# the forward methods of which the formulas know that they are linear in the weight
_CONVOLUTIONS = (nn.Conv1d.forward, nn.Conv2d.forward, nn.Conv3d.forward)


@dataclass
class Use:
    """One call of a layer: its inputs h and a zero delta that was added to z = W h.

    For a linear layer h and delta are matrices, one row for each vector it was given.
    """

    h: torch.Tensor
    delta: torch.Tensor


@dataclass
class Trace:
    """A forward pass: outputs, uses of the layers, and the size of what it computed."""

    state: dict
    args: tuple
    kwargs: dict
    samples: int
    outputs: object = None
    uses: dict = field(default_factory=dict)
    calls: dict = field(default_factory=dict)
    elements: int = 0


@contextmanager
def differentiable_evaluation(module):
    """Switch to evaluation mode and to operations that can be differentiated twice."""
    training = {m: m.training for m in module.modules()}
    fused = torch.backends.mha.get_fastpath_enabled()
    module.eval()
    try:
        # fused attention has no second derivative
        torch.backends.mha.set_fastpath_enabled(False)
        with sdpa_kernel(SDPBackend.MATH), torch.enable_grad():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        for m, mode in training.items():
            m.training = mode


def is_linear(layer):
    """Tell whether the layer computes W h + b for every vector it is given."""
    return type(layer).forward is nn.Linear.forward


def is_convolution(layer):
    """Tell whether the layer computes a convolution with its weight."""
    return type(layer).forward in _CONVOLUTIONS


def trace(module, inputs, names, watched):
    """Run the module, its parameters constant but for the weights of the named layers.

    If those layers are linear or convolutional, their uses are recorded, and delta = 0
    is added to their z. Of the layers `watched` the calls are counted.
    """
    args, kwargs = (
        ((), dict(inputs)) if isinstance(inputs, Mapping) else ((inputs,), {})
    )
    state = {
        key: tensor.detach()
        for key, tensor in chain(module.named_parameters(), module.named_buffers())
    }
    for name in names:
        state[weight_key(module, name)].requires_grad_()
    batch = next(x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor))
    result = Trace(state, args, kwargs, len(batch))
    keys = {weight_key(module, name): name for name in watched}
    weights = {id(state[key]): name for key, name in keys.items() if key is not None}
    handles = [
        # first of the layer's hooks, so that z is W h + b
        layer.register_forward_hook(
            _add_delta(result.uses.setdefault(name, [])), with_kwargs=True, prepend=True
        )
        for name in names
        if is_linear(layer := module.get_submodule(name)) or is_convolution(layer)
    ]
    try:
        with _Watch(weights, result):
            result.outputs = functional_call(module, state, args, kwargs)
    finally:
        for handle in handles:
            handle.remove()
    return result


def weight_key(module, name):
    """Name a layer's weight as module.named_parameters() does; None if it is none."""
    weight = module.get_submodule(name).weight
    return next((key for key, p in module.named_parameters() if p is weight), None)


def _add_delta(uses):
    """Make a forward hook that records a use and adds its delta to z."""

    def hook(layer, args, kwargs, z):
        # cloned, because the network may go on to change h in place
        h = (args[0] if args else kwargs["input"]).detach().clone()
        shape = z.shape
        if is_linear(layer):
            h, shape = h.reshape(-1, h.shape[-1]), z.reshape(-1, z.shape[-1]).shape
        uses.append(Use(h, z.new_zeros(shape, requires_grad=True)))
        return z + uses[-1].delta.view_as(z)

    return hook


class _Watch(TorchFunctionMode):
    """Count the calls that take a weight, in the order of the last, and the elements.

    A layer whose weight takes part in more calls than the layer itself was called for
    is used in a way that its hooks do not see.
    """

    def __init__(self, weights, result):
        super().__init__()
        self.weights = weights
        self.result = result

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") != "__get__":  # .shape, .device and the like
            for x in chain(args, kwargs.values()):
                for tensor in x if isinstance(x, list | tuple) else (x,):
                    if (name := self.weights.get(id(tensor))) is not None:
                        calls = self.result.calls
                        calls[name] = calls.pop(name, 0) + 1  # last in the order
        y = func(*args, **kwargs)
        if isinstance(y, torch.Tensor):
            self.result.elements += y.numel()
        return y
