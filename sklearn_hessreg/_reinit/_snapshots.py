"""Snapshots: a network's weights as arrays, written back, compared, averaged over."""

import math
from copy import deepcopy

import numpy as np
import torch
from sklearn.base import is_classifier


def take_weights(module):
    """Copy a module's parameters and buffers into arrays that cannot be written to."""
    return {name: _to_array(value) for name, value in module.state_dict().items()}


def write_weights(module, weights):
    """Write such arrays back into a module."""
    module.load_state_dict({name: _to_tensor(w) for name, w in weights.items()})


def has_weights(module, weights):
    """Tell whether a module's parameters and buffers are these to the bit."""
    current = take_weights(module)
    return current.keys() == weights.keys() and all(
        value.tobytes() == weights[name].tobytes()
        for name, value in current.items()
        if isinstance(value, np.ndarray)
    )


def _to_array(value):
    """Copy a tensor; what else a module puts into its state is copied as it is."""
    if not isinstance(value, torch.Tensor):
        return deepcopy(value)
    if value.dtype == torch.bfloat16:  # numpy has no such type; float32 holds all of it
        value = value.float()
    array = np.array(value.detach().cpu().numpy())
    array.flags.writeable = False
    return array


def _to_tensor(array):
    """Make a tensor of an array, which may be read-only."""
    if not isinstance(array, np.ndarray):
        return deepcopy(array)
    return torch.from_numpy(np.array(array))  # torch warns of read-only memory


def is_no_worse(score, snapshots, lower_is_better):
    """Tell whether a score is at least that of the worst snapshot.

    No score, or NaN, is worse than all others. Beside no snapshot everything counts.
    """
    scores = [_as_gain(snapshot["score"], lower_is_better) for snapshot in snapshots]
    return not scores or _as_gain(score, lower_is_better) >= min(scores)


def _as_gain(score, lower_is_better):
    """Turn a score such that higher is better."""
    if score is None or math.isnan(score):
        return -math.inf
    return -score if lower_is_better else score


def average(net, module, snapshots, method, X):
    """Average what a net's method returns over the snapshots, each written in turn.

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
