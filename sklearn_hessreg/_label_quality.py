"""cleanlab's label quality scores: how well given targets agree with predictions."""

import numpy as np
from scipy.stats import median_abs_deviation


def normalized_margin(y, proba):
    """Return ``(p_given - p_best_other + 1) / 2`` for each row, from 0 to 1.

    `y` holds class indices. In an indicator matrix each label is a class and its
    absence the other, so the score is the probability of the given zero or one.
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

    The spread of each output is the median absolute deviation of its residuals, scaled
    to equal the standard deviation if they are normal. Where that is zero, as for a
    single row, the spread is 1.
    """
    residuals = y - predicted
    spread = median_abs_deviation(residuals, axis=0, scale="normal")
    return np.exp(-np.abs(residuals) / np.where(spread > 0, spread, 1))
