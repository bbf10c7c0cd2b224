"""Watch what a forward pass does with weights besides calling their layers."""

from itertools import chain

import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

_OPERATORS = ("add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "pow")
_WRITING = {"__setitem__", *(f"__i{name}__" for name in _OPERATORS)}


class Watch(TorchFunctionMode):
    """Count the calls that take a weight, and copy a parameter that is written to.

    `weights` maps each weight's id to its name. In `calls`, the weight used last comes
    last. If a weight takes part in more calls than its layer had, it is used in a way
    that the layer's hooks do not see. The tensors of `state` share the memory of the
    module's parameters until a call writes into one of them. `numbers` counts the
    numbers in all results, which bounds what the graph can hold.
    """

    def __init__(self, weights, calls, state):
        super().__init__()
        self.weights = weights
        self.calls = calls
        self.state = state
        self.memory = None
        self.numbers = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        for tensor in _written(func, args, kwargs):
            self._copy_on_write(tensor)
        y = func(*args, **kwargs)
        self.numbers += _count(y)
        # W.T is a use of the weight, W.shape is not
        if getattr(func, "__name__", "") != "__get__" or isinstance(y, torch.Tensor):
            for x in chain(args, kwargs.values()):
                for tensor in x if isinstance(x, list | tuple) else (x,):
                    if (name := self.weights.get(id(tensor))) is not None:
                        # popped first, so that it comes last
                        self.calls[name] = self.calls.pop(name, 0) + 1
        return y

    def _copy_on_write(self, tensor):
        """Move a tensor, and the parameter that shares its memory, to a copy of it."""
        if self.memory is None:
            self.memory = {_address(p): p for p in self.state.values() if p.numel()}
        parameter = self.memory.pop(_address(tensor), None)
        if parameter is None:
            return
        copy = parameter.detach().untyped_storage().clone()
        for x in (parameter, tensor):
            fresh = torch.empty(0, dtype=x.dtype, device=x.device)
            x.data = fresh.set_(copy, x.storage_offset(), x.shape, x.stride())


def _count(y):
    """Count the numbers in a call's result, or in several."""
    if isinstance(y, tuple | list):
        return sum(map(_count, y))
    return y.numel() if isinstance(y, torch.Tensor) else 0


def _address(tensor):
    """Return where a dense tensor's memory starts, or None if it is not dense."""
    dense = tensor.layout == torch.strided
    return tensor.untyped_storage().data_ptr() if dense else None


def _written(func, args, kwargs):
    """Return the tensors that a call writes into, judging by torch's naming."""
    name, out = getattr(func, "__name__", ""), kwargs.get("out")
    found = list(out) if isinstance(out, list | tuple) else [out]
    if name in _WRITING or (name.endswith("_") and not name.endswith("__")):
        found.append(args[0] if args else None)
    if func in (F.embedding, F.embedding_bag):
        renormed = args[3] if len(args) > 3 else kwargs.get("max_norm")
        found.append(None if renormed is None else (*args, kwargs.get("weight"))[1])
    return [x for x in found if isinstance(x, torch.Tensor)]
