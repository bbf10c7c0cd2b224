"""From rows to comparisons: tuned arms, chosen epochs, paired differences."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import bootstrap

from study.arms import DROPOUT, OURS, OURS_AUTO, WEIGHT_DECAY
from study.peers import PEERS
from study.results import KEY, read

# Of these arms the one with the best validation accuracy counts, seed by seed; "none"
# is among them, so that tuning may also switch the regulariser off.
TUNED = {
    "ours tuned": ["none", *OURS],
    "ours every=auto tuned": ["none", *OURS_AUTO],
    "dropout tuned": ["none", *DROPOUT],
    "weight_decay tuned": ["none", *WEIGHT_DECAY],
}
CASE = [name for name in KEY if name != "arm"]


def load(folder, study):
    """Read the results of a study on all data sets, in the order of the files' rows."""
    files = sorted(Path(folder).glob(f"{study.name}_*.csv"))
    if not files:
        return pd.DataFrame(columns=[*KEY, *study.columns])
    return pd.concat([read(path) for path in files], ignore_index=True)


def at_epoch(rows, epoch):
    """Take the rows of one epoch, and those of arms that have one row for a fit."""
    one_row = rows["arm"].isin(PEERS) | rows["arm"].str.contains("every=plateau")
    return rows[(rows["epoch"] == epoch) | one_row]


def selected(rows, epoch):
    """Take each run's first row of best validation accuracy, up to an epoch."""
    rows = rows[(rows["epoch"] <= epoch) & rows["valid_accuracy"].notna()]
    return rows.loc[rows.groupby(KEY)["valid_accuracy"].idxmax()]


def final(rows, epoch):
    """Take one row for each run at an epoch, with the arms that are formed here.

    ``early_stopping`` is "none" at its best validation accuracy until then.
    """
    chosen = selected(rows, epoch)
    early = chosen[chosen["arm"] == "none"].assign(arm="early_stopping")
    return pd.concat([with_tuned(at_epoch(rows, epoch)), early], ignore_index=True)


def with_tuned(rows):
    """Add the tuned arms to rows that have one for each run.

    Ties go to the first candidate. Where one is missing the tuned arm is missing too.
    """
    found = [rows]
    for name, candidates in TUNED.items():
        some = rows[rows["arm"].isin(candidates)]
        rank = some["arm"].map(candidates.index)
        some = some.iloc[np.argsort(rank, kind="stable")]
        cases = some.groupby(CASE)["valid_accuracy"]
        best = some.loc[cases.idxmax()[cases.size() == len(candidates)]]
        found.append(best.assign(arm=name, chosen=best["arm"]))
    return pd.concat(found, ignore_index=True)


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
