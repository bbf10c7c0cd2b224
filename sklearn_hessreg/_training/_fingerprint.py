"""Fingerprint: of what fit a checkpoint is, and in what two fits differ."""

import json
import pickle
from hashlib import sha256
from importlib.metadata import version

import joblib
import numpy as np
from scipy.sparse import issparse

# what changes nothing in what is trained
_FREE = {"checkpoint", "checkpoint_every", "keep_checkpoint", "verbose", "warm_start"}
_DECIDING = ("sklearn_hessreg", "torch", "numpy", "scipy", "scikit-learn", "skorch")
HASHED = 2**24  # bytes of an array that are made contiguous at once


def describe_fit(params, data):
    """Describe a fit by values of JSON; two that are equal train to the same bits.

    `params` are the resolved parameters, `data` arrays or None by their names.
    """
    params = {k: _describe(k, v) for k, v in params.items() if k not in _FREE}
    data = {name: _hash_array(array) for name, array in data.items()}
    return {"parameters": params, "data": data, "versions": _versions()}


def _versions():
    """Look up the versions of what decides the bits."""
    return {name: version(name) for name in _DECIDING}


def _describe(name, value):
    """Write a parameter as text, what has no plain text by its hash."""
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return f"{type(value).__name__} {_hash_object(name, value)}"
    return repr(value)


def _hash_object(name, value):
    """Hash what can be pickled."""
    try:
        return joblib.hash(value)
    except (AttributeError, TypeError, pickle.PicklingError) as error:
        raise ValueError(
            f"{name}={value!r} cannot be pickled ({error}), and so not be stored in a "
            "checkpoint. Use functions and classes of a module, or checkpoint=None."
        ) from error


def _hash_array(array):
    """Hash the values of an array or of a CSR matrix, whatever its order in memory."""
    if array is None:
        return None
    parts = (array.data, array.indices, array.indptr) if issparse(array) else (array,)
    digest = sha256(repr([array.shape, *(p.dtype.str for p in parts)]).encode())
    for part in parts:
        rows = max(1, HASHED // max(1, part[:1].nbytes))
        for start in range(0, len(part), rows):
            digest.update(np.ascontiguousarray(part[start : start + rows]))
    return digest.hexdigest()


def differences(there, here):
    """Say in what two fits differ."""
    for name in here["parameters"] | there["parameters"]:
        one, two = (fit["parameters"].get(name) for fit in (there, here))
        if one != two:
            yield f"{name} was {one} there and is {two} here"
    for name in here["data"] | there["data"]:
        if there["data"].get(name) != here["data"].get(name):
            yield f"{name} has other values than there"
    for name, two in here["versions"].items():
        one = there["versions"].get(name)
        if one != two:
            yield f"{name} was of version {one} there and is of {two} here"
