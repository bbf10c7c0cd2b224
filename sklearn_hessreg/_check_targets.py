"""Regression targets: from user input to a vector or matrix of finite numbers."""

from numbers import Real

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.utils.validation import check_array, column_or_1d

from sklearn_hessreg._compat import warn_at_caller

_SCALE = "Scale them, for instance by TransformedTargetRegressor, or pass X as float64."
_SHAPES = "(n_samples,), or (n_samples, n_outputs) for several outputs"


def check_targets(y, name="y"):
    """Return y as a vector of numbers, or as a matrix if it has several columns."""
    if y is None:
        raise ValueError(
            f"The regressor requires y to be passed, but the target {name} is None."
        )
    if issparse(y):
        raise ValueError(
            f"{name} is a sparse matrix of shape {y.shape}; targets are dense. Use "
            f"{name}.toarray()."
        )
    try:
        y = check_array(
            _objects_as_floats(y),
            ensure_2d=False,
            allow_nd=True,
            dtype="numeric",
            input_name=name,
        )
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{error}\nThe targets in {name} must be finite numbers. Remove the rows "
            "where they are not, or fill them in."
        ) from error
    if y.dtype.kind not in "biuf":
        raise ValueError(
            f"{name} has values of dtype {y.dtype}, such as {y[:1].tolist()}. Use "
            "numbers, or a classifier for labels."
        )
    if y.ndim > 2:
        raise ValueError(
            f"{name} has {y.ndim} dimensions, the shape {y.shape}; it must have the "
            f"shape {_SHAPES}. Reshape it, for instance by "
            f"{name}.reshape(len({name}), -1)."
        )
    return column_or_1d(y, warn=True) if y.shape[1:] == (1,) else y


def _objects_as_floats(y):
    """Convert numbers that numpy holds as objects, such as Fractions, to floats."""
    y = np.asarray(y)
    is_numbers = y.dtype == object and all(isinstance(x, Real) for x in y.flat)
    return y.astype(np.float64) if is_numbers else y


def check_same_width(y, n_outputs, name="y"):
    """Refuse targets with a different number of outputs than in training."""
    width = 1 if y.ndim == 1 else y.shape[1]
    if width != n_outputs:
        raise ValueError(
            f"{name} has {width} outputs, but the regressor is trained on {n_outputs}. "
            "Use targets of the same shape, or begin anew."
        )


def check_counts(y, name="y"):
    """Refuse targets that cannot come from a Poisson distribution."""
    if (y < 0).any():
        raise ValueError(
            f"loss='poisson' needs targets that are not negative, but the least in "
            f"{name} is {y.min():g}. Use loss='squared_error' or loss='huber', or "
            "targets of zero and more."
        )


def warn_if_badly_scaled(y):
    """Warn if the standard deviation of an output is below 0.01 or above 100."""
    with np.errstate(over="ignore"):
        spread = np.atleast_1d(y.std(axis=0))
    far = spread[(spread > 0) & ~((spread >= 0.01) & (spread <= 100))]
    if len(far):
        warn_at_caller(
            f"The targets have a standard deviation of {far[0]:.3g}, but the network "
            "begins with outputs of about one and may not get there. Scale them, for "
            "instance by TransformedTargetRegressor with a StandardScaler."
        )


def as_floats(y, dtype, name="y"):
    """Convert targets to X's dtype, in which they must be finite."""
    with np.errstate(over="ignore"):
        floats = y.astype(dtype)
    if not np.isfinite(floats).all():
        raise ValueError(
            f"{name} has targets that are infinite in {np.dtype(dtype)}, the dtype of "
            f"X: the largest is {np.abs(y).max():g}. {_SCALE}"
        )
    return floats


def check_loss_is_finite(y, criterion, name="y"):
    """Refuse targets whose loss overflows even for predictions of zero."""
    target = torch.from_numpy(y)
    loss = criterion()(torch.zeros_like(target), target)
    if not torch.isfinite(loss):
        raise ValueError(
            f"The loss of the targets in {name} overflows in {y.dtype}, the dtype of "
            f"X: the largest is {np.abs(y).max():g}. {_SCALE}"
        )


def check_scored(y, stops_by_r2):
    """Refuse validation targets with no defined R²; warn about useless ones."""
    if len(y) < 2:
        raise ValueError(
            f"There are {len(y)} validation samples, but R² needs at least 2. Pass "
            "more in X_val and y_val, or none."
        )
    if stops_by_r2 and (y == y[0]).all():
        warn_at_caller(
            f"All validation targets are {np.ravel(y[0]).tolist()}, so that R² is 0 "
            "for all predictions but the perfect ones and early stopping stops at the "
            "first epoch. Pass X_val and y_val with different targets, increase "
            "validation_fraction, or set scoring='loss' or early_stopping=False."
        )
