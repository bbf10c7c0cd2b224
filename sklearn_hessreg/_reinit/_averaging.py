"""SnapshotAveragingMixin: skorch nets that predict with the mean of their snapshots."""

from typing import Any

from sklearn_hessreg._reinit._hessian_reinit import HessianReinit


class SnapshotAveragingMixin:
    """Let a skorch net predict with the mean of its snapshots.

    Put it before the net's class. Once training has ended, ``predict_proba`` returns
    the mean over the snapshots that the net's :class:`HessianReinit` keeps. Everything
    computed from it (``predict``, ``score``, a search's scores) follows. During
    training, and without snapshots, as with ``k=0``, the net predicts as usual. So a
    grid over ``callbacks__hessian__k`` shows what the method gains.

    See Also
    --------
    HessianReinit.average : The same for a net without the mixin.

    Notes
    -----
    A prediction writes each snapshot's weights into the module in turn, and then
    restores the module's own. It takes as long as one prediction per snapshot.
    ``forward`` and ``forward_iter`` use the module's own weights. Weights that you load
    into the module after training do not predict until ``initialize``.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from skorch import NeuralNetClassifier
    >>> from sklearn_hessreg import HessianReinit, SnapshotAveragingMixin
    >>> from torch import nn
    >>> class AveragingClassifier(SnapshotAveragingMixin, NeuralNetClassifier):
    ...     pass
    >>> X, y = make_classification(random_state=0)
    >>> net = AveragingClassifier(
    ...     nn.Linear(20, 2),
    ...     criterion=nn.CrossEntropyLoss,
    ...     max_epochs=10,
    ...     callbacks=[("hessian", HessianReinit(k=30, reinit_every=2))],
    ...     verbose=0,
    ... ).fit(X.astype("float32"), y)
    >>> net.predict_proba(X.astype("float32")).shape
    (100, 2)
    """

    _averages = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        owner = next(kind for kind in cls.__mro__ if "predict_proba" in vars(kind))
        if not issubclass(owner, SnapshotAveragingMixin):
            raise TypeError(
                f"{cls.__name__} has SnapshotAveragingMixin after {owner.__name__}, "
                "whose predict_proba hides that of the mixin. Put the mixin first: "
                f"class {cls.__name__}(SnapshotAveragingMixin, {owner.__name__})."
            )

    def partial_fit(self, *args: Any, **kwargs: Any) -> Any:
        """Continue training, as skorch does; ``fit`` calls this too."""
        self._averages = False
        try:
            return super().partial_fit(*args, **kwargs)  # type: ignore[misc]
        finally:
            self._averages = True

    def predict_proba(self, X: Any) -> Any:
        """Predict with the mean of the snapshots.

        Parameters
        ----------
        X : input data
            As the net takes it.

        Returns
        -------
        ndarray
            Probabilities, or the outputs of a regressor.
        """
        method = self._method() if self._averages else None
        if method is None:
            return super().predict_proba(X)  # type: ignore[misc]
        self._averages = False  # while the module has one snapshot's weights
        try:
            return method.average(self, X)
        finally:
            self._averages = True

    def _method(self):
        """Return the callback that keeps snapshots, or None without snapshots."""
        for _, callback in getattr(self, "callbacks_", []):
            # before any training it does not even have an empty list
            if isinstance(callback, HessianReinit) and getattr(
                callback, "snapshots_", []
            ):
                return callback
        return None
