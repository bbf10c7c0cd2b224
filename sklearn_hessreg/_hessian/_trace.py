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
    """A forward pass: its outputs, and how the layers were used in it."""

    state: dict
    args: tuple
    kwargs: dict
    samples: int
    outputs: object = None
    uses: dict = field(default_factory=dict)
    calls: dict = field(default_factory=dict)


@contextmanager
def differentiable_evaluation(module):
    """Switch to evaluation mode and to operations that can be differentiated twice."""
    training = {m: m.training for m in module.modules()}
    fused = torch.backends.mha.get_fastpath_enabled()
    module.eval()
    try:
        # fused attention has no second derivative
        torch.backends.mha.set_fastpath_enabled(False)
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.autocast(_device_type(module), enabled=False),
            sdpa_kernel(SDPBackend.MATH),
        ):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        for m, mode in training.items():
            m.training = mode


def _device_type(module):
    """Name the kind of device that the module is on."""
    return next((p.device.type for p in module.parameters()), "cpu")


def is_linear(layer):
    """Tell whether the layer computes W h + b for every vector it is given."""
    return type(layer).forward is nn.Linear.forward and "forward" not in vars(layer)


def is_convolution(layer):
    """Tell whether the layer computes a convolution with its weight."""
    return type(layer).forward in _CONVOLUTIONS and "forward" not in vars(layer)


def trace(module, inputs, names, watched):
    """Run the module, its parameters constant but for the weights of the named layers.

    If those layers are linear or convolutional, their uses are recorded, and delta = 0
    is added to their z. Of the layers `watched` the calls are counted.
    """
    args, kwargs = (
        ((), dict(inputs)) if isinstance(inputs, Mapping) else ((inputs,), {})
    )
    state = {key: p.detach() for key, p in module.named_parameters()}
    # cloned, because a network may count in a buffer
    state |= {key: buffer.detach().clone() for key, buffer in module.named_buffers()}
    for name in names:
        state[weight_key(module, name)].requires_grad_()
    result = Trace(state, args, kwargs, _count_samples(inputs))
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
    """Count the calls that take a weight; the weight used last comes last.

    A layer whose weight takes part in more calls than the layer itself was called for
    is used in a way that its hooks do not see.
    """

    def __init__(self, weights, result):
        super().__init__()
        self.weights = weights
        self.result = result

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        y = func(*args, **kwargs)
        # W.T is a use of the weight, W.shape is none
        if getattr(func, "__name__", "") != "__get__" or isinstance(y, torch.Tensor):
            for x in chain(args, kwargs.values()):
                for tensor in x if isinstance(x, list | tuple) else (x,):
                    if (name := self.weights.get(id(tensor))) is not None:
                        calls = self.result.calls
                        calls[name] = calls.pop(name, 0) + 1  # last in the order
        return y
