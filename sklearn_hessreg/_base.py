"""Base class of the estimators: parameters, and the path from data to trained net."""

from contextlib import contextmanager, nullcontext
from copy import copy, deepcopy
from dataclasses import fields
from functools import partial
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import issparse
from sklearn import get_config
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import check_scoring
from sklearn.utils import check_random_state
from sklearn.utils.validation import _num_samples, check_is_fitted, validate_data
from skorch.utils import to_tensor

from sklearn_hessreg._compat import CallbackSupportMixin, warn_at_caller
from sklearn_hessreg._fitted import FittedNet
from sklearn_hessreg._hessian import hessian_scores
from sklearn_hessreg._prediction import predict, predict_held_out
from sklearn_hessreg._reinit import PARAMETER_CONSTRAINTS, take_weights
from sklearn_hessreg._state import FitCheckpoint
from sklearn_hessreg._training import (
    TRAINING_PARAMETERS,
    EstimatorCheckpoint,
    TrainingSpec,
    describe_fit,
    fit_task,
    gather_rows,
    learn_alike,
    share_generator,
    sharing_ranks,
    to_samples,
    train,
)
from sklearn_hessreg._typing import MatrixLike, fit_context
from sklearn_hessreg._validation import (
    accepted_dtypes,
    check_continuation,
    check_convertible,
    check_device,
    check_oob_score,
    check_random_state_repeats,
    check_sample_weight,
    check_takes_weight,
    check_validation_set,
    resolve_parameters,
    split_validation,
    stops_early,
    suggest_optimizer,
    warn_if_fraction,
    warn_if_not_stratified,
    warn_if_unscored,
    weights_differ,
)

_SPEC_FIELDS = {field.name for field in fields(TrainingSpec)}

# Fitted attributes that scikit-learn's MLPs have under the same names.
_SKLEARN_ATTRIBUTES = (
    *("classes_", "n_features_in_", "feature_names_in_"),
    *("n_layers_", "n_outputs_", "out_activation_", "n_iter_", "t_"),
    *("loss_", "loss_curve_", "best_loss_"),
    *("validation_scores_", "best_validation_score_"),
)


class BaseHessianRegularizedMLP(CallbackSupportMixin, FittedNet, BaseEstimator):
    """An MLP trained in torch; subclasses define what the targets mean."""

    _parameter_constraints: dict = {
        **PARAMETER_CONSTRAINTS,
        **{name: p.constraints for name, p in TRAINING_PARAMETERS.items()},
    }

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: MatrixLike,
        y: MatrixLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: MatrixLike | None = None,
        y_val: MatrixLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        """Train the network.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data. float32 and float64 are kept; any other dtype becomes
            float64.
        y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_outputs)
            A classifier's labels: numbers, strings or booleans. For several labels per
            sample, an indicator matrix of zeros and ones. In it every nonzero counts as
            one; two values of which neither is zero are refused. A regressor's targets:
            numbers, in a dense array; not negative for ``loss="poisson"``.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative sample weights, used in the loss and in its Hessian. A sample
            of weight zero counts as absent.
        X_val : {array-like, sparse matrix} of shape (n_val, n_features), default=None
            Validation data of your own. With ``early_stopping`` they replace the split;
            without it, their score is only recorded.
        y_val : {array-like, sparse matrix} of shape (n_val,) or (n_val, n_outputs), \
                default=None
            Labels or targets of ``X_val``.
        sample_weight_val : array-like of shape (n_val,), default=None
            Weights of ``X_val``.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter or an argument cannot be used, which is checked before
            training, or if the loss or a weight becomes NaN or infinite in training.
            The estimator is left as it was before the call.
        """
        validation = (X_val, y_val, sample_weight_val)
        return self._fit(X, y, sample_weight, validation, self._learn_targets)

    def hessian_scores(self, X, y, sample_weight=None, *, layers=None):
        """Score the weights by the exact Hessian of the loss on given data.

        The loss is the training loss with sample weights and without the penalty. Its
        Hessian is reduced to scores by the ``aggregation`` and ``curvature`` of the
        last call of ``fit`` or ``partial_fit``. See :func:`hessian_scores`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The samples.
        y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_outputs)
            Their targets, as in ``fit``.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative sample weights.
        layers : list of str, default=None
            Names of the layers; ``"layers.0"`` is the layer of ``coefs_[0]``. None
            scores all layers.

        Returns
        -------
        scores : dict of str to ndarray of shape (out, in)
            The scores of each named layer, in the layout of torch's weights, which is
            the transpose of ``coefs_``.

        Raises
        ------
        ValueError
            If a layer does not exist or the data cannot be used.
        """
        check_is_fitted(self)
        X, y = self._check_data(X, y, continuing=True)
        X, y, weight, _ = self._check_rows(X, self._encode(y), sample_weight)
        net = self.net_
        inputs, targets = to_samples(X, y, weight, net.spec.head)[:]
        names = [f"layers.{i}" for i in range(self.n_layers_ - 1)]
        scores = hessian_scores(
            net.module_,
            partial(net.get_loss, X=None),
            to_tensor(inputs, device=net.device),
            targets,
            layers=names if layers is None else layers,
            aggregation=net.spec.method["aggregation"],
            curvature=net.spec.method["curvature"],
            working_memory=get_config()["working_memory"],
            group=False,
        )
        return {name: S.cpu().numpy() for name, S in scores.items()}

    def _fit(self, X, y, sample_weight, validation, learn_targets, incremental=False):
        """Check everything, train a net and store it; after an error nothing changes.

        `learn_targets(y, continuing)` sets what is learnt from the targets alone.
        """
        name, epochs = ("partial_fit", 1) if incremental else ("fit", self.max_iter)
        task = nullcontext([])
        if hasattr(self, "_skl_callbacks"):
            # before the attributes are saved: tearing callbacks down on error needs it
            given = X, y, sample_weight, self._attributes_with
            task = fit_task(self, name, epochs, *given)
        with _unchanged_on_error(self), task as callbacks:
            continuing = hasattr(self, "net_") and (incremental or self.warm_start)
            params = self._resolve(continuing)
            if incremental:
                _check_partial_fit(params)
            ranks = sharing_ranks(params, getattr(X, "columns", ()))
            if ranks.size == 1:
                X, y = self._check_data(X, y, continuing)
                learn_targets(y, continuing)
            else:
                prepare = partial(self._check_shard, X, y, sample_weight, continuing)
                X, y, sample_weight = gather_rows(ranks, "checking the data", prepare)
                learn = partial(learn_targets, y, continuing)
                learn_alike(ranks, learn, lambda: getattr(self, "classes_", ()))
            data = self._check_rows(
                X, self._encode(y), sample_weight, all_at_once=not incremental
            )
            params["early_stopping"] = stops_early(
                params, len(data[1]), validation[0] is not None, incremental
            )
            check_oob_score(params, validation[0] is not None, incremental)
            valid = self._validation_data(validation, params, data, ranks)
            if not incremental:
                warn_if_unscored(params["scoring"], valid)
            spec, random_state = self._specify(params, data, incremental, ranks)
            previous = self.net_ if continuing else None
            scorer = self._scorer(params["scoring"], valid, data)
            checkpoint = self._checkpoint(params, spec, data, valid, previous)
            if checkpoint is not None:
                callbacks = [*callbacks, ("checkpoint", checkpoint)]
            self.net_ = train(
                spec, data, valid, random_state, previous, callbacks, scorer
            )
            self._update_oob(X, y, sample_weight, data[0])
            if not incremental:
                self._warn_if_not_converged()
        if checkpoint is not None and self._has_finished() and not checkpoint.keep:
            checkpoint.file_.remove()
        return self

    def _validate_params(self):
        suggest_optimizer(self.solver)
        super()._validate_params()

    def _resolve(self, continuing):
        """Check the parameters and return them as plain Python values."""
        params = resolve_parameters(
            self.get_params(deep=False),
            self._parameter_constraints,
            type(self).__name__,
        )
        if continuing:
            check_continuation(params, self.net_.spec)
        else:
            warn_if_fraction(params["k"])
        return params

    def _check_data(self, X, y, continuing):
        """Validate the data; X keeps float32 or float64, or gets the net's dtype."""
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse="csr",
            dtype=self._dtype() if continuing else accepted_dtypes(X),
            multi_output=True,
            reset=not continuing,
        )
        if not continuing:
            self._sparse_targets = issparse(y)
        return X, self._check_y(y, continuing)

    def _check_shard(self, X, y, sample_weight, continuing):
        """Validate this rank's data, which may have no rows."""
        if _num_samples(X) == _num_samples(y) == 0:
            dtype = self._dtype() if continuing else accepted_dtypes(X)
            check = {"accept_sparse": "csr", "dtype": dtype, "reset": not continuing}
            self._sparse_targets = issparse(y)
            X = validate_data(self, X, ensure_min_samples=0, **check)
            return X, np.empty(0), None
        X, y = self._check_data(X, y, continuing)
        return X, y, check_sample_weight(sample_weight, X)

    def _validation_data(self, validation, params, data, ranks):
        """Return validation data, a function that splits some off, or None."""
        if any(part is not None for part in validation):
            X, y = data[:2]
            shard = ranks.size > 1
            how = X.dtype, partial(self._encode_validation, y, X.dtype), shard
            check = partial(check_validation_set, self, *validation, *how)
            if not shard:
                return check()
            return gather_rows(ranks, "checking the validation data", check)
        if not params["early_stopping"]:
            return None
        classes = getattr(self, "classes_", None)  # a regressor has none
        how = {"fraction": params["validation_fraction"], "classes": classes}
        if self.early_stopping != "auto":
            warn_if_not_stratified(data[1], **how)
        return partial(split_validation, **how)

    def _scorer(self, scoring, valid, data):
        """Return a function that scores a net by the user's scorer, or None."""
        if scoring is None or scoring == "loss":
            return None
        scorer = check_scoring(self, scoring)
        if valid is not None:  # given, or to be split off from the rows
            weight = data[3] if callable(valid) else valid[2]
            check_takes_weight(scorer, scoring, weight)

        def score(net, X, y, weight):
            model = copy(self)
            model.net_ = net
            vars(model).pop("feature_names_in_", None)  # X is an array now
            weights = {"sample_weight": weight} if weights_differ(weight) else {}
            return scorer(model, X, model._decode(y), **weights)

        return score

    def _decode(self, y):
        """Undo `_encode`; by default there is nothing to undo."""
        return y

    def _weight_of_classes(self, y, sample_weight):
        """Return the class weights; a regressor has none."""
        return None

    def _specify(self, params, data, incremental, ranks):
        """Build the TrainingSpec and the RandomState."""
        random_state = _random_state(params["random_state"])
        share_generator(ranks, random_state)
        head, n_outputs = self._output(data[1])
        own = {
            "layer_units": (
                self.n_features_in_,
                *params["hidden_layer_sizes"],
                n_outputs,
            ),
            "dtype": data[0].dtype.name,
            "head": head,
            "device": str(check_device(params["device"])),
            # drawn from a copy, so that all other draws match scikit-learn's MLP
            "seed": int(deepcopy(random_state).randint(2**31 - 1)),
            "method": {name: params[name] for name in PARAMETER_CONSTRAINTS},
            "skorch_callbacks": tuple(_copies(params["skorch_callbacks"] or ())),
            "class_weight": self._weight_of_classes(data[1], data[3]),
            "keep_optimizer": incremental,
            "verbose": int(params["verbose"]),
        }
        if incremental:
            own["max_iter"] = 1
        shared = {name: params[name] for name in _SPEC_FIELDS - own.keys()}
        return TrainingSpec(**shared, **own), random_state

    def _checkpoint(self, params, spec, data, valid, previous):
        """Create the checkpoint callback, if enabled."""
        settings = params["checkpoint"]
        if settings is None:
            return None
        if not isinstance(settings, FitCheckpoint):
            settings = FitCheckpoint(settings)
        settings.check_params()
        check_random_state_repeats(params["random_state"])
        names = ("X", "y", "sample_weight", "X_val", "y_val", "sample_weight_val")
        # without class weights, which are among the parameters
        given = valid if isinstance(valid, tuple) else (None,) * 3
        arrays = dict(zip(names, (*data[:2], data[3], *given), strict=True))
        if previous is not None:
            weights = take_weights(previous.module_).items()
            arrays |= {f"{name} of the previous fit": W for name, W in weights}
        params = {**params, "device": spec.device}
        return EstimatorCheckpoint(settings, describe_fit(params, arrays))

    def _has_finished(self):
        """Return whether training ended without being interrupted."""
        return self.net_.stop_training_ or self.n_iter_ == self.net_.spec.max_iter

    def _warn_if_not_converged(self):
        """Warn if training hit a maximum or nothing was re-initialised."""
        net, n_iter = self.net_, self.n_iter_
        method, max_iter = net.method, net.spec.max_iter
        outcome = getattr(net.optimizer_, "outcome", None)  # of L-BFGS
        by_clock = method.k > 0 and method.reinit_every != "plateau"
        failed = net.spec.solver == "lbfgs" and net.optimizer_.has_failed
        if net.is_interrupted_ or (method.cycles_.kept and not failed):
            return  # an interruption has already been warned about
        if failed or (outcome is not None and outcome.status != 0 and not by_clock):
            message = (
                f"lbfgs failed to converge after {n_iter} iteration(s) "
                f"{_describe_outcome(outcome)}\n\nIncrease max_iter (now {max_iter}) "
                f"or max_fun (now {net.spec.max_fun}), or scale the features, for "
                "instance with StandardScaler."
            )
        elif not net.stop_training_ and n_iter == max_iter and not by_clock:
            idle = ", so no weight was re-initialised" if method.k > 0 else ""
            message = (
                f"Maximum iterations ({max_iter}) reached before training converged"
                f"{idle}: increase max_iter, or tol."
            )
        elif method.k > 0:
            message = (
                f"No weight was re-initialised, as training ended after {n_iter} "
                f"epochs: change reinit_every={method.reinit_every!r}, reinit_until="
                f"{method.reinit_until} or max_iter={max_iter}, or set k=0."
            )
        else:
            return
        warn_at_caller(message, ConvergenceWarning)

    def _predict(self, X, link):
        """Validate X and apply a method of the head to the network's outputs."""
        check_is_fitted(self)
        X = validate_data(
            self, X, accept_sparse="csr", dtype=self._dtype(), reset=False
        )
        return predict(self.net_, X, link)

    def _update_oob(self, X, y, sample_weight, X_kept):
        """Drop an earlier fit's out-of-bag attributes; set new ones, if enabled."""
        for name in ("oob_score_", "oob_decision_function_", "oob_prediction_"):
            vars(self).pop(name, None)
        if self.net_.spec.oob_score:
            weights, _ = self._row_weights(X, self._encode(y), sample_weight)
            self._set_oob(X_kept, y, weights > 0)

    def _predict_held_out(self, X, kept, link):
        """Predict the kept rows with the networks that held them out; NaN elsewhere."""
        found = predict_held_out(self.net_, X, link)
        missing = int(np.isnan(found).any(axis=1).sum())
        if missing:
            warn_at_caller(
                f"{missing} of {len(found)} rows were held out in no cycle and have no "
                "out-of-bag prediction. Increase n_snapshots, max_iter or "
                "validation_fraction."
            )
        predicted = np.full((len(kept), found.shape[1]), np.nan, found.dtype)
        predicted[kept] = found
        return predicted, ~np.isnan(predicted).any(axis=1)

    def _to_sklearn(self, kind, snapshot):
        """Convert a snapshot to a fitted scikit-learn MLP of class `kind`."""
        names = kind().get_params().keys()
        spec = self.net_.spec
        check_convertible(spec.activation)
        params = {name: getattr(spec, name) for name in names if hasattr(spec, name)}
        if not isinstance(spec.solver, str):
            del params["solver"]
        # scikit-learn's stops by accuracy or R² only
        params["early_stopping"] &= spec.scoring is None
        converted = kind(**params, random_state=self.random_state)
        for name in _SKLEARN_ATTRIBUTES:
            if hasattr(self, name):
                setattr(converted, name, getattr(self, name))
        if not params["early_stopping"]:
            converted.best_loss_ = min(self.loss_curve_)
        converted.coefs_, converted.intercepts_ = snapshot.coefs, snapshot.intercepts
        # where its partial_fit and its fit with warm_start begin
        converted._no_improvement_count = 0
        converted._best_coefs = [coef.copy() for coef in snapshot.coefs]
        converted._best_intercepts = [bias.copy() for bias in snapshot.intercepts]
        return converted

    def _vote(self, kind, networks, **options):
        """Combine networks in a fitted voting estimator of class `kind`."""
        named = {f"snapshot_{i}": mlp for i, mlp in enumerate(networks, start=1)}
        voting = kind(list(named.items()), **options)
        # a dict, because skops does not trust a Bunch here
        voting.estimators_, voting.named_estimators_ = networks, named
        if hasattr(self, "feature_names_in_"):
            voting.feature_names_in_ = self.feature_names_in_
        return voting

    def _attributes_with(self, net):
        """Return the fitted attributes as if training had ended with this net."""
        attributes = {name: v for name, v in vars(self).items() if name[-1] == "_"}
        return {**attributes, "net_": net}

    def _dtype(self):
        """Return the numpy dtype of the fitted weights."""
        return np.dtype(self.net_.spec.dtype)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


@contextmanager
def _unchanged_on_error(estimator):
    """Restore an estimator's attributes if fitting it fails."""
    attributes = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(attributes)
        raise


def is_stochastic(estimator):
    """Return True if the solver can train on part of the data; raise otherwise."""
    if estimator.solver == "lbfgs":
        raise AttributeError(
            "partial_fit is only available for stochastic optimizers. lbfgs is not "
            "stochastic. Use solver='adam' or 'sgd', or fit with warm_start=True."
        )
    return True


def _check_partial_fit(params):
    """Refuse settings that partial_fit, a single epoch on some data, cannot have."""
    for name, value in (("early_stopping", True), ("class_weight", "balanced")):
        if params.get(name) == value:
            raise ValueError(
                f"partial_fit does not support {name}={value!r}, which needs all "
                "data at once. Use fit, or another value."
            )
    if (checkpoint := params["checkpoint"]) is not None:
        raise ValueError(
            f"partial_fit writes no checkpoint, and checkpoint={checkpoint!r}. "
            "Set it to None and dump the estimator after a call, for instance with "
            "joblib: a dump goes on to the same bits."
        )


def _describe_outcome(outcome):
    """Describe how a run of L-BFGS ended, as MLPClassifier does."""
    if outcome is None or outcome.status == 0:
        return "(the loss overflowed, and the gradient is large)."
    return f"(status={outcome.status}):\n{outcome.message}"


def _random_state(random_state):
    """Return a RandomState; for None a new one, never numpy's global one."""
    if random_state is None:
        return np.random.RandomState()
    return check_random_state(random_state)


def _copies(callbacks):
    """Build new callbacks for one fit, so that the user's own stay unfitted."""
    for item in callbacks:
        if isinstance(item, tuple):
            yield (*item[:-1], _copy(item[-1]))
        else:
            yield _copy(item)


def _copy(callback):
    """Build a new callback from the same parameter objects.

    A deep copy of a live object, such as an Optuna trial, would silently swallow
    reports.
    """
    if isinstance(callback, type):
        return callback
    try:
        return type(callback)(**callback.get_params(deep=False))
    # a parameter is stored under another name: use the callback itself
    except (AttributeError, TypeError):
        return callback
