"""HessianRegularizedMLPRegressor: targets, predictions, export to scikit-learn."""

from collections.abc import Callable, Sequence
from functools import partial
from numbers import Real
from os import PathLike
from typing import Any, Literal, Self, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin
from sklearn.ensemble import VotingRegressor
from sklearn.metrics import r2_score
from sklearn.neural_network import MLPRegressor
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_hessreg._base import BaseHessianRegularizedMLP, is_stochastic
from sklearn_hessreg._check_targets import (
    as_floats,
    check_counts,
    check_loss_is_finite,
    check_same_width,
    check_scored,
    check_targets,
    warn_if_badly_scaled,
)
from sklearn_hessreg._compat import warn_at_caller
from sklearn_hessreg._fitted import ATTRIBUTES
from sklearn_hessreg._heads import Exponential, Identity
from sklearn_hessreg._label_quality import residual_quality
from sklearn_hessreg._reinit import Parameter, document_parameters
from sklearn_hessreg._state import FitCheckpoint
from sklearn_hessreg._training import TRAINING_PARAMETERS
from sklearn_hessreg._typing import (
    Activation,
    Aggregation,
    Curvature,
    Granularity,
    Importance,
    Initializer,
    LearningRate,
    Loss,
    MatrixLike,
    OptimizerState,
    Scope,
    Solver,
    available_if,
    fit_context,
)
from sklearn_hessreg._validation import (
    check_weights,
    drop_weightless,
)

_OWN_PARAMETERS = {
    "loss": Parameter(
        [StrOptions(set(get_args(Loss)))],
        "str",
        'The loss to minimise: half the squared error; ``"poisson"``, half the Poisson '
        "deviance (the network then outputs the logarithm of the mean); "
        '``"absolute_error"``; or ``"huber"``, the Huber loss. The last two are robust '
        "to wrong targets; MLPRegressor lacks them. The absolute error has no "
        "curvature in the outputs, so the output layer's Hessian is zero: choose "
        "another ``importance`` with it.",
    ),
    "delta": Parameter(
        [Interval(Real, 0, None, closed="neither")],
        "float",
        "Error from which the Huber loss is linear, in the units of ``y``. Only used "
        'with ``loss="huber"``.',
    ),
}


@document_parameters(TRAINING_PARAMETERS | _OWN_PARAMETERS, ATTRIBUTES)
class HessianRegularizedMLPRegressor(RegressorMixin, BaseHessianRegularizedMLP):
    r"""Multi-layer perceptron regressor regularised by exact Hessians.

    This is scikit-learn's MLPRegressor, trained in torch, with one addition [1]_:
    training runs in cycles. Where it would stop, the network is kept as a snapshot. The
    exact Hessian of the loss then gives each weight of the last ``n`` layers a score,
    the top ``k`` percent of the weights are re-initialised, and training continues
    until there are ``n_snapshots`` networks or ``max_iter`` epochs. Predictions are the
    mean of the snapshots' predictions. Training that does not converge within
    ``max_iter`` epochs is never disturbed.

    With ``k=0`` and ``max_iter=200``, MLPRegressor's default, it follows MLPRegressor
    step by step: the same ``random_state`` gives the same weights up to rounding. With
    ``solver="lbfgs"`` this holds as long as rounding sends no line search another way.
    With ``early_stopping=True``, ``scoring=None`` matches MLPRegressor. One thing
    differs: samples of weight zero are left out of the batches.

    The parameters come in groups. *Start here*: ``loss`` to
    ``random_state``. *Schedule*: ``reinit_every`` to ``validation_fraction``.
    *Research*: ``importance`` to ``aggregation``. *As scikit-learn*: ``solver`` to
    ``verbose``. *Training extras*: ``delta`` to ``checkpoint``.

    Parameters
    ----------
    %(parameters)s

    Attributes
    ----------
    %(attributes)s
    oob_prediction_ : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        With ``oob_score``: the mean prediction for each training row by the networks
        that did not train on it in their cycle. NaN for rows that every network trained
        on, and for rows of weight zero.
    oob_score_ : float
        With ``oob_score``: the unweighted R² of these predictions, over the rows that
        have them.
    n_outputs_ : int
        Number of outputs.
    out_activation_ : {"identity", "exp"}
        The function that turns the network's outputs into predictions; ``"exp"`` for
        ``loss="poisson"``.
    net_ : skorch.NeuralNet
        The trained net. Its ``module_`` is the network of ``coefs_`` and returns its
        outputs; for ``loss="poisson"`` these are the logarithms of its predictions.

    See Also
    --------
    HessianRegularizedMLPClassifier : The method for classes.
    HessianReinit : The method as a callback for any skorch net.
    hessian_scores : The scores of any module.
    sklearn.neural_network.MLPRegressor : The same network without the method.

    Notes
    -----
    The score of weight (i, j) of a layer is
    :math:`S_{ij} = \sum_{kl} |\partial^2 J / \partial W_{ij} \partial W_{kl}|`, where J
    is the weighted mean loss on the Hessian samples, in evaluation mode. The
    ``ceil(k / 100 * count)`` weights with the highest scores are redrawn at the start
    of an epoch, so all returned weights have been trained (in an interrupted epoch,
    only on the batches it finished).

    J is what training minimises: for several outputs, the sum of their losses. As in
    MLPRegressor, ``loss_curve_`` has their mean instead, except for ``loss="poisson"``.
    MLPRegressor's L-BFGS gets that mean with the gradient of the sum, and so differs
    from ours with several outputs and ``loss="squared_error"``.

    *Scale of the targets.* The loss, ``tol`` and ``delta`` are in the units of ``y``,
    and the initial weights give outputs of about one. So scale the targets, for
    instance by :class:`~sklearn.compose.TransformedTargetRegressor` with a
    :class:`~sklearn.preprocessing.StandardScaler`. ``fit`` warns if their standard
    deviation is below 0.01 or above 100 (not with ``"poisson"`` or L-BFGS).

    The same seed and number of threads give bit-identical models.

    *partial_fit*, *callbacks* and prediction time are as in
    :class:`HessianRegularizedMLPClassifier`.

    References
    ----------
    .. [1] Rahimi, Kodliuk, Benchekroun, "Using Hessians as a Regularization
       Technique", LOD 2020, doi:10.1007/978-3-030-64583-0_4.

    Examples
    --------
    >>> from sklearn.compose import TransformedTargetRegressor
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_hessreg import HessianRegularizedMLPRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    >>> reg = HessianRegularizedMLPRegressor(
    ...     loss="huber", max_iter=400, random_state=0
    ... )
    >>> model = TransformedTargetRegressor(
    ...     make_pipeline(StandardScaler(), reg), transformer=StandardScaler()
    ... )
    >>> model.fit(X_train, y_train).score(X_test, y_test) > 0.3
    True
    >>> len(model.regressor_[-1].snapshots_)
    10
    """

    _parameter_constraints: dict = {
        **BaseHessianRegularizedMLP._parameter_constraints,
        **{name: p.constraints for name, p in _OWN_PARAMETERS.items()},
    }

    def __init__(
        self,
        loss: Loss = "squared_error",
        hidden_layer_sizes: int | ArrayLike = (100,),
        activation: Activation = "relu",
        *,
        early_stopping: bool | Literal["auto"] = "auto",
        k: float = 70,
        n: int | None = None,
        n_snapshots: int = 10,
        max_iter: int = 1000,
        random_state: int | np.random.RandomState | None = None,
        reinit_every: int | Literal["plateau"] = "plateau",
        reinit_until: int | None = None,
        n_iter_no_change: float = 10,
        tol: float = 1e-4,
        scoring: str | Callable[..., float] | None = "loss",
        validation_fraction: float = 0.1,
        importance: Importance = "hessian",
        curvature: Curvature = "per_sample",
        hessian_samples: int | None = 256,
        optimizer_state: OptimizerState = "reset",
        initializer: Initializer = "xavier_uniform",
        granularity: Granularity = "weight",
        scope: Scope = "layer",
        aggregation: Aggregation = "mean",
        solver: Solver = "adam",
        alpha: float = 1e-4,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: LearningRate = "constant",
        learning_rate_init: float = 1e-3,
        power_t: float = 0.5,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        max_fun: int = 15000,
        shuffle: bool = True,
        warm_start: bool = False,
        verbose: bool | int = 0,
        delta: float = 1.0,
        dropout: float = 0.0,
        device: str | torch.device = "auto",
        skorch_callbacks: Sequence[Any] | None = None,
        distributed: bool = False,
        oob_score: bool = False,
        checkpoint: str | PathLike[str] | FitCheckpoint | None = None,
    ) -> None:
        self.loss = loss
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.early_stopping = early_stopping
        self.k = k
        self.n = n
        self.n_snapshots = n_snapshots
        self.max_iter = max_iter
        self.random_state = random_state
        self.reinit_every = reinit_every
        self.reinit_until = reinit_until
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.scoring = scoring
        self.validation_fraction = validation_fraction
        self.importance = importance
        self.curvature = curvature
        self.hessian_samples = hessian_samples
        self.optimizer_state = optimizer_state
        self.initializer = initializer
        self.granularity = granularity
        self.scope = scope
        self.aggregation = aggregation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.max_fun = max_fun
        self.shuffle = shuffle
        self.warm_start = warm_start
        self.verbose = verbose
        self.delta = delta
        self.dropout = dropout
        self.device = device
        self.skorch_callbacks = skorch_callbacks
        self.distributed = distributed
        self.oob_score = oob_score
        self.checkpoint = checkpoint

    @available_if(is_stochastic)
    # resolve_parameters validates later calls too, unless the user switched that off
    @fit_context(prefer_skip_nested_validation=False)
    def partial_fit(
        self,
        X: MatrixLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Train one more epoch on the given data.

        Each call counts as one epoch. From the second call on it starts with a
        re-initialisation if ``reinit_every`` says so, with the Hessian on this
        call's data. As in MLPRegressor, the optimizer continues from the previous
        call, including its learning rate and moments.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative sample weights.

        Returns
        -------
        self : HessianRegularizedMLPRegressor
            The trained estimator.

        Raises
        ------
        ValueError
            As in ``fit``; also with ``early_stopping=True``, which needs all data at
            once.
        """
        learn = self._learn_targets
        return self._fit(X, y, sample_weight, (None,) * 3, learn, incremental=True)

    def predict(self, X: MatrixLike) -> NDArray[Any]:
        """Predict the target of each sample.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The samples.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The predicted values, in the dtype of the training data: the mean over the
            snapshots or, for ``loss="poisson"``, over their predicted means.
        """
        y = self._predict(X, "predictions")
        return y.ravel() if y.shape[1] == 1 else y

    def label_quality(self, X: MatrixLike, y: ArrayLike) -> NDArray[Any]:
        """Score given targets: the lower, the more likely a target is wrong.

        The score is cleanlab's for regression, ``exp(-abs(residual))``, with residuals
        in units of their robust spread: the median absolute deviation of these rows,
        times 1.4826. Pass many rows at once; a single row has no spread.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The samples, from the training data or new.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their given targets.

        Returns
        -------
        quality : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            From 0, surely wrong, to 1, equal to the prediction. Three spreads away from
            the prediction it is 0.05.

        Raises
        ------
        ValueError
            If X or y cannot be used.

        Examples
        --------
        >>> from sklearn.datasets import make_regression
        >>> from sklearn_hessreg import HessianRegularizedMLPRegressor
        >>> X, y = make_regression(n_features=4, noise=1, random_state=0)
        >>> y = y / y.std()
        >>> y[7] += 2
        >>> reg = HessianRegularizedMLPRegressor(loss="huber", tol=0.01).fit(X, y)
        >>> print(reg.label_quality(X, y).argmin())
        7
        """
        check_is_fitted(self)
        X, y = self._check_data(X, y, continuing=True)
        return residual_quality(y, self.predict(X))

    def to_sklearn(self) -> MLPRegressor | VotingRegressor:
        """Convert to a scikit-learn estimator, which predicts without torch.

        MLPRegressor has neither ``loss="absolute_error"`` nor ``"huber"``. As
        predictions do not depend on the loss, networks trained with these are converted
        to ``loss="squared_error"``, which any further training would use.

        Returns
        -------
        reg : MLPRegressor or VotingRegressor
            A fitted estimator with the same predictions up to rounding: an MLPRegressor
            or, for several snapshots, a VotingRegressor of them.

        Raises
        ------
        ValueError
            If several snapshots predict several outputs, which VotingRegressor cannot,
            or if scikit-learn lacks the activation.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.datasets import make_regression
        >>> from sklearn_hessreg import HessianRegularizedMLPRegressor
        >>> X, y = make_regression(n_features=4, noise=1, random_state=0)
        >>> reg = HessianRegularizedMLPRegressor(tol=0.01).fit(X, y / y.std())
        >>> np.allclose(reg.to_sklearn().predict(X), reg.predict(X))
        True
        """
        check_is_fitted(self)
        networks = [self._to_mlp(snapshot) for snapshot in self.snapshots_]
        if len(networks) == 1:
            return networks[0]
        if self.n_outputs_ > 1:
            raise ValueError(
                f"{len(networks)} snapshots of {self.n_outputs_} outputs have no "
                "counterpart in scikit-learn, whose VotingRegressor knows one output. "
                "Train with n_snapshots=1, or take the networks from snapshots_."
            )
        return self._vote(VotingRegressor, networks)

    def _to_mlp(self, snapshot):
        """Convert one network to an MLPRegressor, with a loss that it has."""
        converted = self._to_sklearn(MLPRegressor, snapshot)
        loss = "poisson" if self.out_activation_ == "exp" else "squared_error"
        return converted.set_params(loss=loss)

    def _resolve(self, continuing):
        """Check the parameters; refuse a loss that changes what the outputs mean."""
        params = super()._resolve(continuing)
        loss = params["loss"]
        out_activation = _head(loss, params["delta"]).out_activation
        if continuing and out_activation != self.out_activation_:
            raise ValueError(
                f"loss cannot change to {loss!r} when training is continued: the "
                f"network's outputs go through {self.out_activation_!r}, not through "
                f"{out_activation!r}. Set it back, or call fit with warm_start=False."
            )
        by_hessian = params["k"] > 0 and params["importance"] == "hessian"
        if loss == "absolute_error" and by_hessian and not continuing:
            warn_at_caller(
                "loss='absolute_error' has no curvature in the outputs. The exact "
                "Hessian of the output layer is zero, and that of all layers between "
                "which activations are piecewise linear: all weights have the same "
                "score, and which of them are re-initialised is arbitrary. Use "
                "loss='huber', or importance='magnitude' or 'random'."
            )
        return params

    def _check_data(self, X, y, continuing):
        """Check the targets first, then X and y together."""
        return super()._check_data(X, check_targets(y), continuing)

    def _check_y(self, y, continuing):
        """Refuse a changed number of outputs, and targets the loss is not made for."""
        if continuing:
            check_same_width(y, self.n_outputs_)
        if self.loss == "poisson":
            check_counts(y)
        return y

    def _learn_targets(self, y, continuing):
        """Warn about targets far from the initial outputs; nothing is to be learnt."""
        if not continuing and self.solver != "lbfgs" and self.loss != "poisson":
            warn_if_badly_scaled(y)

    def _encode(self, y):
        """Leave the targets as they are."""
        return y

    def _check_rows(self, X, y, sample_weight, all_at_once=False):
        """Weight the rows and drop those of weight zero."""
        y = as_floats(y, X.dtype)
        X, y, *weights = drop_weightless(X, y, *self._row_weights(X, y, sample_weight))
        check_loss_is_finite(y, _head(self.loss, float(self.delta)).criterion)
        return X, y, *weights

    def _row_weights(self, X, y, sample_weight):
        """Return the row weights twice, as there are no class weights."""
        return check_weights(sample_weight, X)

    def _set_oob(self, X, y, kept):
        """Set the out-of-bag attributes."""
        predicted, is_predicted = self._predict_held_out(X, kept, "predictions")
        predicted = predicted.ravel() if predicted.shape[1] == 1 else predicted
        self.oob_prediction_ = predicted
        self.oob_score_ = r2_score(y[is_predicted], predicted[is_predicted])

    def _encode_validation(self, y, dtype, y_val):
        """Check the user's own validation targets against the training targets."""
        y_val = check_targets(y_val, "y_val")
        check_same_width(y_val, 1 if y.ndim == 1 else y.shape[1], "y_val")
        if self.loss == "poisson":
            check_counts(y_val, "y_val")
        return as_floats(y_val, dtype, "y_val")

    def _validation_data(self, validation, params, data, ranks):
        """Return validation data, a function that splits some off, or None."""
        valid = super()._validation_data(validation, params, data, ranks)
        by_r2 = params["early_stopping"] and params["scoring"] is None
        if callable(valid):
            return partial(_checked_split, valid, by_r2)
        if valid is not None:
            check_scored(valid[1], by_r2)
        return valid

    def _output(self, y):
        """Return the head and the number of outputs."""
        head = _head(self.loss, float(self.delta))
        return head, 1 if y.ndim == 1 else y.shape[1]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.positive_only = self.loss == "poisson"
        return tags


def _head(loss, delta):
    """Return the head for a loss."""
    return Exponential() if loss == "poisson" else Identity(loss, delta)


def _checked_split(split, by_r2, y, random_state):
    """Split the rows into folds that can be scored, or into one fold, checked."""
    train, folds = split(y, random_state)
    check_scored(y[folds[0]], by_r2)
    if by_r2 and any((y[fold] == y[fold[0]]).all() for fold in folds):
        folds = folds[:1]
    return train, folds
