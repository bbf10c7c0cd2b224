"""X, y, weights, parameters, device: from what the user gives to what is checked."""

from numbers import Integral

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.model_selection import train_test_split
from sklearn.utils import check_consistent_length
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import (
    _check_sample_weight,
    check_array,
    check_non_negative,
    column_or_1d,
    validate_data,
)
from skorch.callbacks import Callback


def check_parameters(estimator):
    """Refuse what constraints on single parameters cannot see."""
    sizes = hidden_units(estimator)
    if not all(
        isinstance(size, Integral) and not isinstance(size, bool) and size > 0
        for size in sizes
    ):
        raise ValueError(
            f"hidden_layer_sizes must be integers > 0, got {sizes}. Name the number of "
            "units of each hidden layer."
        )
    n_weights = len(sizes) + 1
    if estimator.n > n_weights:
        raise ValueError(
            f"n={estimator.n} is larger than the number of weight layers, {n_weights} "
            f"with hidden_layer_sizes={estimator.hidden_layer_sizes}. Choose n from 1 "
            f"to {n_weights}, or more hidden layers."
        )
    solver = estimator.solver
    is_optimizer = isinstance(solver, type) and issubclass(
        solver, torch.optim.Optimizer
    )
    if not isinstance(solver, str) and not is_optimizer:
        raise ValueError(
            f"solver={solver!r} is not allowed. Use 'adam', 'sgd' or a subclass of "
            "torch.optim.Optimizer."
        )
    for callback in estimator.skorch_callbacks or []:
        part = callback[-1] if isinstance(callback, tuple) else callback
        if not isinstance(part, Callback) and not (
            isinstance(part, type) and issubclass(part, Callback)
        ):
            raise ValueError(
                f"skorch_callbacks has {callback!r}, which is no skorch callback. Use "
                "instances or classes of skorch.callbacks.Callback, or tuples of a "
                "name and such a callback."
            )


def check_same_layers(estimator):
    """Refuse to continue the training of a net of other layer sizes."""
    trained = [layer.out_features for layer in estimator.net_.module_.layers[:-1]]
    if trained != hidden_units(estimator):
        raise ValueError(
            f"hidden_layer_sizes cannot change from {tuple(trained)} to "
            f"{tuple(hidden_units(estimator))} when training is continued. Set it "
            "back, or call fit with warm_start=False."
        )


def hidden_units(estimator):
    """List the sizes of the hidden layers."""
    sizes = estimator.hidden_layer_sizes
    return list(sizes) if np.iterable(sizes) else [sizes]


def check_device(device):
    """Return the torch device, after a try; "auto" is CUDA where there is one."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        probe = torch.zeros((), device=device)
        probe.item()
        return probe.device
    # a device that is not there raises one or the other, an unknown name the first
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device={device!r} cannot be used here: {error} Use 'cpu', or 'auto' for "
            "CUDA where there is one."
        ) from error


def check_labels(y):
    """Return y as a vector of labels of one kind, or as an indicator matrix of ints."""
    try:
        check_classification_targets(y)
        multilabel = type_of_target(y) == "multilabel-indicator"
    except TypeError as error:
        kinds = sorted({type(label).__name__ for label in np.ravel(y)})
        what = f"mix values of the types {kinds}, which have no order"
        if len(kinds) == 1:
            what = f"are of the type {kinds[0]}, which is not supported"
        raise ValueError(
            f"The labels {what}. Use labels of one kind: numbers, strings or booleans "
            "(numpy.char.decode makes strings of bytes)."
        ) from error
    if multilabel:
        return (y.toarray() if issparse(y) else y).astype(int)
    if y.ndim == 2 and y.shape[1] > 1:
        raise ValueError(
            f"y has shape {y.shape} and other values than 0 and 1: multioutput targets "
            "are not supported. Use labels of shape (n_samples,), an indicator matrix "
            "of zeros and ones (multilabel), or one classifier for each column, for "
            "instance with MultiOutputClassifier."
        )
    return column_or_1d(y, warn=True)


def check_same_kind(y, multilabel, name="y"):
    """Refuse multilabel targets beside labels of one class each, and the reverse."""
    if (y.ndim == 2) != multilabel:
        kinds = ["a vector of labels", "an indicator matrix (multilabel)"]
        raise ValueError(
            f"{name} is {kinds[y.ndim == 2]}, but the classifier is trained on "
            f"{kinds[multilabel]}. Use targets of one kind, or begin anew."
        )


def check_classes(labels):
    """Return the sorted classes, of which there must be two; a matrix's columns."""
    if labels.ndim == 2:
        return np.arange(labels.shape[1])
    classes = np.unique(labels)
    if len(classes) < 2:
        raise ValueError(
            f"The labels have only one class, {classes.tolist()}; a classifier needs "
            "at least 2 classes. Add samples of another class, or name all classes in "
            "partial_fit(..., classes=...)."
        )
    return classes


def encode(labels, classes, name="y"):
    """Turn labels into indices of the sorted classes; a matrix has one for each."""
    if labels.ndim == 2:
        if not np.array_equal(classes, np.arange(labels.shape[1])):
            raise ValueError(
                f"{name} has {labels.shape[1]} columns, but the classes are "
                f"{np.asarray(classes).tolist()}. An indicator matrix has one column "
                "for each label, and numpy.arange(n_labels) for its classes."
            )
        return labels
    known = np.isin(labels, classes)
    if not known.all():
        raise ValueError(
            f"{name} has classes {np.unique(labels[~known]).tolist()} that are not "
            f"among the known classes {classes.tolist()}. Remove them, or begin anew "
            "with all classes."
        )
    return np.searchsorted(classes, labels)


def check_weights(sample_weight, class_weight, X, y, classes):
    """Multiply sample and class weights; None and None give ones."""
    weight = _check_sample_weight(sample_weight, X, dtype=X.dtype, copy=True)
    check_non_negative(weight, "sample_weight")
    if class_weight is not None and y.ndim == 2:
        raise ValueError(
            f"class_weight={class_weight!r} has no meaning for multilabel targets, "
            "where a sample is of several classes. Use class_weight=None and weight "
            "the samples by sample_weight."
        )
    if class_weight is not None:
        by_class = _weight_by_class(class_weight, y, weight, classes)
        check_non_negative(by_class, "class_weight")
        weight *= by_class[y]
    with np.errstate(over="ignore"):
        total = weight.sum()
    if not np.isfinite(total):
        raise ValueError(
            f"The sum of the sample weights (times class weights) is {total}, it must "
            "be finite. Scale the weights down."
        )
    if not weight.any():
        raise ValueError(
            "All sample weights (times class weights) are zero. Give at least one "
            "sample a positive weight."
        )
    return weight


def _weight_by_class(class_weight, y, weight, classes):
    """Compute the weight of each class; balanced are those that have weight at all."""
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


def drop_weightless(X, y, weight):
    """Remove the rows of weight zero, so that they have no influence at all."""
    kept = weight > 0
    if kept.all():
        return X, y, weight
    return X[kept], y[kept], weight[kept]


def split_validation(X, y, weight, fraction, random_state):
    """Set a part aside for validation; stratified, but for multilabel targets."""
    try:
        parts = train_test_split(
            *(X, y, weight),
            test_size=fraction,
            random_state=random_state,
            stratify=y if y.ndim == 1 else None,
        )
    except ValueError as error:
        raise ValueError(
            f"No split with validation_fraction={fraction} is possible: "
            f"{error} Pass X_val and y_val, or set early_stopping=False."
        ) from error
    train, valid = parts[::2], parts[1::2]
    if len(valid[1]) < 2:
        raise ValueError(
            f"validation_fraction={fraction} leaves {len(valid[1])} samples for "
            "validation, at least 2 are needed. Increase validation_fraction or pass "
            "X_val and y_val."
        )
    return train, valid


def check_validation_set(estimator, X_val, y_val, sample_weight_val, dtype, multilabel):
    """Validate the caller's own validation set against the training data."""
    if X_val is None or y_val is None:
        raise ValueError(
            f"X_val is {_given(X_val)}, y_val is {_given(y_val)}, sample_weight_val is "
            f"{_given(sample_weight_val)}. Pass X_val and y_val together, with or "
            "without weights, or none of the three."
        )
    try:
        X_val = validate_data(
            estimator, X_val, accept_sparse="csr", dtype=dtype, reset=False
        )
    except ValueError as error:
        raise ValueError(f"X_val cannot be used for validation: {error}") from error
    y_val = check_labels(
        check_array(
            y_val, accept_sparse="csr", ensure_2d=False, dtype=None, input_name="y_val"
        )
    )
    check_same_kind(y_val, multilabel, "y_val")
    y_val = encode(y_val, estimator.classes_, name="y_val")
    check_consistent_length(X_val, y_val)
    weight = check_weights(sample_weight_val, None, X_val, y_val, estimator.classes_)
    return drop_weightless(X_val, y_val, weight)


def _given(value):
    """Say whether an argument was passed."""
    return "missing" if value is None else "given"
