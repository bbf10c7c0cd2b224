"""What a trained MLPNet hands on: to a dump, to a copy and to the next training."""

import json
from copy import copy, deepcopy

import numpy as np
import torch
from skorch.callbacks import LRScheduler, PrintLog
from skorch.history import History
from torch.utils._pytree import tree_map, tree_map_only

from sklearn_hessreg._reinit import write_weights
from sklearn_hessreg._state import load_callback_state

KEPT_ROWS = 1000  # of the history, if every epoch is a call of its own


def capture(net):
    """Collect weights, optimizer, history and callbacks as arrays, by reference.

    A dump of them needs no device and opens with other versions of torch and skorch,
    and skops asks you to trust only the types of this package.
    """
    # the callbacks that every spec brings with it; the others are the user's
    own = {"curves", "hessian_reinit", *dict(net._default_callbacks)}
    callbacks = [
        (name, _fitted_attributes(callback) if name in own else _portable(callback))
        for name, callback in net.callbacks_
        if callback not in net.temporary_callbacks_
    ]
    return {
        "weights": _to_arrays(dict(net.module_.state_dict())),
        "optimizer": _to_arrays(net.optimizer_.state_dict()),
        "history": list(net.history),
        "callbacks": _to_arrays(callbacks),
    }


def to_plain(net):
    """Return what `capture` collects, with the history as one text for dumps."""
    state = capture(net)
    return {**state, "history": _pack(state["history"])}


def restore(net, state):
    """Bring a new net of the same spec to a captured state, which is copied."""
    write_weights(net.module_, state["weights"])
    net.optimizer_.load_state_dict(_copies(state["optimizer"]))
    net.history_ = History(_unpack(state["history"]))
    own, net.callbacks = dict(net.callbacks_), []
    for name, stored in state["callbacks"]:
        if not isinstance(stored, dict):
            net.callbacks.append((name, stored))
        elif name in own:  # PrintLog is there only if verbose is set
            _load_copies(own[name], stored)
    # what prints an epoch comes last, as in skorch
    net.callbacks_ = sorted(
        [*net.callbacks_, *net.callbacks],
        key=lambda pair: isinstance(pair[1], PrintLog),
    )


def continue_from(net, previous):
    """Begin the training of a net, perhaps of another spec, where one has ended.

    The optimizer goes on too, if the spec says so and its type is the same.
    """
    write_weights(net.module_, previous.module_.state_dict())
    net.history_ = History(previous.history)
    optimizer = deepcopy(previous.optimizer_.state_dict())
    if net.spec.keep_optimizer:
        _forget_old_rows(net)
        if type(net.optimizer_) is type(previous.optimizer_):
            net.optimizer_.load_state_dict(optimizer)
    groups = zip(net.optimizer_.param_groups, optimizer["param_groups"], strict=False)
    for group, old in groups:
        # torch's schedulers go on from values that the first one put there
        group.update({name: old[name] for name in old.keys() - group.keys()})
        group.setdefault("initial_lr", group["lr"])
    stored = dict(previous.callbacks_)
    for name, callback in net.callbacks_:
        if type(stored.get(name)) is type(callback):
            _load_copies(callback, _fitted_attributes(stored[name]))


def _forget_old_rows(net):
    """Keep only the history's last rows, as every access takes time for all rows.

    If the user has callbacks, which may count the rows, older rows are emptied instead.
    """
    old = max(0, len(net.history_) - KEPT_ROWS)
    net.history_[:old] = [{}] * old if net.spec.skorch_callbacks else []


def _fitted_attributes(callback):
    """Return what a callback has learnt."""
    state = callback.__getstate__() or {}  # None for an object without attributes
    return {name: value for name, value in state.items() if name.endswith("_")}


def _load_copies(callback, memory):
    """Give a callback copies of what another one has learnt."""
    values = {name: copy(value) for name, value in memory.items()}
    if not hasattr(callback, "__setstate__"):  # no portable form of its own
        for name, value in values.items():
            values[name] = _copies(value) if isinstance(value, dict) else value
    load_callback_state(callback, {"values": values, "parts": {}})


def _copies(value):
    """Copy the arrays and tensors in containers into tensors."""

    def copy_one(leaf):
        if isinstance(leaf, np.ndarray):
            return torch.from_numpy(leaf.copy())
        return leaf.clone() if isinstance(leaf, torch.Tensor) else leaf

    return tree_map(copy_one, value)


def _to_arrays(value):
    """Convert the tensors in containers to arrays."""
    return tree_map_only(torch.Tensor, lambda x: x.detach().cpu().numpy(), value)


def _portable(callback):
    """Leave out torch's scheduler, which is rebuilt when training begins."""
    if not isinstance(callback, LRScheduler):
        return callback
    callback = copy(callback)
    callback.lr_scheduler_ = None
    return callback


def _pack(rows):
    """Write rows as one JSON text, because skops writes a record for every number.

    Rows that JSON does not bring back unchanged are left as they are.
    """
    try:
        text = json.dumps(rows)
    except TypeError:
        return rows
    return text if json.loads(text) == rows else rows


def _unpack(rows):
    """Undo _pack."""
    return json.loads(rows) if isinstance(rows, str) else rows
