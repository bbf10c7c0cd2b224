"""
Data that do not fit into memory
================================

You learn to train on a file of which one part at a time is in memory.

``fit`` takes a memory map as it is and reads the rows of a batch when they are due.
Anything else that can be had in parts, each of which fits, is trained by
``partial_fit``: an iterable of ``(X, y)`` and a loop of three lines. Here torch's
``DataLoader`` makes the parts of a file on disk; batches of Parquet, slices of zarr and
blocks of dask go into the same loop.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch.utils.data import DataLoader, Dataset

from sklearn_hessreg import HessianRegularizedMLPClassifier, TrainingCurveDisplay

N_ROWS, N_FEATURES, PART = 20_000, 30, 2_000

# %%
# The file: written once, part by part, so that it is never in memory as a whole.

folder = TemporaryDirectory()
path = Path(folder.name) / "rows.npy"
rng = np.random.default_rng(0)
directions = rng.normal(size=(N_FEATURES, 3))
rows = np.lib.format.open_memmap(
    path, mode="w+", dtype="float32", shape=(N_ROWS, N_FEATURES + 1)
)
for start in range(0, N_ROWS, PART):
    X = rng.normal(size=(PART, N_FEATURES))
    y = (np.tanh(X @ directions) + rng.normal(scale=0.3, size=(PART, 3))).argmax(1)
    rows[start : start + PART] = np.column_stack([5 + 3 * X, y])
rows.flush()
del rows

# %%
# The parts: any iterable of ``(X, y)`` that can be begun anew. That of a ``Dataset`` is
# a ``DataLoader`` whose batch is a part: ``shuffle=True`` mixes the rows of the whole
# file in each pass, and ``num_workers`` reads ahead. The network's own batches, of
# ``batch_size`` rows, are drawn within a part. float32 tensors are trained as float32.


class Rows(Dataset):
    """Rows of the file, fetched by number; the last part is left out for a test."""

    def __init__(self, path):
        self.rows = np.load(path, mmap_mode="r")

    def __len__(self):
        return N_ROWS - PART

    def __getitems__(self, numbers):
        """Fetch many rows at once, which DataLoader asks for where it can."""
        return self.rows[np.sort(numbers)]


def to_part(rows):
    """Part the columns."""
    return torch.from_numpy(rows[:, :-1]), rows[:, -1].astype(int)


parts = DataLoader(
    Rows(path),
    batch_size=PART,
    shuffle=True,
    collate_fn=to_part,
    generator=torch.Generator().manual_seed(0),
)
test = np.load(path, mmap_mode="r")[-PART:]

# %%
# A first pass for the scaler, which learns in parts too. Then ten passes for the
# network. A call of ``partial_fit`` counts as an epoch: what counts epochs, here
# ``reinit_every``, by default ``n_iter_no_change``, counts parts.

scaler = StandardScaler()
for X, _ in parts:
    scaler.partial_fit(X)

clf = HessianRegularizedMLPClassifier(
    k=30, reinit_every=3 * len(parts), n_snapshots=4, random_state=0
)
for _ in range(10):
    for X, y in parts:
        clf.partial_fit(scaler.transform(X), y, classes=[0, 1, 2])

accuracy = clf.score(scaler.transform(test[:, :-1]), test[:, -1])
print(f"{len(clf.loss_curve_)} parts, {len(clf.snapshots_)} networks: {accuracy:.3f}")

curves = TrainingCurveDisplay.from_estimator(clf)
curves.figure_.suptitle("Each call of partial_fit is an epoch")
plt.show()

# %%
# The memory map itself into ``fit``: all of scikit-learn's and this package's
# parameters, ``early_stopping`` among them, and no copy of the rows. ``fit`` begins
# anew each time, and its features should be scaled in the file.

X = np.load(path, mmap_mode="r")[:-PART, :-1]
y = np.load(path, mmap_mode="r")[:-PART, -1].astype(int)
mapped = HessianRegularizedMLPClassifier(
    n_iter_no_change=3, n_snapshots=3, random_state=0
)
accuracy = mapped.fit(X, y).score(test[:, :-1], test[:, -1])
print(f"{mapped.n_iter_} epochs, {len(mapped.snapshots_)} networks: {accuracy:.3f}")
folder.cleanup()
