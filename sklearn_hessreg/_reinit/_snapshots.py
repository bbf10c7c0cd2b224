"""Networks as arrays: take and write back, hold a cycle's best, keep, average.

Some functions take the callback, whose hyperparameters and cycles they read, and the
module in training. They return the updated cycles.
"""

from copy import deepcopy

import numpy as np
import torch
from sklearn.base import is_classifier


def take_weights(module):
    """Copy a module's parameters and buffers into read-only arrays."""
    return {name: _to_array(value) for name, value in module.state_dict().items()}


def write_weights(module, weights):
    """Write such arrays, or tensors, back into a module.

    numpy copies what it can: torch copies large tensors in several threads, and a
    process that has only loaded a model could not fork after that.
    """
    held = module.state_dict()
    if all(_is_plain(name, held.get(name)) for name in weights):
        for name, value in weights.items():
            value = value.cpu() if isinstance(value, torch.Tensor) else value
            np.copyto(held[name].numpy(), np.asarray(value))
    else:
        module.load_state_dict({name: _to_tensor(w) for name, w in weights.items()})


def _is_plain(name, value):
    """Return whether numpy can write this part of a module's state in place."""
    return (
        isinstance(value, torch.Tensor)
        and value.device.type == "cpu"
        and value.layout == torch.strided
        and value.dtype != torch.bfloat16
        and not name.endswith("_extra_state")  # the module has its own way to set it
    )


def has_weights(module, weights):
    """Return whether a module's parameters and buffers equal these bit for bit."""
    current = take_weights(module)
    return current.keys() == weights.keys() and all(
        value.tobytes() == weights[name].tobytes()
        for name, value in current.items()
        if isinstance(value, np.ndarray)
    )


def _to_array(value):
    """Copy a tensor to an array; copy anything else in a module's state as it is."""
    if not isinstance(value, torch.Tensor):
        return deepcopy(value)
    if value.dtype == torch.bfloat16:  # numpy lacks this type; float32 holds all of it
        value = value.float()
    array = np.array(value.detach().cpu().numpy())
    array.flags.writeable = False
    return array


def _to_tensor(array):
    """Convert an array, which may be read-only, to a tensor."""
    if not isinstance(array, np.ndarray):
        return deepcopy(array)
    return torch.from_numpy(np.array(array))  # torch warns about read-only memory


def watch_epoch(method, module, score):
    """Compare an epoch with the others of its cycle, and hold the best weights."""
    cycles = method.cycles_.watch(score, method.tol, method.lower_is_better)
    if method.load_best and cycles.plateau.is_best:
        cycles = cycles.with_best(take_weights(module))
    return cycles


def end_cycle(method, module):
    """Restore the cycle's best weights, if they are held, and keep a snapshot."""
    cycles = method.cycles_
    if cycles.best is not None:
        write_weights(module, cycles.best)
    return cycles.end_cycle(take_weights(module), method.n_snapshots)


def cut_off(method, module):
    """End the training in mid-cycle; another training may resume the cycle.

    The module gets the last snapshot's weights. That is this cycle's, if it counts.
    """
    cycles = method.cycles_
    weights = current = take_weights(module)
    counts = cycles.counts(method.lower_is_better)
    if not counts:
        weights = cycles.kept[-1]["weights"]
    elif cycles.best is not None:
        weights = cycles.best
    if weights is not current:
        write_weights(module, weights)
    return cycles.cut_off(
        weights if counts else None, None if weights is current else current
    )


def resume(method, module):
    """Resume the cycle that the end of the last training cut off."""
    cycles = method.cycles_
    if cycles.suspended is None:
        return cycles
    # a module that has changed since then is trained as it is
    if has_weights(module, method.snapshots_[-1]["weights"]):
        write_weights(module, cycles.suspended)
    return cycles.resume()


def average(net, module, snapshots, method, X):
    """Average the results of a net's method over the snapshots, written in turn.

    Afterwards the module has its own weights again.
    """
    if method == "predict" and is_classifier(net):
        raise ValueError(
            "method='predict' returns a classifier's labels, which have no mean. Use "
            "method='predict_proba' and take the most probable class of the mean."
        )
    own = take_weights(module)
    total = 0
    try:
        for snapshot in snapshots:
            write_weights(module, snapshot["weights"])
            total = total + getattr(net, method)(X)
    finally:
        write_weights(module, own)
    return total / len(snapshots)
