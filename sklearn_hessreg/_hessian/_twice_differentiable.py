"""Make a module twice differentiable in evaluation mode, one thread at a time.

Scoring swaps a module's parameters and hooks its layers, so no other thread may score
the same layers meanwhile; different modules do not wait for each other. A copy of the
module would need no lock, but anything a forward pass stores on the module, for a loss
or for the user, would be lost. Nothing here is process-wide. torch's switches for fused
attention are, so they are not touched.
"""

import os
import threading
from contextlib import ExitStack, contextmanager
from inspect import signature
from itertools import chain
from types import FunctionType
from weakref import WeakKeyDictionary

import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from sklearn_hessreg._torch_context import plain_torch

_locks: WeakKeyDictionary = WeakKeyDictionary()
_locks_guard = threading.Lock()


def _forget_locks():
    """Start without locks: a forked parent's threads may hold the old ones."""
    global _locks, _locks_guard
    _locks, _locks_guard = WeakKeyDictionary(), threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_locks)


@contextmanager
def differentiable_evaluation(module, inputs):
    """Lock the module's layers in evaluation mode, with gradients, in plain torch."""
    with ExitStack() as stack:
        for lock in _locks_of(module):
            stack.enter_context(lock)
        training = [m for m in module.modules() if m.training]
        for m in training:
            stack.callback(setattr, m, "training", True)
        if training:
            module.eval()
        stack.enter_context(plain_torch(_device(module, inputs)))
        stack.enter_context(torch.enable_grad())
        yield


def _locks_of(module):
    """List the locks of all layers, in the same order for every thread."""
    layers = sorted(module.modules(), key=id)
    with _locks_guard:
        return [_locks.setdefault(layer, threading.RLock()) for layer in layers]


def _device(module, inputs):
    """Return the device of the first parameter, else of the first input."""
    tensors = chain(module.parameters(), tree_leaves(inputs))
    found = (x.device for x in tensors if isinstance(x, torch.Tensor))
    return next(found, torch.device("cpu"))


def _attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, **kw):
    """Compute scaled dot product attention by its formula."""
    masked = (query, key, value, attn_mask, dropout_p, is_causal)
    return torch._scaled_dot_product_attention_math(*masked, **kw)[0]


def _multi_head_attention():
    """Copy torch's function; the copy calls `_attention` instead of the fused one."""
    original = F.multi_head_attention_forward
    names = {**original.__globals__, "scaled_dot_product_attention": _attention}
    copy = FunctionType(original.__code__, names, argdefs=original.__defaults__)
    names["multi_head_attention_forward"] = copy
    return copy


def _with_dense_gradient(lookup):
    """Make a lookup whose gradient is dense and exact, whatever its options say."""
    arguments = signature(lookup)

    def dense(*args, **kwargs):
        call = arguments.bind(*args, **kwargs)
        call.arguments.update(sparse=False, scale_grad_by_freq=False)
        return lookup(*call.args, **call.kwargs)

    return dense


_TWICE_DIFFERENTIABLE = {
    F.embedding: _with_dense_gradient(F.embedding),
    F.embedding_bag: _with_dense_gradient(F.embedding_bag),
    F.scaled_dot_product_attention: _attention,
    F.multi_head_attention_forward: _multi_head_attention(),
    # called only for a fast path, and unknown to vmap
    torch._nested_tensor_from_mask_left_aligned: lambda *_: False,
}


class TwiceDifferentiable(TorchFunctionMode):
    """Compute attention and lookups by formulas that have a second derivative.

    Under any mode, torch's transformer layers skip their fast paths, which have no
    derivative at all. Tensors made in inference mode are copied, because they cannot be
    saved for a derivative.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        for x in (*args, *kwargs.values()):
            if isinstance(x, torch.Tensor) and x.is_inference():
                args, kwargs = tree_map(without_inference, (args, kwargs))
                break
        return _TWICE_DIFFERENTIABLE.get(func, func)(*args, **kwargs)


def without_inference(x):
    """Copy a tensor made in inference mode; leave anything else as it is."""
    inference = isinstance(x, torch.Tensor) and x.is_inference()
    return x.clone() if inference else x
