"""The CSV files of results: where they are, what is in them, how rows are added."""

from pathlib import Path

import pandas as pd

FOLDER = Path(__file__).parents[2] / "docs" / "results"
KEY = ["dataset", "noise", "arm", "seed"]


def file_of(folder, study, dataset):
    """Name the file of a study on a data set."""
    return Path(folder) / f"{study}_{dataset}.csv"


def read(path):
    """Read a file of results; one that is not there yet has no rows."""
    if not Path(path).exists():
        return pd.DataFrame(columns=[*KEY, "epoch"])
    # two commands at the same time may have made the same run
    return pd.read_csv(path).drop_duplicates([*KEY, "epoch"])


def finished(path):
    """Collect the keys of the runs that are in a file."""
    return set(read(path)[KEY].itertuples(index=False, name=None))


def append(path, key, rows, columns):
    """Add a finished run's rows in one write, so that no run is ever there by half."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame([dict(zip(KEY, key, strict=True)) | row for row in rows])
    table = table.reindex(columns=[*KEY, *columns])
    text = table.to_csv(index=False, header=not path.exists(), float_format="%.4g")
    with path.open("a", newline="") as file:
        file.write(text)
