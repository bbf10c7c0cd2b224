"""Labels, weights and validation set: from what the user gives to checked arrays."""

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.utils import check_consistent_length
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.validation import (
    _check_sample_weight,
    check_non_negative,
    column_or_1d,
    validate_data,
)


def check_classes(labels):
    """Return the sorted classes, of which there must be two."""
    classes = np.unique(labels)
    if len(classes) < 2:
        raise ValueError(
            f"The labels have only one class, {classes.tolist()}; a classifier needs "
            "at least 2 classes. Add samples of another class, or name all classes in "
            "partial_fit(..., classes=...)."
        )
    return classes


def encode(labels, classes, name="y"):
    """Turn labels into indices of the sorted classes."""
    labels = column_or_1d(labels)
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
    if class_weight is not None:
        weight *= compute_class_weight(
            class_weight, classes=classes, y=classes[y], sample_weight=weight
        )[y]
        check_non_negative(weight, "class_weight")
    if not weight.any():
        raise ValueError(
            "All sample weights (times class weights) are zero. Give at least one "
            "sample a positive weight."
        )
    return weight


def drop_weightless(X, y, weight):
    """Remove the rows of weight zero, so that they have no influence at all."""
    kept = weight > 0
    if kept.all():
        return X, y, weight
    return X[kept], y[kept], weight[kept]


def split_validation(X, y, weight, fraction, random_state):
    """Set a stratified part aside for validation."""
    parts = train_test_split(
        X, y, weight, test_size=fraction, random_state=random_state, stratify=y
    )
    train, valid = parts[::2], parts[1::2]
    if len(valid[1]) < 2:
        raise ValueError(
            f"validation_fraction={fraction} leaves {len(valid[1])} samples for "
            "validation, at least 2 are needed. Increase validation_fraction or pass "
            "X_val and y_val."
        )
    return train, valid


def check_validation_set(estimator, X_val, y_val, sample_weight_val, dtype):
    """Validate the caller's own validation set against the training data."""
    if X_val is None or y_val is None:
        raise ValueError(
            f"X_val is {_given(X_val)} but y_val is {_given(y_val)} and "
            f"sample_weight_val is {_given(sample_weight_val)}. Pass X_val and y_val "
            "together, or none of the three."
        )
    try:
        X_val = validate_data(
            estimator, X_val, accept_sparse="csr", dtype=dtype, reset=False
        )
    except ValueError as error:
        raise ValueError(f"X_val cannot be used for validation: {error}") from error
    y_val = encode(y_val, estimator.classes_, name="y_val")
    check_consistent_length(X_val, y_val)
    weight = check_weights(sample_weight_val, None, X_val, y_val, estimator.classes_)
    return X_val, y_val, weight


def _given(value):
    """Say whether an argument was passed."""
    return "missing" if value is None else "given"
