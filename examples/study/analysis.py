"""From rows to comparisons: paired differences and their intervals."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import bootstrap

from study.results import KEY, read

CASE = [name for name in KEY if name != "arm"]


def load(folder, study):
    """Read the results of a study on all data sets, in the order of the files' rows."""
    files = sorted(Path(folder).glob(f"{study.name}_*.csv"))
    if not files:
        return pd.DataFrame(columns=[*KEY, *study.columns])
    return pd.concat([read(path) for path in files], ignore_index=True)


def differences(rows, first, second, column):
    """Subtract the second arm's column from the first's, in all cases that have both.

    Returns a series indexed by data set, noise and seed.
    """
    values = rows[rows["arm"].isin([first, second])]
    table = values.pivot(index=CASE, columns="arm", values=column)
    table = table.reindex(columns=[first, second])
    return (table[first] - table[second]).dropna()


def interval(values):
    """Return mean and 95 % bootstrap interval; with one value the interval is NaN.

    Percentiles of 9,999 means; for ten values they are some 18 % narrower than
    Student's interval, for five 37 %.
    """
    values = np.asarray(values, float)
    if len(values) < 2:
        return values.mean(), np.nan, np.nan
    found = bootstrap((values,), np.mean, method="percentile", rng=0)
    return values.mean(), *found.confidence_interval
