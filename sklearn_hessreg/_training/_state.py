"""State of an MLPNet's training: capture and restore.

A state holds what a training has reached (weights, optimizer, history, what the
callbacks have learnt) and, while it is running, its position: the order of the rows and
the generators.
"""

import json
from copy import copy, deepcopy

import numpy as np
import torch
from skorch.callbacks import Callback, LRScheduler
from skorch.history import History
from torch.utils._pytree import tree_map, tree_map_only

from sklearn_hessreg._reinit import write_weights
from sklearn_hessreg._state import callback_state, load_callback_state

KEPT_ROWS = 1000  # of the history, if every epoch is a call of its own


def capture(net):
    """Collect a net's state by reference: it changes while the net trains."""
    own = _own_callbacks(net)
    optimizer = type(net.optimizer_)
    return {
        "weights": dict(net.module_.state_dict()),
        "optimizer": net.optimizer_.state_dict(),
        "optimizer_type": f"{optimizer.__module__}.{optimizer.__qualname__}",
        "history": list(net.history),
        "callbacks": [
            (name, _fitted_attributes(callback) if name in own else callback)
            for name, callback in net.callbacks_
            if callback not in net.temporary_callbacks_
        ],
        "position": _position(net),
    }


def restore(net, state):
    """Restore a captured state, which is copied, into a new net of the same spec."""
    write_weights(net.module_, state["weights"])
    net.optimizer_.load_state_dict(_copies(state["optimizer"]))
    net.history_ = History(_unpack(state["history"]))
    own = _own_callbacks(net)
    for name, stored in state["callbacks"]:
        if name in own:
            _load_copies(own[name], stored)
    users = [pair for pair in state["callbacks"] if not isinstance(pair[1], dict)]
    net.callbacks = users
    # if verbose has changed, PrintLog is added as the last callback, or removed
    places = dict(state["callbacks"]) | own
    pairs = {name: own.get(name) or dict(users).get(name) for name in places}
    net.callbacks_ = [(name, callback) for name, callback in pairs.items() if callback]
    if state["position"] is not None:
        _return_to(net, state["position"])


def continue_from(net, state):
    """Begin another training, perhaps with another spec, where one has ended.

    The optimizer goes on too, if the spec says so and its type is the same.
    """
    write_weights(net.module_, state["weights"])
    net.history_ = History(state["history"])
    optimizer = _copies(state["optimizer"])
    if net.spec.keep_optimizer:
        _forget_old_rows(net)
        kind = type(net.optimizer_)
        if state["optimizer_type"] == f"{kind.__module__}.{kind.__qualname__}":
            net.optimizer_.load_state_dict(optimizer)
    groups = zip(net.optimizer_.param_groups, optimizer["param_groups"], strict=False)
    for group, old in groups:
        # torch's schedulers go on from values that the first one put there
        group.update({name: old[name] for name in old.keys() - group.keys()})
        group.setdefault("initial_lr", group["lr"])
    own, stored = _own_callbacks(net), dict(state["callbacks"])
    for name, callback in net.callbacks_:
        if name in own and name in stored:
            _load_copies(callback, stored[name])
        elif type(stored.get(name)) is type(callback):
            _load_copies(callback, _fitted_attributes(stored[name]))


def _forget_old_rows(net):
    """Keep only the history's last rows, as every access takes time for all rows.

    If the user has callbacks, which may count the rows, older rows are emptied instead.
    """
    old = max(0, len(net.history_) - KEPT_ROWS)
    net.history_[:old] = [{}] * old if net.spec.skorch_callbacks else []


def to_plain(state):
    """Convert a state to plain values and arrays.

    A dump then needs no device and opens with other versions of torch and skorch, and
    skops asks you to trust only the types of this package.
    """
    return {**to_arrays(state), "history": _pack(state["history"])}


def to_arrays(state):
    """Convert a state's tensors to arrays, and leave out what is rebuilt."""
    callbacks = [(name, _portable(stored)) for name, stored in state["callbacks"]]
    arrays = _to_arrays({**state, "callbacks": callbacks})
    if state["position"] is not None:  # values of the users' own types stay as they are
        arrays["position"]["memories"] = state["position"]["memories"]
    return arrays


def _own_callbacks(net):
    """Map names to the callbacks that every spec brings with it."""
    names = {"curves", "hessian_reinit"}
    names.update(name for name, _ in net._default_callbacks)
    return {name: callback for name, callback in net.callbacks_ if name in names}


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


def _position(net):
    """Return where a running training is, or None if none is running."""
    order, split = net.batch_order_, net.split_
    if order is None:
        return None
    own = _own_callbacks(net)
    return {
        "split": {} if split is None else {"rounds": split.rounds, "fold": split.fold},
        "random_state": order.random_state.get_state(legacy=False),
        "rows": order.rows,
        "dropout": net.module_.dropout.generator.get_state(),
        "n_epochs_begun": net.n_epochs_begun_,
        "stop_training": net.stop_training_,
        "memories": {
            name: callback_state(callback)
            for name, callback in net.callbacks_
            if name not in own and callback not in net.temporary_callbacks_
        },
    }


class GoOn(Callback):
    """Undo what the users' callbacks do when training begins again.

    skorch then rebuilds schedules, whose first step divides the learning rate again,
    and its EarlyStopping forgets how long it has waited. This must be the last callback
    of a resumed training.
    """

    def __init__(self, state):
        self.state = state

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Restore the optimizer and the callbacks."""
        net.optimizer_.load_state_dict(_copies(self.state["optimizer"]))
        callbacks = dict(net.callbacks_)
        for name, memory in self.state["position"]["memories"].items():
            load_callback_state(callbacks[name], deepcopy(memory))


def _return_to(net, position):
    """Restore the generators and the order of the rows of a running training."""
    net.batch_order_.random_state.set_state(position["random_state"])
    rows = position["rows"]
    net.batch_order_.rows = None if rows is None else rows.copy()
    net.module_.dropout.generator.set_state(_copies(position["dropout"]))
    net.n_epochs_begun_ = position["n_epochs_begun"]
    net.stop_training_ = position["stop_training"]


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
