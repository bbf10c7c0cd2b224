"""Batches of rows in memory: slices of tensors, or of a sparse matrix."""

import numpy as np
import torch
from scipy.sparse import issparse
from torch.utils.data import Dataset

GATHERED = 2**18  # numbers that are shuffled at once; they fit into a cache


class Samples(Dataset):
    """Rows in memory, fetched many at a time as (X, (target, weight)).

    `X` is a dense array or a CSR matrix, which is made dense batch by batch. A `weight`
    of None counts every row once. Without `target` there are `inputs` only.
    """

    def __init__(self, X, target=None, weight=None):
        # a view as a tensor, where torch takes it; else batches are copied one by one
        viewable = not issparse(X) and X.flags.writeable
        viewable = viewable and all(s >= 0 and s % X.itemsize == 0 for s in X.strides)
        self.X = torch.from_numpy(X) if viewable else X
        self.target = target
        self.weight = weight

    def __len__(self):
        return self.X.shape[0]

    def __getitem__(self, rows):
        weight = None if self.weight is None else _take(self.weight, rows)
        return self.inputs(rows), (_take(self.target, rows), weight)

    def inputs(self, rows):
        """Fetch rows of X alone."""
        if isinstance(self.X, torch.Tensor):
            return _take(self.X, rows).contiguous()
        X = self.X[rows if isinstance(rows, slice) else np.asarray(rows)]
        X = X.toarray() if issparse(X) else np.require(X, requirements="CW")
        return torch.from_numpy(X)


def _take(tensor, rows):
    """Fetch rows by a slice, a list or a tensor of numbers."""
    if isinstance(rows, slice):
        return tensor[rows]
    return tensor.index_select(0, torch.as_tensor(rows))  # twice as fast as indexing


class Batches:
    """Iterate over Samples in slices, permuted anew for each pass if `shuffle`."""

    def __init__(self, dataset, batch_size, shuffle=False, random_state=None):
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.random_state = random_state
        self.order = np.arange(len(dataset))

    def __iter__(self):
        if not self.shuffle:
            for rows in self._slices(len(self.dataset), self.batch_size):
                yield self.dataset[rows]
            return
        # permutes the last permutation, as MLPClassifier does
        self.order = self.order[self.random_state.permutation(len(self.order))]
        order = torch.from_numpy(self.order)
        # rows are gathered for many batches at once, which are then views
        batches = max(1, GATHERED // (self.batch_size * self.dataset.X.shape[1]))
        for some in self._slices(len(order), batches * self.batch_size):
            X, (target, weight) = self.dataset[order[some]]
            for rows in self._slices(len(X), self.batch_size):
                part = None if weight is None else weight[rows]
                yield X[rows], (target[rows], part)

    @staticmethod
    def _slices(n_samples, size):
        """Cut 0..n_samples into slices of a size."""
        return (slice(i, i + size) for i in range(0, n_samples, size))


def rows_of_batch(batch_size, n_samples):
    """Return the number of rows in a batch, which "auto" leaves to MLPClassifier."""
    return min(200 if batch_size == "auto" else batch_size, n_samples)


def to_samples(X, y, weight, n_outputs):
    """Wrap arrays as Samples with the target that the criterion expects."""
    target = torch.from_numpy(y)
    if n_outputs == 1 or y.ndim == 2:
        target = target.to(torch.from_numpy(weight).dtype).view(-1, n_outputs)
    unweighted = (weight == 1).all()
    return Samples(X, target, None if unweighted else torch.from_numpy(weight))
