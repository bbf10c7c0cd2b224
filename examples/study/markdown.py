"""Cells and tables in Markdown: means with intervals, paired differences."""

import re

import numpy as np
import pandas as pd

from study.analysis import differences, interval


def cell(values, digits=3):
    """Write a mean with its interval."""
    mean, low, high = interval(values)
    if np.isnan(low):
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def markdown(title, records):
    """Write a titled table, without padding: it would be a third of the file."""
    body = "No runs yet."
    if records:
        table = pd.DataFrame(records).fillna("")
        body = table.to_markdown(index=False, disable_numparse=True)
        body = re.sub(" {2,}", " ", re.sub("-{4,}", "---", body))
    return f"{title}\n\n{body}\n"


def describe(rows, columns):
    """Describe each arm in each data set and noise; `columns` says how, by titles."""
    return [
        dict(zip(("data set", "noise", "arm"), case, strict=True))
        | {title: write(runs) for title, write in columns.items()}
        | {"runs": len(runs)}
        for case, runs in rows.groupby(["dataset", "noise", "arm"], sort=False)
    ]


def mean(column, digits=0):
    """Make what writes the mean of a column without its interval."""
    return lambda runs: f"{runs[column].mean():.{digits}f}"


def compare(rows, pairs, columns, **labels):
    """Compare pairs of arms in each data set and noise, by paired differences."""
    records = []
    for first, second in pairs:
        found = {c: differences(rows, first, second, c) for c in columns}
        for case, values in found[columns[0]].groupby(["dataset", "noise"]):
            record = {"data set": case[0], "noise": case[1], **labels}
            record |= {"arm": first, "minus": second}
            for column in columns:
                record[column] = cell(found[column].loc[case], 4)
            records.append(record | {"pairs": len(values)})
    return records
