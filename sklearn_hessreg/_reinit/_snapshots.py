"""Snapshots: take a network's weights as arrays, write back, compare and average."""

import math
from copy import deepcopy

import numpy as np
import torch
from sklearn.base import is_classifier


def take_weights(module):
    """Copy a module's parameters and buffers into read-only arrays."""
    return {name: _to_array(value) for name, value in module.state_dict().items()}


def write_weights(module, weights):
    """Write such arrays back into a module."""
    module.load_state_dict({name: _to_tensor(w) for name, w in weights.items()})


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


def is_no_worse(score, snapshots, lower_is_better):
    """Return whether a score is no worse than that of the worst snapshot.

    No score, or NaN, is worse than all others. Without snapshots, every score counts.
    """
    scores = [_as_gain(snapshot["score"], lower_is_better) for snapshot in snapshots]
    return not scores or _as_gain(score, lower_is_better) >= min(scores)


def _as_gain(score, lower_is_better):
    """Flip a score's sign if needed, so that higher is better."""
    if score is None or math.isnan(score):
        return -math.inf
    return -score if lower_is_better else score


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
