"""What a dump holds of a trained net: plain values and arrays, and back from there.

Nothing of torch or skorch is in it, so it needs no device, opens with other versions of
them, and skops asks for no trust but in the types of this package.
"""

import json
from copy import copy

import numpy as np
import torch
from skorch.callbacks import LRScheduler
from skorch.history import History

from sklearn_hessreg._validation import check_device

# of torch, by name: those that the net is built with
_TORCH = {
    "torch.float32": torch.float32,
    "torch.float64": torch.float64,
    "torch.nn.BCEWithLogitsLoss": torch.nn.BCEWithLogitsLoss,
    "torch.nn.CrossEntropyLoss": torch.nn.CrossEntropyLoss,
    "torch.optim.SGD": torch.optim.SGD,
}
_REBUILT = ("callbacks", "dataset", "_params_to_validate")


def reduce_net(net):
    """Collect what rebuild_net needs to go on as if nothing had happened."""
    params = net.get_params(deep=False)
    own = {name for name, _ in net._default_callbacks}
    return {
        "params": {k: _name(v) for k, v in params.items() if k not in _REBUILT},
        "module": to_arrays(net.module_.state_dict()),
        "optimizer": to_arrays(net.optimizer_.state_dict()),
        "history": _pack(list(net.history)),
        "callbacks": [
            (name, _memory(callback) if name in own else _portable(callback))
            for name, callback in net.callbacks_
        ],
    }


def rebuild_net(net, state):
    """Make an empty net what another one was, on its device or else on the CPU."""
    params = {name: _look_up(value) for name, value in state["params"].items()}
    params["device"] = _present(params["device"])
    with torch.random.fork_rng([]):  # of the first weights, which are overwritten
        # skorch's own callbacks are made anew, all others come initialised
        net.__init__(**params, callbacks=[])
        net.initialize()
    net.module_.load_state_dict(to_tensors(state["module"]))
    net.optimizer_.load_state_dict(to_tensors(state["optimizer"]))
    net.history_ = History(_unpack(state["history"]))
    own = dict(net.callbacks_)
    for name, stored in state["callbacks"]:
        if name in own:
            vars(own[name]).update(stored)
    net.callbacks = [pair for pair in state["callbacks"] if pair[0] not in own]
    net.callbacks_ = [(name, own.get(name, cb)) for name, cb in state["callbacks"]]


def to_arrays(value):
    """Turn the tensors in dicts, lists and tuples into arrays."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().numpy()
    return _map(to_arrays, value)


def to_tensors(value):
    """Turn the arrays in dicts, lists and tuples into tensors of their own memory."""
    if isinstance(value, np.ndarray):
        return torch.tensor(value)
    return _map(to_tensors, value)


def _map(function, value):
    """Apply a function to all that a container holds."""
    if isinstance(value, dict):
        return {key: function(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(function, value))
    return value


def _name(value):
    """Name what is of torch."""
    return next((name for name, known in _TORCH.items() if known is value), value)


def _look_up(value):
    """Find by its name what is of torch."""
    return _TORCH.get(value, value) if isinstance(value, str) else value


def _pack(rows):
    """Write rows as one JSON text, as skops writes a record for every single number.

    Rows with something else in them than JSON brings back are left as they are.
    """
    try:
        text = json.dumps(rows)
    except TypeError:
        return rows
    return text if json.loads(text) == rows else rows


def _unpack(rows):
    """Undo _pack."""
    return json.loads(rows) if isinstance(rows, str) else rows


def _memory(callback):
    """Take from a callback what it has learnt."""
    return {name: v for name, v in vars(callback).items() if name.endswith("_")}


def _portable(callback):
    """Leave out a scheduler of torch, which is made anew when training begins."""
    if not isinstance(callback, LRScheduler):
        return callback
    callback = copy(callback)
    callback.lr_scheduler_ = None
    return callback


def _present(device):
    """Return the device, or "cpu" where there is no such device."""
    try:
        check_device(device)
    except ValueError:
        return "cpu"
    return device
