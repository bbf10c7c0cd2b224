"""The estimators' checkpoint: the callback that writes it, and a fit's description."""

import json
import pickle
from pathlib import Path

import joblib
from skorch.callbacks import Callback

from sklearn_hessreg._state import StateFile, describe, hash_array, versions
from sklearn_hessreg._training._state import capture, to_arrays


class Checkpoint(Callback):
    """Write the training state at the start and then every `settings.every` epochs.

    With L-BFGS it is written after every cycle, because a bit-exact resume is not
    possible within one.

    `settings` is a FitCheckpoint, `fit` is what `describe_fit` returns.
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
        """Return the stored state, None without a file; refuse another fit's file."""
        return self.file.load()

    def remove(self):
        """Delete the file."""
        self.file.remove()

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Write the file now, so that a failure to write costs no training."""
        if not self.file.is_there:
            self._write(net)

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Write the file if it is due."""
        last = net.stop_training_ or net.n_epochs_begun_ == net.spec.max_iter
        if last or self._is_time(net):
            self._write(net)

    def _is_time(self, net):
        """Return whether a write is due; L-BFGS has memory of its own within a run."""
        if net.spec.solver == "lbfgs":
            return net.method.cycles_.is_due
        return net.n_epochs_begun_ % self.every == 0

    def _write(self, net):
        """Write the state; only the user's callbacks can fail to pickle."""
        state = {**to_arrays(capture(net)), "seed": net.spec.seed}
        try:
            self.file.write(state, net.n_epochs_begun_)
        except (AttributeError, TypeError, pickle.PicklingError) as error:
            raise ValueError(
                f"A callback in skorch_callbacks cannot be pickled ({error}), so no "
                "checkpoint can hold what it has learnt. Let it define __getstate__, "
                "or use checkpoint=None."
            ) from error


# parameters that do not change the training
_FREE = {"checkpoint", "oob_score", "verbose", "warm_start"}


def describe_fit(params, data):
    """Describe a fit as JSON values; fits with equal descriptions train to equal bits.

    `params` are the resolved parameters, `data` maps names to arrays or None.
    """
    params = {k: _describe(k, v) for k, v in params.items() if k not in _FREE}
    data = {name: hash_array(array) for name, array in data.items()}
    return {"parameters": params, "data": data, "versions": versions()}


def _describe(name, value):
    """Write a parameter as text, or as its hash if it has no plain text.

    A dict gives the same text in any order, and with numpy's numbers or Python's.
    """
    if isinstance(value, dict):
        return describe(value)
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return f"{type(value).__name__} {_hash_object(name, value)}"
    return repr(value)


def _hash_object(name, value):
    """Hash a value, and refuse one that cannot be pickled."""
    try:
        return joblib.hash(value)
    except (AttributeError, TypeError, pickle.PicklingError) as error:
        raise ValueError(
            f"{name}={value!r} cannot be pickled ({error}), and so not be stored in a "
            "checkpoint. Use functions and classes of a module, or checkpoint=None."
        ) from error
