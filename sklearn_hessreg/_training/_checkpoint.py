"""FitCheckpoint as the estimators use it, and the description of an estimator's fit."""

import pickle
from pathlib import Path

from sklearn_hessreg._state import (
    FitCheckpoint,
    StateFile,
    capture_own_generators,
    describe,
    hash_array,
    versions,
)


class EstimatorCheckpoint(FitCheckpoint):
    """Keep an estimator's training in a file.

    With L-BFGS it is written after every cycle, because a bit-exact resume is not
    possible within one. The estimator deletes `file_`, once all of its fit has ended.
    """

    def __init__(self, settings, fit):
        super().__init__(settings.path, settings.every, settings.keep)
        if Path(self.path).is_dir() and fit["parameters"]["random_state"] == "None":
            raise ValueError(
                f"checkpoint={self.path!r} is a folder, where fits are told apart by "
                "their parameters and data; with random_state=None fits that are "
                "to differ have the same. Set random_state, or name a file."
            )
        self.file_ = StateFile(self.path, fit, "checkpoint")

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Resume from the file, or write it now so that a failure costs no training."""
        self._begin(net)

    def on_train_end(self, net, X=None, y=None, **kwargs):
        """Leave the file, whose state brings about the same end once more."""

    def _is_due(self, net):
        """Return whether a write is due; L-BFGS has memory of its own within a run."""
        if net.spec.solver == "lbfgs":
            return net.stop_training_ or net.method.cycles_.is_due
        return net.stop_training_ or super()._is_due(net)

    def _generators(self, net):
        """Return the net's own states, as a fit leaves the global generators alone."""
        return capture_own_generators(net)


# parameters that do not change the training
_FREE = {"checkpoint", "oob_score", "verbose", "warm_start"}


def describe_fit(params, data):
    """Describe a fit as JSON values; fits described alike train to equal bits."""
    params = {k: _describe(k, v) for k, v in params.items() if k not in _FREE}
    data = {name: hash_array(array) for name, array in data.items()}
    return {"parameters": params, "data": data, "versions": versions()}


def _describe(name, value):
    """Describe a parameter, and refuse one that cannot be pickled."""
    try:
        pickle.dumps(value)
    except (AttributeError, TypeError, pickle.PicklingError) as error:
        raise ValueError(
            f"{name}={value!r} cannot be pickled ({error}), so no checkpoint can "
            "tell it from another. Use functions and classes of a module, or "
            "checkpoint=None."
        ) from error
    return describe(value)
