"""The pattern for data in parts, as its page has it, with each store it names."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from peers import parameters
from pyarrow.parquet import ParquetFile, write_table
from torch.utils.data import DataLoader, TensorDataset
from training_cases import X, Y

from sklearn_hessreg import HessianRegularizedMLPClassifier

PAGE = Path(__file__).parents[1] / "docs" / "streams.md"
SECTION = PAGE.read_text().partition("## Data that do not fit into memory\n")[2]
(LOOP,) = re.findall(r"^```python\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL)
WAYS = dict(re.findall(r"^\| (.*?) \| `(.*?)`", SECTION, re.MULTILINE))
ROWS = 40  # of a part; the last one has 30
ORDER = np.random.default_rng(0).permutation(len(Y))
X, Y = X[ORDER], Y[ORDER]
NAMES = ["a", "b", "c", "d"]


class Parts:
    """An expression that is evaluated anew for each pass."""

    def __init__(self, expression, **names):
        self.expression, self.names = expression.replace("100_000", str(ROWS)), names

    def __iter__(self):
        return iter(eval(self.expression, dict(self.names)))


SLICES = "((X[i : i + 100_000], y[i : i + 100_000]) for i in range(0, len(y), 100_000))"
IN_MEMORY = Parts(SLICES, X=X, y=Y)


def way(store):
    """Take what the page says of a store, by a word of its row."""
    (expression,) = [WAYS[kind] for kind in WAYS if store in kind]
    return expression


def trained(parts):
    """Run the loop of the page, with the same draws where parts are shuffled."""
    clf = HessianRegularizedMLPClassifier((8,), reinit_every=3, random_state=0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        exec(LOOP, {"clf": clf, "parts": parts, "classes": [0, 1, 2]})
    return clf


def assert_trains_alike(parts, reference=IN_MEMORY):
    """Compare all networks and losses with those of arrays in memory, to the bit."""
    clf, one = trained(parts), trained(reference)
    assert len(clf.loss_curve_) == 10 * 4
    assert clf.loss_curve_ == one.loss_curve_
    assert np.array_equal(parameters(clf), parameters(one))


def test_memory_maps(tmp_path):
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", Y)
    maps = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "Xy"]
    assert_trains_alike(Parts(way("`numpy` maps"), X=maps[0], y=maps[1]))


def test_zarr(tmp_path):
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(tmp_path / "rows.zarr", mode="w")
    for name, array in (("X", X), ("y", Y)):
        chunks = (64, *array.shape[1:])
        options = {"shape": array.shape, "chunks": chunks, "dtype": array.dtype}
        group.create_array(name, **options)[:] = array
    stored = zarr.open_group(tmp_path / "rows.zarr", mode="r")
    assert_trains_alike(Parts(way("zarr"), X=stored["X"], y=stored["y"]))


def test_hdf5(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        file.create_dataset("X", data=X, chunks=(64, 4))
        file["y"] = Y
    with h5py.File(tmp_path / "rows.h5") as file:
        assert_trains_alike(Parts(way("HDF5"), X=file["X"], y=file["y"]))


def test_parquet(tmp_path):
    columns = [*X.T, Y]
    path = tmp_path / "rows.parquet"
    write_table(pa.table(columns, names=[*NAMES, "y"]), path, row_group_size=64)
    names = {"ParquetFile": ParquetFile, "RecordBatch": pa.RecordBatch, "path": path}
    assert_trains_alike(Parts(way("Parquet"), **names))


def test_blocks_of_dask_arrays():
    dask, arrays = pytest.importorskip("dask"), pytest.importorskip("dask.array")
    lazy = {
        "X": arrays.from_array(X, chunks=(ROWS, 4)),
        "y": arrays.from_array(Y, chunks=ROWS),
    }
    assert_trains_alike(Parts(way("dask"), dask=dask, **lazy))


def test_partitions_of_dask_frames():
    dask, frames = pytest.importorskip("dask"), pytest.importorskip("dask.dataframe")
    table = pd.DataFrame(X, columns=NAMES).assign(y=Y)
    lazy = frames.from_pandas(table, chunksize=ROWS)
    names = {"dask": dask, "X": lazy.drop(columns="y"), "y": lazy["y"]}
    expression = way("dask").replace(".blocks", ".partitions")
    assert_trains_alike(Parts(expression, **names))


def test_a_torch_dataset():
    # who reads ahead changes no part, and processes take long to start
    expression = way("torch").replace("num_workers=2", "num_workers=0")
    dataset = TensorDataset(*map(torch.from_numpy, (X, Y)))
    parts = Parts(expression, DataLoader=DataLoader, dataset=dataset)
    numbers = "DataLoader(range(len(y)), batch_size=100_000, shuffle=True)"
    rows = f"((X[n], y[n]) for n in {numbers})"
    assert_trains_alike(parts, Parts(rows, DataLoader=DataLoader, X=X, y=Y))
