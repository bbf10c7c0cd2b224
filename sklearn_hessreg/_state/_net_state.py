"""State of a skorch net's training: capture and restore."""

import pickle

from skorch import NeuralNet
from skorch.callbacks import PrintLog
from torch.nn import Module

from sklearn_hessreg._state._callback_state import (
    callback_state,
    load_callback_state,
    load_own_state,
    own_state,
)


def modules_of(net):
    """Map names to a net's modules and criteria that are torch modules."""
    named = {name: getattr(net, f"{name}_") for name in (*net._modules, *net._criteria)}
    return {name: part for name, part in named.items() if isinstance(part, Module)}


def capture_net(net, rows, but, begin):
    """Collect a net's state by reference, without the memory of the callback `but`.

    `rows` are the pickled rows of its history, `begin` is what `pickles_of` returned
    when training began.
    """
    own_step = type(net).train_step is not NeuralNet.train_step
    optimizers = _optimizers_of(net).items()
    callbacks = callbacks_of(net, but).items()
    return {
        "modules": {
            name: _capture_module(module, own_step)
            for name, module in modules_of(net).items()
        },
        "optimizers": {name: part.state_dict() for name, part in optimizers},
        "history": rows.update(net.history),
        "callbacks": {name: callback_state(callback) for name, callback in callbacks},
        "own": own_state(net, begin),
        "extra": net.get_extra_state() if hasattr(net, "get_extra_state") else None,
    }


def restore_net(net, state, but):
    """Restore a state into a net whose training has just begun."""
    for name, module in modules_of(net).items():
        _restore_module(module, state["modules"][name])
    for name, optimizer in _optimizers_of(net).items():
        optimizer.load_state_dict(state["optimizers"][name])
    net.history[:] = map(pickle.loads, state["history"])
    for name, callback in callbacks_of(net, but).items():
        if name in state["callbacks"]:  # one that only watches may be new
            load_callback_state(callback, state["callbacks"][name])
    load_own_state(net, state["own"])
    if hasattr(net, "set_extra_state"):
        net.set_extra_state(state["extra"])


def _optimizers_of(net):
    """Map names to a net's optimizers."""
    return {name: getattr(net, f"{name}_") for name in net._optimizers}


def callbacks_of(net, but):
    """Map names to callbacks but for one and PrintLog, which only tracks its header."""
    return {
        name: callback
        for name, callback in net.callbacks_
        if callback is not but and not isinstance(callback, PrintLog)
    }


def _capture_module(module, with_gradients):
    """Collect a module's weights and buffers, and which weights are frozen.

    Gradients are included where a net's own training step may add to them.
    """
    weights = dict(module.named_parameters())
    state = module.state_dict()
    buffers = dict(module.named_buffers()).items()
    return {
        "state": state,
        "buffers": {name: one for name, one in buffers if name not in state},
        "trained": {name: weight.requires_grad for name, weight in weights.items()},
        "gradients": {
            name: weight.grad for name, weight in weights.items() if with_gradients
        },
    }


def _restore_module(module, stored):
    """Give a module what was captured from another one."""
    module.load_state_dict(stored["state"])
    for name, buffer in module.named_buffers():
        if name in stored["buffers"]:
            buffer.copy_(stored["buffers"][name])
    for name, weight in module.named_parameters():
        if weight.requires_grad != stored["trained"][name]:  # lazy ones refuse the call
            weight.requires_grad_(stored["trained"][name])
        weight.grad = stored["gradients"].get(name)


class PickledRows:
    """The pickled rows of a history; a row that stays as it is is pickled once."""

    def __init__(self):
        self.kept = []

    def update(self, history):
        """Return the pickles of all rows; the last row is always pickled anew."""
        last = len(history) - 1
        self.kept = [
            self.kept[i] if i < last and self._has(i, row) else _pickled(row)
            for i, row in enumerate(history)
        ]
        return [pickled for *_, pickled in self.kept]

    def _has(self, i, row):
        """Return whether a row is the one that was pickled, with as many entries."""
        if i >= len(self.kept):
            return False
        kept, size, _ = self.kept[i]
        return kept is row and size == _size_of(row)


def _pickled(row):
    """Return a row, its size and its pickle."""
    return row, _size_of(row), pickle.dumps(row, protocol=5)


def _size_of(row):
    """Count a row's entries and its batches, which a callback may drop."""
    return len(row), len(row.get("batches", ()))
