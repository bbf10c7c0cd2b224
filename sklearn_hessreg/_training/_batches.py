"""Batches of rows in memory: slices of tensors, or of a sparse matrix."""

import numpy as np
import torch
from scipy.sparse import issparse
from torch.utils.data import Dataset

from sklearn_hessreg._training._mlp import SparseRows, stays_sparse

GATHERED = 2**18  # numbers shuffled at once; they fit in cache


class Samples(Dataset):
    """Rows in memory, fetched many at a time as (X, (target, weight)).

    `X` is a dense array or a CSR matrix. CSR rows are made dense batch by batch; in a
    `batch` they stay sparse where that is faster on the device. A `weight` of None
    counts every row once. Without `target` there are `inputs` only. With `rows`, an
    array of row numbers, the samples are these rows of X, which is not copied; `target`
    and `weight` then belong to these rows.
    """

    is_sharded = False

    def __init__(self, X, target=None, weight=None, device="cpu", rows=None):
        self.sparse = stays_sparse(X, device)
        self.rows = rows
        # a tensor view if torch accepts the array; otherwise each batch is copied
        viewable = not issparse(X) and X.flags.writeable
        viewable = viewable and all(s >= 0 and s % X.itemsize == 0 for s in X.strides)
        self.X = torch.from_numpy(X) if viewable else X
        self.target = target
        self.weight = weight

    def __len__(self):
        return self.X.shape[0] if self.rows is None else len(self.rows)

    def __getitem__(self, rows):
        return self.inputs(rows), self._targets(rows)

    def batch(self, rows):
        """Fetch rows in the form that our own modules take."""
        return self.inputs_of_batch(rows), self._targets(rows)

    def inputs_of_batch(self, rows):
        """Fetch rows of X alone, in the form that our own modules take."""
        if self.sparse:
            return SparseRows(self.X[self._index(rows)])
        return self.inputs(rows)

    def inputs(self, rows):
        """Fetch rows of X alone."""
        if isinstance(self.X, torch.Tensor):
            rows = rows if self.rows is None else self._index(rows)
            return _take(self.X, rows).contiguous()
        X = self.X[self._index(rows)]
        # copied, because torch takes no negative strides, not even for a single row
        X = X.toarray() if issparse(X) else np.array(X, order="C")
        return torch.from_numpy(X)

    def _index(self, rows):
        """Convert a slice, list or tensor of row numbers to a numpy index into X."""
        rows = rows if isinstance(rows, slice) else np.asarray(rows)
        return rows if self.rows is None else self.rows[rows]

    def _targets(self, rows):
        """Fetch targets and weights."""
        weight = None if self.weight is None else _take(self.weight, rows)
        return _take(self.target, rows), weight


def _take(tensor, rows):
    """Fetch rows by a slice, list or tensor of row numbers."""
    if isinstance(rows, slice):
        return tensor[rows]
    return tensor.index_select(0, torch.as_tensor(rows))  # twice as fast as indexing


class BatchOrder:
    """The order of the rows in an epoch: the last one permuted, as in MLPClassifier."""

    def __init__(self, random_state):
        self.random_state = random_state
        self.rows = None

    def permute(self, n_samples):
        """Return the row numbers in the order of the next epoch."""
        if self.rows is None or len(self.rows) != n_samples:  # folds differ in size
            self.rows = np.arange(n_samples)
        self.rows = self.rows[self.random_state.permutation(n_samples)]
        return torch.from_numpy(self.rows)


class Batches:
    """Iterate over Samples in slices, in a new order each time if `order` is given."""

    def __init__(self, dataset, batch_size, order=None):
        self.dataset = dataset
        self.batch_size = batch_size
        self.order = order

    def __iter__(self):
        # any other dataset can only be indexed
        fetch = getattr(self.dataset, "batch", self.dataset.__getitem__)
        if self.order is None:
            for rows in _slices(len(self.dataset), self.batch_size):
                yield fetch(rows)
            return
        order = self.order.permute(len(self.dataset))
        if self.dataset.is_sharded:  # batches differ in the number of rows held here
            for rows in _slices(len(order), self.batch_size):
                yield fetch(order[rows])
            return
        # gather rows for many batches at once; each batch is then a view
        batches = max(1, GATHERED // (self.batch_size * self.dataset.X.shape[1]))
        for gathered in _slices(len(order), batches * self.batch_size):
            X, (target, weight) = fetch(order[gathered])
            for rows in _slices(len(X), self.batch_size):
                part = None if weight is None else weight[rows]
                yield X[rows], (target[rows], part)


def _slices(n_samples, size):
    """Cut 0..n_samples into slices of a size.

    sklearn.utils.gen_batches takes 50 us to check its arguments, three times per epoch.
    The epochs of small tables take 3 ms.
    """
    return (slice(i, i + size) for i in range(0, n_samples, size))


def rows_of_batch(spec, n_samples):
    """Return the number of rows in a batch, as in MLPClassifier."""
    if spec.solver == "lbfgs":  # takes all rows at once
        return n_samples
    return min(200 if spec.batch_size == "auto" else spec.batch_size, n_samples)
