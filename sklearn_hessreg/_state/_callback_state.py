"""State of callbacks and of a net's own attributes: capture and load."""

import pickle
from inspect import Parameter, signature

from skorch import NeuralNet
from skorch.callbacks import EpochScoring

from sklearn_hessreg._state._generators import GENERATORS

# what skorch keeps in a net, besides its modules and optimizers
_OF_SKORCH = {
    *("_modules", "_criteria", "_optimizers", "_params_to_validate", "prefixes_"),
    *("callbacks_", "history_", "initialized_", "virtual_params_", "init_context_"),
    *("cuda_dependent_attributes_", "classes_inferred_", "max_epochs", "verbose"),
}


def parameters_of(callback):
    """Return the names of a callback's hyperparameters."""
    init = type(callback).__init__
    if init is object.__init__:
        return set()
    expected = signature(init).parameters.values()
    names = {parameter.name for parameter in expected}
    if any(parameter.kind is Parameter.VAR_KEYWORD for parameter in expected):
        names |= {name for name in vars(callback) if not name.endswith("_")}
    return names


def callback_state(callback):
    """Return what a callback has learnt, by reference.

    That is what it would pickle, except its hyperparameters, generators, and functions
    and classes, which it rebuilds. An object with a state_dict is stored as that dict.
    """
    state = callback.__getstate__() or {}  # None for an object without attributes
    if not hasattr(callback, "__setstate__"):
        # skorch's EarlyStopping leaves its best weights out of pickles
        state = {name: vars(callback).get(name, state[name]) for name in state}
    values, parts = {}, {}
    for name in state.keys() - parameters_of(callback) - _caches(callback):
        value = state[name]
        if _has_state(value):
            parts[name] = value.state_dict()
        elif not callable(value) and not isinstance(value, GENERATORS):
            values[name] = value
    return {"values": values, "parts": parts}


def load_callback_state(callback, memory):
    """Give a callback another one's memory."""
    if hasattr(callback, "__setstate__"):  # it has a portable form of its own
        callback.__setstate__({**vars(callback), **memory["values"]})
    else:
        vars(callback).update(memory["values"])
    _load_parts(callback, memory["parts"])


def _load_parts(owner, parts):
    """Give the objects that an owner has rebuilt the state of the old ones."""
    for name, state in parts.items():
        part = getattr(owner, name, None)
        if part is None:
            raise ValueError(
                f"{type(owner).__name__} had an object in {name} whose state is in the "
                "checkpoint, and has made none when training began again. Let it make "
                "one in __init__, initialize or on_train_begin."
            )
        part.load_state_dict(state)


def pickles_of(net):
    """Pickle a net's own attributes; one that cannot be pickled gives None."""
    return {name: pickled(value) for name, value in _own_values(net).items()}


def own_state(net, begin):
    """Return what a net of the user's own class has learnt since training began.

    `begin` holds its pickles from that time. Unchanged attributes were set by the user
    and may differ in the next process, as may an object that cannot be pickled.
    """
    values = {}
    for name, value in _own_values(net).items():
        now = pickled(value)
        if now is None and name not in begin:
            raise ValueError(
                f"The net {type(net).__name__} cannot be stored, as its attribute "
                f"{name} cannot be pickled. Give it a state_dict and load_state_dict, "
                "or make it before training begins."
            )
        if now != begin.get(name):
            values[name] = now
    return {"values": values, "parts": _parts(_own_attributes(net))}


def load_own_state(net, memory):
    """Give a net another one's memory."""
    vars(net).update({n: pickle.loads(v) for n, v in memory["values"].items()})
    _load_parts(net, memory["parts"])


def _own_attributes(net):
    """Map names to the attributes of a net that skorch does not manage."""
    if hasattr(net, "get_extra_state"):  # then the net itself says what to store
        return {}
    managed = {*net._modules, *net._criteria, *net._optimizers}
    managed |= {f"{name}_" for name in managed} | _OF_SKORCH
    return {
        name: value
        for name, value in vars(net).items()
        if name not in managed and "__" not in name and not isinstance(value, type)
    }


def _own_values(net):
    """Map names to those attributes that are values; for parameters, plain ones."""
    parameters = signature(type(net).__init__).parameters.keys()
    parameters |= signature(NeuralNet.__init__).parameters.keys()
    return {
        name: value
        for name, value in _own_attributes(net).items()
        if not (_has_state(value) or callable(value) or isinstance(value, GENERATORS))
        and (name not in parameters or isinstance(value, (bool, int, float, str)))
    }


def _parts(attributes):
    """Collect the states of the attributes that have one of their own."""
    return {n: part.state_dict() for n, part in attributes.items() if _has_state(part)}


def _has_state(value):
    """Return whether a value is an object with its own state, such as a module."""
    return not isinstance(value, type) and hasattr(value, "load_state_dict")


def pickled(value):
    """Pickle a value, or return None if it cannot be pickled."""
    try:
        return pickle.dumps(value, protocol=5)
    except Exception:  # pickling may raise anything
        return None


def _caches(callback):
    """Name attributes that each epoch empties and that can be as large as the data."""
    return {"y_trues_", "y_preds_"} if isinstance(callback, EpochScoring) else set()
