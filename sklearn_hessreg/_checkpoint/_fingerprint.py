"""Fingerprint: what decides the bits of a fit, and in what two fits differ."""

from hashlib import sha256
from importlib.metadata import version

import numpy as np
from scipy.sparse import issparse

_DECIDING = ("sklearn_hessreg", "torch", "numpy", "scipy", "scikit-learn", "skorch")
HASHED = 2**24  # bytes of an array that are made contiguous at once


def versions():
    """Look up the versions of what decides the bits."""
    return {name: version(name) for name in _DECIDING}


def hash_array(array):
    """Hash the values of an array or of a CSR matrix, whatever its order in memory."""
    if array is None:
        return None
    parts = (array.data, array.indices, array.indptr) if issparse(array) else (array,)
    digest = sha256(repr([array.shape, *(p.dtype.str for p in parts)]).encode())
    for part in parts:
        part = np.atleast_1d(part)
        rows = max(1, HASHED // max(1, part[:1].nbytes))
        for start in range(0, len(part), rows):
            digest.update(np.ascontiguousarray(part[start : start + rows]))
    return digest.hexdigest()


def differences(there, here):
    """Say in what two fits differ."""
    for name in here["parameters"] | there["parameters"]:
        one, two = (fit["parameters"].get(name, "missing") for fit in (there, here))
        if one != two:
            yield f"{name} was {one} there and is {two} here"
    for name in here["data"] | there["data"]:
        if there["data"].get(name) != here["data"].get(name):
            yield f"{name} has other values than there"
    for name, two in here["versions"].items():
        one = there["versions"].get(name, "missing")
        if one != two:
            yield f"{name} was of version {one} there and is of {two} here"
