"""What a callback has learnt: taken from one, given to another of the same class."""

from inspect import Parameter, signature

from skorch.callbacks import EpochScoring

from sklearn_hessreg._checkpoint._generators import GENERATORS


def parameters_of(callback):
    """List the names of the attributes that are hyperparameters of a callback."""
    init = type(callback).__init__
    if init is object.__init__:
        return set()
    expected = signature(init).parameters.values()
    names = {parameter.name for parameter in expected}
    if any(parameter.kind is Parameter.VAR_KEYWORD for parameter in expected):
        names |= {name for name in vars(callback) if not name.endswith("_")}
    return names


def memory_of(callback):
    """Take what a callback has learnt, by reference.

    That is what it would pickle, but for its hyperparameters, for generators and for
    functions and classes, which it makes anew. Of what has a state_dict it is that.
    """
    state = callback.__getstate__() or {}  # None of an object without attributes
    if not hasattr(callback, "__setstate__"):
        # skorch's EarlyStopping leaves its best weights out of pickles
        state = {name: vars(callback).get(name, state[name]) for name in state}
    values, parts = {}, {}
    for name in state.keys() - parameters_of(callback) - _caches(callback):
        value = state[name]
        if not isinstance(value, type) and hasattr(value, "load_state_dict"):
            parts[name] = value.state_dict()
        elif not callable(value) and not isinstance(value, GENERATORS):
            values[name] = value
    return {"values": values, "parts": parts}


def remember(callback, memory):
    """Give a callback the memory of another one."""
    if hasattr(callback, "__setstate__"):  # it has a portable form of its own
        callback.__setstate__({**vars(callback), **memory["values"]})
    else:
        vars(callback).update(memory["values"])
    for name, state in memory["parts"].items():
        part = getattr(callback, name, None)
        if part is None:
            raise ValueError(
                f"The callback {type(callback).__name__} had an object in {name} whose "
                "state is in the checkpoint, and has made none when training began "
                "again. Let it make one in on_train_begin."
            )
        part.load_state_dict(state)


def _caches(callback):
    """Name what is emptied when an epoch begins and can be as large as the data."""
    return {"y_trues_", "y_preds_"} if isinstance(callback, EpochScoring) else set()
