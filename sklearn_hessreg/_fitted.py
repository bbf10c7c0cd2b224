"""FittedNet: the attributes of a fitted estimator, all read from its net."""

import math
from importlib.metadata import version
from typing import Any

from numpy.typing import NDArray
from sklearn.exceptions import InconsistentVersionWarning
from skorch import NeuralNet
from skorch.history import History

from sklearn_hessreg._compat import warn_at_caller
from sklearn_hessreg._reinit import Snapshot

__version__ = version("sklearn_hessreg")

# those of both estimators, for their docstrings
ATTRIBUTES = """\
coefs_ : list of ndarray of shape (in, out)
    Weights of each layer of the last snapshot.
intercepts_ : list of ndarray of shape (out,)
    Biases of each layer of the same network.
snapshots_ : list of Bunch
    The networks whose predictions are averaged, from first to last. Each has
    ``coefs`` and ``intercepts``, its ``cycle``, the cycle's last ``epoch``, and
    ``score``: the validation score or, without ``early_stopping``, the training
    loss. With ``k=0`` there is one.
n_features_in_ : int
    Number of features.
feature_names_in_ : ndarray of shape (`n_features_in_`,)
    Feature names, if those of ``X`` are all strings.
n_iter_ : int
    Epochs run by the last call of ``fit`` or ``partial_fit``.
t_ : int
    Training samples seen by the optimizer.
loss_ : float
    Penalised training loss of the last epoch, averaged over its batches.
loss_curve_ : list of float
    The same loss after each epoch.
best_loss_ : float or None
    The lowest value of ``loss_curve_``; None with ``early_stopping``.
validation_scores_ : list of float or None
    Score by ``scoring`` on the validation data after each epoch, by default their
    loss with its sign changed; None without validation data.
best_validation_score_ : float or None
    The highest finite one of these scores.
n_layers_ : int
    Number of layers, including the input layer.
history_ : skorch.history.History
    One row per epoch, with its batches.
reinit_history_ : list of dict
    One record per re-initialisation and layer, see :class:`HessianReinit`;
    ``layers.0`` is the layer of ``coefs_[0]``.
"""


class FittedNet:
    """The fitted attributes, which do not depend on the current parameters."""

    # set by fit, for type checkers
    n_features_in_: int
    feature_names_in_: NDArray[Any]
    net_: NeuralNet

    @property
    def coefs_(self) -> list[NDArray[Any]]:
        """Weights of each layer, as arrays of shape (in, out)."""
        layers = self._fitted("coefs_").module_.layers
        return [layer.weight.detach().cpu().numpy().T.copy() for layer in layers]

    @property
    def intercepts_(self) -> list[NDArray[Any]]:
        """Biases of each layer, as arrays of shape (out,)."""
        layers = self._fitted("intercepts_").module_.layers
        return [layer.bias.detach().cpu().numpy().copy() for layer in layers]

    @property
    def history_(self) -> History:
        """The history of the skorch net: one row per epoch."""
        return self._fitted("history_").history

    @property
    def reinit_history_(self) -> list[dict[str, Any]]:
        """One record per event and layer, see HessianReinit."""
        return self._fitted("reinit_history_").method.reinit_history_

    @property
    def n_iter_(self) -> int:
        """Epochs run by the last call of ``fit`` or ``partial_fit``."""
        return self._progress("n_iter_").n_iter_

    @property
    def t_(self) -> int:
        """Training samples seen by the optimizer."""
        return self._progress("t_").t_

    @property
    def loss_curve_(self) -> list[float]:
        """Penalised training loss after each epoch, averaged over its batches."""
        return list(self._progress("loss_curve_").loss_curve_)

    @property
    def loss_(self) -> float:
        """The last value of ``loss_curve_``."""
        return self._progress("loss_").loss_curve_[-1]

    @property
    def best_loss_(self) -> float | None:
        """The lowest value of ``loss_curve_``; None with early stopping."""
        early_stopping = self._fitted("best_loss_").spec.early_stopping
        return None if early_stopping else min(self.loss_curve_)

    @property
    def validation_scores_(self) -> list[float] | None:
        """Score on the validation data after each epoch; None without such data."""
        return list(self._progress("validation_scores_").validation_scores_) or None

    @property
    def best_validation_score_(self) -> float | None:
        """The highest finite value of ``validation_scores_``; NaN if none is finite."""
        scores = self._progress("best_validation_score_").validation_scores_
        if not scores:
            return None
        return max(filter(math.isfinite, scores), default=math.nan)

    @property
    def n_layers_(self) -> int:
        """Number of layers, including the input layer."""
        return len(self._fitted("n_layers_").spec.layer_units)

    @property
    def n_outputs_(self) -> int:
        """Number of outputs of the network."""
        return self._fitted("n_outputs_").spec.layer_units[-1]

    @property
    def out_activation_(self) -> str:
        """The function that turns the network's outputs into predictions."""
        return self._fitted("out_activation_").spec.head.out_activation

    @property
    def snapshots_(self) -> list[Snapshot]:
        """The networks whose predictions are averaged, from first to last.

        Each has ``coefs`` and ``intercepts`` like ``coefs_`` and ``intercepts_``,
        ``cycle``, counted from 1, ``epoch``, the number of its last epoch, and
        ``score``. With early stopping this is the validation score it was chosen by,
        otherwise its training loss.
        """
        net = self._fitted("snapshots_")
        if net.snapshots_:
            return [_as_sklearn(snapshot) for snapshot in net.snapshots_]
        return [
            Snapshot(
                coefs=self.coefs_,
                intercepts=self.intercepts_,
                cycle=1,
                epoch=net.epoch,
                score=net.method.cycles_.score,
            )
        ]

    @property
    def _no_improvement_count(self):
        """Consecutive epochs without improvement, under MLPClassifier's name for it."""
        return self._fitted("_no_improvement_count").method.cycles_.plateau.misses

    def __sklearn_is_fitted__(self):
        return hasattr(self, "net_")

    def __getstate__(self):
        return {**super().__getstate__(), "_sklearn_hessreg_version": __version__}

    def __setstate__(self, state):
        state = dict(state)
        dumped_by = state.pop("_sklearn_hessreg_version", "before 0.1.0")
        # minor versions may change what a dump holds
        if dumped_by.split(".")[:2] != __version__.split(".")[:2]:
            warn_at_caller(
                InconsistentVersionWarning(
                    estimator_name=type(self).__name__,
                    current_sklearn_version=f"{__version__} of sklearn_hessreg",
                    original_sklearn_version=dumped_by,
                )
            )
        super().__setstate__(state)

    def _fitted(self, name):
        """Return the net; before fit, raise AttributeError for attribute `name`."""
        if not hasattr(self, "net_"):
            raise AttributeError(
                f"{type(self).__name__} has no attribute {name!r} before fit."
            )
        return self.net_

    def _progress(self, name):
        """Return the callback that records the losses and scores."""
        return dict(self._fitted(name).callbacks_)["curves"]


def _as_sklearn(snapshot):
    """Convert a snapshot of the module to scikit-learn's layout."""
    weights = snapshot["weights"]
    layers = range(len(weights) // 2)
    return Snapshot(
        coefs=[weights[f"layers.{i}.weight"].T.copy() for i in layers],
        intercepts=[weights[f"layers.{i}.bias"].copy() for i in layers],
        cycle=snapshot.cycle,
        epoch=snapshot.epoch,
        score=snapshot.score,
    )
