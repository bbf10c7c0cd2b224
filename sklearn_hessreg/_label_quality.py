"""How well given targets agree with predictions: cleanlab's scores of label quality."""

import numpy as np
from scipy.stats import median_abs_deviation


def normalized_margin(y, proba):
    """Return ``(p_given - p_best_other + 1) / 2`` for each row, from 0 to 1.

    `y` are indices of classes. Of an indicator matrix each label is a class and its
    absence the other, so the score is the probability of what is given, by label.
    """
    if y.ndim == 2:
        return np.where(y, proba, 1 - proba)
    rows = np.arange(len(y))
    given = proba[rows, y]
    others = proba.copy()
    others[rows, y] = -np.inf
    return (given - others.max(axis=1) + 1) / 2


def residual_quality(y, predicted):
    """Return ``exp(-|residual| / spread)`` for each target, from 0 to 1.

    The spread of each output is the residuals' median absolute deviation, scaled to the
    standard deviation of normal ones; 1 where it is zero, as it is of a single row.
    """
    residuals = y - predicted
    spread = median_abs_deviation(residuals, axis=0, scale="normal")
    return np.exp(-np.abs(residuals) / np.where(spread > 0, spread, 1))
