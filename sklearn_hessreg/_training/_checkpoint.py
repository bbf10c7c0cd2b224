"""The estimators' checkpoint: the callback that writes it, and whose fit it is."""

import json
import pickle
from pathlib import Path

import joblib
from skorch.callbacks import Callback

from sklearn_hessreg._state import StateFile, describe, hash_array, versions
from sklearn_hessreg._training._state import capture, to_arrays


class Checkpoint(Callback):
    """Write a training's state at its beginning and after every so many epochs.

    With L-BFGS one is written after every cycle: within a cycle it cannot go on to the
    bit.

    `settings` is a FitCheckpoint, `fit` what `describe_fit` returns.
    """

    def __init__(self, settings, fit):
        path = settings.path
        if Path(path).is_dir() and fit["parameters"]["random_state"] == "None":
            raise ValueError(
                f"checkpoint={path!r} is a folder, where fits are told apart by "
                "their parameters and data; with random_state=None fits that are "
                "to differ have the same. Set random_state, or name a file."
            )
        self.every, self.keep = settings.every, settings.keep
        self.file = StateFile(path, fit, "checkpoint")

    def load(self):
        """Return the state in the file, None if there is no file; refuse another's."""
        return self.file.load()

    def remove(self):
        """Delete the file."""
        self.file.remove()

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Write the file, before anything is trained in vain if that is impossible."""
        if not self.file.is_there:
            self._write(net)

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Write the file if it is time."""
        last = net.stop_training_ or net.n_epochs_begun_ == net.spec.max_iter
        if last or self._is_time(net):
            self._write(net)

    def _is_time(self, net):
        """Tell whether a state is due; L-BFGS has a memory within a run of its own."""
        if net.spec.solver == "lbfgs":
            return dict(net.callbacks_)["hessian_reinit"].is_due
        return net.n_epochs_begun_ % self.every == 0

    def _write(self, net):
        """Write the state; what cannot be pickled is of the user's callbacks."""
        state = {**to_arrays(capture(net)), "seed": net.spec.seed}
        try:
            self.file.write(state, net.n_epochs_begun_)
        except (AttributeError, TypeError, pickle.PicklingError) as error:
            raise ValueError(
                f"A callback in skorch_callbacks cannot be pickled ({error}), so no "
                "checkpoint can hold what it has learnt. Let it define __getstate__, "
                "or use checkpoint=None."
            ) from error


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
