"""Validation of X, y, weights, parameters and the device."""

from difflib import get_close_matches
from inspect import Parameter, signature
from math import ceil
from numbers import Integral, Real

import numpy as np
import torch
from sklearn import get_config
from sklearn.metrics import get_scorer_names
from sklearn.model_selection import train_test_split
from sklearn.utils import check_consistent_length
from sklearn.utils._param_validation import (
    Interval,
    InvalidParameterError,
    validate_parameter_constraints,
)
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.validation import (
    _check_sample_weight,
    check_non_negative,
    validate_data,
)
from skorch.callbacks import BatchScoring, Callback, EpochScoring
from torch import optim

from sklearn_hessreg._compat import warn_at_caller

ENOUGH = 5  # validation samples needed for early stopping to be more than luck
SOLVERS = ("adam", "sgd", "lbfgs")
SKLEARN_ACTIVATIONS = {"identity", "logistic", "tanh", "relu"}


def resolve_parameters(params, constraints, caller):
    """Validate an estimator's parameters and return them as plain Python values.

    numpy scalars would otherwise reach torch's kernels, and unsigned ones have no
    negative. Where a real number is expected, integers become floats, because they can
    be too large.
    """
    if not get_config()["skip_parameter_validation"]:
        validate_parameter_constraints(constraints, params, caller)
    params = {
        name: _real(name, value) if _takes_reals(constraints[name]) else _plain(value)
        for name, value in params.items()
    }
    params["hidden_layer_sizes"] = _layer_sizes(params["hidden_layer_sizes"])
    _check_n(params["k"], params["n"], params["hidden_layer_sizes"])
    _check_solver(params["solver"], params["dropout"])
    _check_callbacks(params["skorch_callbacks"])
    _check_scorer_name(params["scoring"])
    _check_distributed(params)
    return params


def suggest_optimizer(solver):
    """Refuse the name of an optimizer that torch has as a class."""
    if not isinstance(solver, str) or solver in SOLVERS:
        return
    for name, kind in vars(optim).items():
        if _is_class(kind) and name.lower() == solver.lower():
            raise InvalidParameterError(
                f"solver={solver!r} is not among the names {SOLVERS}. Pass the class: "
                f"solver=torch.optim.{name}."
            )


def _is_class(kind):
    """Return whether something is an optimizer class."""
    return isinstance(kind, type) and issubclass(kind, optim.Optimizer)


def _plain(value):
    """Turn a numpy number or string into a Python one."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Real) and not isinstance(value, (bool, int, float)):
        value = int(value) if isinstance(value, Integral) else float(value)
    return value


def _takes_reals(constraints):
    """Return whether a parameter may be any real number in an interval."""
    return any(isinstance(c, Interval) and c.type is Real for c in constraints)


def _real(name, value):
    """Turn a number into a float."""
    try:
        return float(value) if isinstance(value, Real) else value
    except OverflowError as error:
        raise ValueError(f"{name} is too large for a float. Choose less.") from error


def _layer_sizes(sizes):
    """Turn hidden_layer_sizes into a tuple of Python integers."""
    sizes = list(sizes) if np.iterable(sizes) else [sizes]
    if not all(
        isinstance(size, Integral) and not isinstance(size, bool) and size > 0
        for size in sizes
    ):
        raise ValueError(
            f"hidden_layer_sizes must be integers > 0, got {sizes}. Name the number of "
            "units of each hidden layer."
        )
    return tuple(int(size) for size in sizes)


def _check_n(k, n, sizes):
    """Refuse more layers than there are, if any are re-initialised."""
    n_weights = len(sizes) + 1
    if k > 0 and n is not None and n > n_weights:
        raise ValueError(
            f"n={n} is larger than the number of weight layers, {n_weights} with "
            f"hidden_layer_sizes={sizes}. Choose n from 1 to {n_weights}, None "
            "for all of them, or more hidden layers."
        )


def _check_solver(solver, dropout):
    """Refuse callables that are not optimizers, and dropout with L-BFGS."""
    if solver == "lbfgs" and dropout > 0:
        raise ValueError(
            f"dropout={dropout:g} makes the loss random, which solver='lbfgs' cannot "
            "minimise. Use dropout=0, or solver='adam' or 'sgd'."
        )
    if not isinstance(solver, str) and not _is_class(solver):
        raise ValueError(
            f"solver={solver!r} is not allowed. Use 'adam', 'sgd', 'lbfgs' or a "
            "subclass of torch.optim.Optimizer."
        )


def _check_callbacks(callbacks):
    """Refuse callbacks that would fail deep inside skorch."""
    for callback in callbacks or []:
        part = callback[-1] if isinstance(callback, tuple) and callback else callback
        kind = part if isinstance(part, type) else type(part)
        if issubclass(kind, (EpochScoring, BatchScoring)):
            raise ValueError(
                f"skorch_callbacks has {callback!r}, but skorch's {kind.__name__} does "
                "not know the weights that stand beside the targets of a batch. Use "
                "scikit-learn's ScoringMonitor in set_callbacks, or let a callback "
                "monitor 'train_loss', 'valid_loss' or 'valid_acc' (of a regressor "
                "'valid_r2')."
            )
        if not issubclass(kind, Callback):
            raise ValueError(
                f"skorch_callbacks has {callback!r}, which is no skorch callback. Use "
                "instances or classes of skorch.callbacks.Callback, or tuples of a "
                "name and such a callback."
            )


def _check_distributed(params):
    """Refuse settings that do not work when rows are spread over processes."""
    if not params["distributed"]:
        return
    own_scorer = params["scoring"] not in (None, "loss")
    for name, is_refused, way in (
        ("solver", params["solver"] == "lbfgs", "Use 'adam', 'sgd' or torch's."),
        ("scoring", own_scorer, "No process has all rows: use None or 'loss'."),
        ("checkpoint", params["checkpoint"] is not None, "Set it to None."),
        ("oob_score", params["oob_score"], "Set it to False."),
    ):
        if is_refused:
            raise ValueError(
                f"{name}={params[name]!r} cannot be used with distributed=True. {way}"
            )


def check_random_state_repeats(random_state):
    """Refuse a checkpoint with a random_state that each call of fit advances."""
    if random_state is not None and not isinstance(random_state, Integral):
        raise ValueError(
            f"checkpoint cannot be used with random_state={random_state!r}, from which "
            "each call of fit draws other numbers: fit called again would be another "
            "fit. Use an integer, or None with the name of a file."
        )


def check_continuation(params, spec):
    """Refuse to continue training with parameters the net was not built with."""
    for name in ("hidden_layer_sizes", "activation"):
        value = getattr(spec, name)
        if params[name] != value:
            raise ValueError(
                f"{name} cannot change from {value!r} to {params[name]!r} when "
                "training is continued. Set it back, or call fit with "
                "warm_start=False."
            )


def check_convertible(activation):
    """Refuse to convert a network that scikit-learn cannot compute."""
    if activation not in SKLEARN_ACTIVATIONS:
        raise ValueError(
            f"activation={activation!r} has no counterpart in scikit-learn, nor then "
            f"in ONNX by way of it. Train with one of {sorted(SKLEARN_ACTIVATIONS)}, "
            "or deploy the estimator itself by skops, pickle or joblib."
        )


def _check_scorer_name(scoring):
    """Refuse an unknown scorer name, and suggest the closest ones."""
    names = [*get_scorer_names(), "loss"]
    if isinstance(scoring, str) and scoring not in names:
        likely = get_close_matches(scoring, names) or ["loss"]
        raise ValueError(
            f"scoring={scoring!r} is no scorer's name. Did you mean "
            f"{' or '.join(map(repr, likely))}? sklearn.metrics.get_scorer_names() "
            "lists all; a callable scorer(estimator, X, y) or None is taken too."
        )


def warn_if_unscored(scoring, valid):
    """Warn if a scorer is given but there are no validation data."""
    if valid is None and scoring not in (None, "loss"):
        warn_at_caller(
            f"scoring={scoring!r} is not used, as there are no validation data. Set "
            "early_stopping=True, or pass X_val and y_val to fit."
        )


def warn_if_fraction(k):
    """Warn if k is probably meant as a fraction."""
    if 0 < k < 1:
        warn_at_caller(
            f"k={k:g} re-initialises {k:g} percent of the weights. If a fraction was "
            f"meant, set k={100 * k:g}."
        )


def check_device(device):
    """Try the device and return it; "auto" is CUDA if available."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        probe = torch.zeros((), device=device)
        probe.item()
        return probe.device
    # a missing device raises any of these, an unknown name the first; torch's own
    # message is its dispatcher's table, or a list of internal names
    except (RuntimeError, AssertionError, ImportError) as error:
        raise ValueError(
            f"device={str(device)!r} cannot be used here, where there is "
            f"{' and '.join(map(repr, _devices()))}; 'auto' takes CUDA where there is "
            "one."
        ) from error


def _devices():
    """List the available devices by name."""
    count = torch.accelerator.device_count()
    kind = torch.accelerator.current_accelerator() if count else None
    return ["cpu", *(f"{kind}:{number}" for number in range(count))]


def accepted_dtypes(X):
    """Return the dtypes X may keep; any other dtype becomes the first of them.

    scikit-learn's validation only looks at numpy dtypes. It would turn float32 into
    float64 in columns of Arrow, polars and pandas' own dtypes, and in torch tensors.
    """
    return np.float32 if _held_dtype(X) == np.float32 else (np.float64, np.float32)


def _held_dtype(X):
    """Return the dtype X has as an array, or None if that is unknown."""
    if not hasattr(X, "__array__"):
        return None
    try:
        if hasattr(X, "iloc"):  # pandas turns Arrow columns into objects
            return np.result_type(*map(_of_numpy, X.dtypes))
        return np.asarray(X[:0]).dtype
    # X is of an unknown kind, and its validation says what is wrong with it
    except (TypeError, ValueError, IndexError, RuntimeError):
        return None


def _of_numpy(dtype):
    """Return the numpy dtype behind one of pandas' own."""
    return getattr(dtype, "numpy_dtype", getattr(dtype, "subtype", dtype))


def check_sample_weight(sample_weight, X):
    """Return a rank's sample weights as an array, or None; all may be zero.

    Their values are checked once those of all ranks have been gathered.
    """
    if sample_weight is None:
        return None
    weight = np.asarray(sample_weight, np.float64)
    if weight.ndim == 0:
        weight = np.full(X.shape[0], weight)
    check_consistent_length(weight, X)
    return weight


def weights_differ(weight):
    """Return whether there are sample weights that are not all the same."""
    return weight is not None and bool((weight != weight[0]).any())


def check_takes_weight(scorer, scoring, weight):
    """Refuse a scorer without a sample_weight parameter if the weights differ."""
    if not weights_differ(weight):
        return
    takes = signature(getattr(scorer, "_score_func", scorer)).parameters
    if "sample_weight" in takes or any(
        parameter.kind is Parameter.VAR_KEYWORD for parameter in takes.values()
    ):
        return
    raise ValueError(
        f"scoring={scoring!r} takes no sample_weight, but the validation samples have "
        "weights that differ. Use a scorer with a parameter sample_weight, pass X_val "
        "and y_val without weights, or set scoring='loss'."
    )


def check_weights(sample_weight, X, class_weight=None, y=None, classes=None):
    """Return the sample weights with and without class weights, in X's dtype."""
    # in float64: a positive weight may round to zero in X's dtype
    samples = _check_sample_weight(sample_weight, X, dtype=np.float64)
    check_non_negative(samples, "sample_weight")
    if class_weight is not None and y.ndim == 2:
        raise ValueError(
            f"class_weight={class_weight!r} has no meaning for multilabel targets, "
            "where a sample is of several classes. Use class_weight=None and weight "
            "the samples by sample_weight."
        )
    rows, what = samples, "sample weights"
    if class_weight is not None:
        what += " (times class weights)"
        by_class = weight_by_class(class_weight, y, samples, classes)
        check_non_negative(by_class, "class_weight")
        rows = samples * by_class[y]
    with np.errstate(over="ignore"):
        rows, samples = rows.astype(X.dtype), samples.astype(X.dtype)
        total = rows.sum()
    if not np.isfinite(total):
        raise ValueError(
            f"The sum of the {what} is {total} in {X.dtype}, the dtype of X; it must "
            "be finite. Scale the weights down."
        )
    if not rows.any():
        raise ValueError(
            f"All {what} are zero in {X.dtype}, the dtype of X. Give at least one "
            "sample a positive weight."
        )
    return rows, samples


def weight_by_class(class_weight, y, weight, classes):
    """Compute the class weights; "balanced" counts only classes with any weight."""
    if class_weight != "balanced":
        return compute_class_weight(class_weight, classes=classes, y=classes[y])
    there = weight > 0
    shown = np.unique(y[there])
    by_class = np.ones(len(classes))
    by_class[shown] = compute_class_weight(
        "balanced",
        classes=classes[shown],
        y=classes[y[there]],
        sample_weight=weight[there],
    )
    return by_class


def drop_weightless(X, y, weight, *others):
    """Remove rows of weight zero, so that they have no influence at all."""
    kept = weight > 0
    if kept.all():
        return X, y, weight, *others
    return tuple(rows[kept] for rows in (X, y, weight, *others))


def stops_early(params, n_samples, has_validation_set, incremental):
    """Resolve `early_stopping` to a bool; "auto" needs k > 0, fit and enough rows."""
    if params["solver"] == "lbfgs":  # MLPClassifier has no early stopping there either
        return False
    if params["early_stopping"] != "auto":
        return bool(params["early_stopping"])
    enough = params["validation_fraction"] * n_samples >= ENOUGH
    return params["k"] > 0 and not incremental and (enough or has_validation_set)


def check_oob_score(params, has_validation_set, incremental):
    """Refuse `oob_score` if no training rows are held out."""
    if not params["oob_score"]:
        return
    if incremental:
        reason = "partial_fit holds out no rows. Use fit"
    elif has_validation_set:
        reason = "with X_val no rows are held out. Leave X_val and y_val out"
    elif params["solver"] == "lbfgs":
        reason = "solver='lbfgs' holds out no rows. Use 'adam' or 'sgd'"
    elif not params["early_stopping"]:
        reason = (
            'without early_stopping no rows are held out ("auto" is off with k=0 and '
            f"for less than {ENOUGH} validation rows). Set early_stopping=True"
        )
    else:
        return
    raise ValueError(f"oob_score=True, but {reason}, or set oob_score=False.")


def split_validation(y, random_state, *, fraction, classes):
    """Split the rows into folds, stratified if classes and rows allow it.

    The first fold is MLPClassifier's validation set. The remaining rows are divided
    into folds of about the same size; if a class has too few rows for all of these,
    there is only the first fold. Without `classes` the targets are numbers.
    Returns the indices of the rows outside the first fold, and the folds.
    """
    strata, _ = _strata(y, fraction, classes)
    try:
        train, valid = train_test_split(
            np.arange(len(y)),
            test_size=fraction,
            random_state=random_state,
            stratify=strata,
        )
    except ValueError as error:
        raise ValueError(
            f"No split with validation_fraction={fraction} is possible: "
            f"{error} Pass X_val and y_val, or set early_stopping=False."
        ) from error
    if len(valid) < 2:
        raise ValueError(
            f"The validation set is too small: validation_fraction={fraction} leaves "
            f"{len(valid)} samples for it, at least 2 are needed. Increase "
            "validation_fraction, or pass X_val and y_val."
        )
    n_folds = min(max(1, round(len(train) / len(valid))), len(train) // 2)
    rest = train
    if strata is not None:
        rest = train[np.argsort(y[train], kind="stable")]  # at random within a class
        if np.unique(y[train], return_counts=True)[1].min() < n_folds:
            n_folds = 0  # some folds would lack a class, which scorers need
    return train, [valid, *(rest[i::n_folds] for i in range(n_folds))]


def warn_if_not_stratified(y, fraction, classes):
    """Warn if split_validation cannot put every class on both sides."""
    _, obstacle = _strata(y, fraction, classes)
    refused = ceil(fraction * len(y)) < 2  # then split_validation raises
    if obstacle is not None and not refused:
        warn_at_caller(
            f"The validation split is not stratified: {obstacle}. Pass X_val and "
            "y_val to choose the validation data yourself."
        )


def _strata(y, fraction, classes):
    """Return what to stratify a split by and what prevents it; either may be None."""
    if classes is None or y.ndim > 1:
        return None, None
    shown, counts = np.unique(y, return_counts=True)
    single = classes[shown[counts == 1]]
    if len(single):
        more = f" and {len(single) - 10} more" if len(single) > 10 else ""
        return None, f"the classes {single[:10].tolist()}{more} have one sample each"
    n_valid = ceil(fraction * len(y))
    if min(n_valid, len(y) - n_valid) < len(shown):
        return None, (
            f"validation_fraction={fraction} of {len(y)} samples leaves {n_valid} for "
            f"{len(shown)} classes"
        )
    return y, None


def check_validation_set(
    estimator, X_val, y_val, sample_weight_val, dtype, encode, shard
):
    """Validate the user's own validation set; `encode` checks the targets.

    With `shard` it is one rank's part, which may have no rows or only weightless ones.
    """
    if X_val is None or y_val is None:
        raise ValueError(
            f"X_val is {_given_or_missing(X_val)}, y_val is "
            f"{_given_or_missing(y_val)}, sample_weight_val is "
            f"{_given_or_missing(sample_weight_val)}. Pass X_val and y_val together, "
            "with or without weights, or none of the three."
        )
    try:
        X_val = validate_data(
            estimator,
            X_val,
            accept_sparse="csr",
            dtype=dtype,
            reset=False,
            ensure_min_samples=0 if shard else 1,
        )
    except ValueError as error:
        raise ValueError(f"X_val cannot be used for validation: {error}") from error
    check_consistent_length(X_val, y_val)
    if shard and not np.any(1 if sample_weight_val is None else sample_weight_val):
        X_val = X_val[:0]
    if X_val.shape[0] == 0:
        return X_val, np.empty(0), np.empty(0)
    y_val = encode(y_val)
    weight, _ = check_weights(sample_weight_val, X_val)
    return drop_weightless(X_val, y_val, weight)


def _given_or_missing(value):
    """Say whether an argument was given or is missing."""
    return "missing" if value is None else "given"
