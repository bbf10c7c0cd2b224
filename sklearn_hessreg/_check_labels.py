"""Labels: from user input to indices of the sorted classes."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_array, column_or_1d

# by dtype kind; labels are only compared within one of these
_KINDS = {
    **dict.fromkeys("biuf", "numbers"),
    **dict.fromkeys("OUT", "strings"),
    "M": "dates",
    "m": "durations",
}


def check_labels(y, name="y"):
    """Return y as a vector of labels of one kind, or an integer indicator matrix."""
    try:
        check_classification_targets(y)
        multilabel = type_of_target(y) == "multilabel-indicator"
    except TypeError as error:
        kinds = sorted({type(label).__name__ for label in np.ravel(y)})
        what = f"mix values of the types {kinds}, which have no order"
        if len(kinds) == 1:
            what = f"are of the type {kinds[0]}, which is not supported"
        raise ValueError(
            f"The labels in {name} {what}. Use labels of one kind: numbers, strings or "
            "booleans (numpy.char.decode makes strings of bytes)."
        ) from error
    if multilabel:
        return _indicators(y.toarray() if issparse(y) else y, name)
    if y.ndim == 2 and y.shape[1] > 1:
        raise ValueError(
            f"{name} has shape {y.shape} and other values than 0 and 1: multioutput "
            "targets are not supported. Use labels of shape (n_samples,), an indicator "
            "matrix of zeros and ones (multilabel), or one classifier for each column, "
            "for instance with MultiOutputClassifier."
        )
    return column_or_1d(y, warn=True)


def _indicators(y, name):
    """Turn nonzeros into ones, as MLPClassifier does; refuse two nonzero values."""
    values = np.unique(y)
    if len(values) == 2 and values.all():
        raise ValueError(
            f"{name} has several columns with the values {values.tolist()} and no "
            "zero: as an indicator matrix, in which every nonzero is a one, it would "
            "give every sample every label. Use zeros and ones, such as "
            f"{name} == {values[1]}."
        )
    return (y != 0).astype(int)


def check_same_kind(y, multilabel, name="y"):
    """Refuse multilabel targets for a single-label classifier, and vice versa."""
    if (y.ndim == 2) != multilabel:
        kinds = ["a vector of labels", "an indicator matrix (multilabel)"]
        raise ValueError(
            f"{name} is {kinds[y.ndim == 2]}, but the classifier is trained on "
            f"{kinds[multilabel]}. Use targets of one kind, or begin anew."
        )


def check_classes(labels):
    """Return the sorted classes, at least two; for a matrix, its column numbers."""
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


def check_given_classes(classes):
    """Check the classes passed to partial_fit and return them sorted."""
    allowed = (
        "a 1-d array-like of at least two labels, or numpy.arange(n_labels) for an "
        "indicator matrix"
    )
    is_array_like = hasattr(classes, "__array__") or isinstance(classes, Sequence)
    if not is_array_like or isinstance(classes, (str, bytes)):
        raise ValueError(f"classes={classes!r} is not allowed. Pass {allowed}.")
    try:
        labels = check_array(
            classes, ensure_2d=False, allow_nd=True, dtype=None, input_name="classes"
        )
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"classes={classes!r} cannot be used: {error} Pass {allowed}."
        ) from error
    if labels.shape != (len(labels), *[1] * (labels.ndim == 2)):
        raise ValueError(
            f"classes={classes!r} has the shape {labels.shape}. Pass {allowed}."
        )
    return check_classes(check_labels(labels.ravel(), "classes"))


def same_classes(classes, others):
    """Return whether sorted classes are the same, never comparing across kinds."""
    return _kind(classes) == _kind(others) and np.array_equal(classes, others)


def encode(labels, classes, name="y"):
    """Turn labels into indices of the sorted classes; leave a matrix as it is."""
    if labels.ndim == 2:
        if not same_classes(classes, np.arange(labels.shape[1])):
            raise ValueError(
                f"{name} has {labels.shape[1]} columns, but the classes are "
                f"{classes.tolist()}. An indicator matrix has one column "
                "for each label, and numpy.arange(n_labels) for its classes."
            )
        return labels
    if _kind(labels) != _kind(classes):
        raise ValueError(
            f"{name} has {_kind(labels)}, such as {labels[:1].tolist()}, but the known "
            f"classes are {_kind(classes)}, such as {classes[:1].tolist()}. Use labels "
            "of one kind."
        )
    with np.errstate(invalid="ignore"):  # values that do not fit come out different
        alike = labels.astype(classes.dtype)
    known = np.isin(alike, classes) & (alike == labels)
    if not known.all():
        raise ValueError(
            f"{name} has classes {np.unique(labels[~known]).tolist()} that are not "
            f"among the known classes {classes.tolist()}. Remove them, or begin anew "
            "with all classes."
        )
    return np.searchsorted(classes, alike)


def encode_validation(y_val, classes, multilabel):
    """Check the labels of the user's own validation data and encode them."""
    y_val = check_array(
        y_val, accept_sparse="csr", ensure_2d=False, dtype=None, input_name="y_val"
    )
    y_val = check_labels(y_val, "y_val")
    check_same_kind(y_val, multilabel, "y_val")
    return encode(y_val, classes, "y_val")


def _kind(labels):
    """Return the kind of the labels."""
    return _KINDS.get(labels.dtype.kind, str(labels.dtype))
