"""Description of a fit of an estimator, by which its checkpoint is recognised."""

import json
import pickle

import joblib

from sklearn_hessreg._state import describe, hash_array, versions

# what changes nothing in what is trained
_FREE = {"checkpoint", "oob_score", "verbose", "warm_start"}


def describe_fit(params, data):
    """Describe a fit by values of JSON; two that are equal train to the same bits.

    `params` are the resolved parameters, `data` arrays or None by their names.
    """
    params = {k: _describe(k, v) for k, v in params.items() if k not in _FREE}
    data = {name: hash_array(array) for name, array in data.items()}
    return {"parameters": params, "data": data, "versions": versions()}


def _describe(name, value):
    """Write a parameter as text, what has no plain text by its hash.

    A dict is the same in any order, and with the numbers of numpy in it.
    """
    if isinstance(value, dict):
        return describe(value)
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
