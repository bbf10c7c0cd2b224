"""Description of a skorch net's fit, by which its checkpoint is recognised."""

from functools import partial
from hashlib import sha256
from importlib.metadata import version

import joblib
import numpy as np
import torch
from scipy.sparse import issparse
from skorch.callbacks import (
    MlflowLogger,
    NeptuneLogger,
    SacredLogger,
    TensorBoard,
    WandbLogger,
)
from skorch.dataset import Dataset
from torch.nn.parameter import is_lazy
from torch.utils.data import Subset, TensorDataset

from sklearn_hessreg._hessian import digest
from sklearn_hessreg._state._callback_state import parameters_of, pickled
from sklearn_hessreg._state._generators import GENERATORS
from sklearn_hessreg._state._net_state import callbacks_of, modules_of

DEEPEST = 6  # nesting of values
LONGEST = 200  # characters of a value in a message
# their arguments are runs and writers, which differ per process and change no bit
_LOGGERS = (MlflowLogger, NeptuneLogger, SacredLogger, TensorBoard, WandbLogger)
# described elsewhere, or changes no bit
_APART = {"callbacks", "verbose"}


def describe_net(net, X, y, but):
    """Describe a fit as JSON values; fits with equal descriptions train to equal bits.

    Weights do not count, except those that training goes on from. What cannot be seen
    does not count either: the inside of functions, and of data sets that are not
    arrays.
    """
    params = {
        name: value
        for name, value in net.get_params(deep=False).items()
        if name not in _APART and not name.startswith(("_", "callbacks__"))
    }
    params = {"net": type(net), **params, **_callback_params(net, but)}
    data = {"X": X, "y": y, **_buffers(net)}
    if net.history:
        data |= {
            f"{place}, from which training goes on,": weight
            for name, module in modules_of(net).items()
            for place, weight in module.state_dict(prefix=f"{name}_.").items()
        }
    return {
        "parameters": {
            **{name: _shorten(describe(value)) for name, value in params.items()},
            **_shapes(net),
        },
        "data": {name: _hash(value) for name, value in data.items()},
        "versions": versions(),
    }


def _callback_params(net, but):
    """List the callbacks' hyperparameters."""
    params = {}
    for name, callback in callbacks_of(net, but).items():
        params[f"callbacks__{name}"] = type(callback)
        if isinstance(callback, _LOGGERS):
            continue
        held = vars(callback)
        for part in sorted(parameters_of(callback) & held.keys()):
            value = type(held[part]) if _is_live(held[part]) else held[part]
            params[f"callbacks__{name}__{part}"] = value
    return params


def _is_live(value):
    """Return whether a value belongs to one process, such as a writer or connection."""
    if hasattr(value, "__qualname__") or not hasattr(value, "__dict__"):
        return False
    return pickled(value) is None


def _buffers(net):
    """List the criteria's buffers, such as class weights."""
    return {
        f"{name}_.{place}": buffer
        for name, module in modules_of(net).items()
        if name in net._criteria
        for place, buffer in module.named_buffers()
    }


def _shapes(net):
    """Describe the weights of all modules by their shapes."""
    return {
        f"the shape of {name}_.{place}": "not known yet"
        if is_lazy(weight)
        else f"{tuple(weight.shape)} {weight.dtype}"
        for name, module in modules_of(net).items()
        for place, weight in module.named_parameters()
    }


def _hash(value):
    """Hash the description of data."""
    return sha256(describe(value).encode()).hexdigest()


def _shorten(text):
    """Replace a text too long for a message by its start and its hash."""
    if len(text) <= LONGEST:
        return text
    return f"{text[:20]}... ({sha256(text.encode()).hexdigest()[:16]})"


def describe(value, depth=0):
    """Write a value as text that is the same in another process."""
    within = partial(describe, depth=depth + 1)
    name = _name_of(type(value))
    if callable(value) and hasattr(value, "__qualname__"):
        return _name_of(value)
    if isinstance(value, torch.nn.Module):
        return repr(value)
    if isinstance(value, torch.Generator):
        return f"{name} of seed {value.initial_seed()}"
    if isinstance(value, GENERATORS):
        return f"{name} {joblib.hash(value)}"
    if isinstance(value, np.generic):
        return repr(value.item())
    if isinstance(value, partial):
        return f"partial({within([value.func, value.args, value.keywords])})"
    if (text := _describe_data(value, within)) is not None:
        return f"{name} {text}"
    if depth > DEEPEST:
        return name
    return _describe_parts(value, within, name)


def _describe_data(value, within):
    """Describe data by its values; return None for anything that holds none."""
    if isinstance(value, torch.Tensor):
        if is_lazy(value):
            return "not known yet"
        return f"{tuple(value.shape)} {value.dtype} {digest(value)}"
    if isinstance(value, np.ndarray) and value.dtype.kind != "O":
        return hash_array(value)
    if issparse(value):
        return hash_array(value.tocsr())
    if hasattr(value, "__array__"):  # objects, frames
        return joblib.hash(value)
    if isinstance(value, Dataset):
        return within([value.X, value.y])
    if isinstance(value, TensorDataset):
        return within(value.tensors)
    if isinstance(value, Subset):
        return within([value.dataset, np.asarray(value.indices)])
    if isinstance(value, torch.utils.data.Dataset):
        return f"of {len(value)}" if hasattr(value, "__len__") else "without a length"
    return None


def _describe_parts(value, within, name):
    """Describe a container, or an object by its attributes."""
    if isinstance(value, dict):
        parts = [f"{within(key)}: {within(part)}" for key, part in value.items()]
        return f"{{{', '.join(sorted(parts))}}}"  # keywords have no order
    if isinstance(value, (set, frozenset)):
        return f"{name} {sorted(map(within, value))}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(within, value))}]"
    if hasattr(value, "__dict__"):
        return f"{name}({within(vars(value))})"
    text = repr(value)
    return name if " at 0x" in text else text


def _name_of(thing):
    """Return the full name of a class or function."""
    module = getattr(thing, "__module__", None)
    name = thing.__qualname__
    return name if module in (None, "builtins") else f"{module}.{name}"


_DECIDING = ("sklearn_hessreg", "torch", "numpy", "scipy", "scikit-learn", "skorch")
HASHED = 2**24  # bytes of an array made contiguous at once


def versions():
    """Return the versions of the packages that determine the bits."""
    return {name: version(name) for name in _DECIDING}


def hash_array(array):
    """Hash the values of an array or CSR matrix, whatever its order in memory."""
    if array is None:
        return None
    parts = (array.data, array.indices, array.indptr) if issparse(array) else (array,)
    digest = sha256(repr([array.shape, *(p.dtype.str for p in parts)]).encode())
    for part in parts:
        part = np.atleast_1d(part)
        rows = max(1, HASHED // max(1, part[:1].nbytes))
        for start in range(0, len(part), rows):
            digest.update(np.ascontiguousarray(part[start : start + rows]))
    return digest.hexdigest()


def differences(there, here):
    """Yield the differences between two fits."""
    for name in here["parameters"] | there["parameters"]:
        one, two = (fit["parameters"].get(name, "missing") for fit in (there, here))
        if one != two:
            yield f"{name} was {one} there and is {two} here"
    for name in here["data"] | there["data"]:
        if there["data"].get(name) != here["data"].get(name):
            yield f"{name} has other values than there"
    for name, two in here["versions"].items():
        one = there["versions"].get(name, "missing")
        if one != two:
            yield f"{name} was of version {one} there and is of {two} here"
