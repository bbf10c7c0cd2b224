"""From checked arrays to Samples, of this process or of several."""

import numpy as np
import torch

from sklearn_hessreg._training._batches import Samples
from sklearn_hessreg._training._sharded import ShardedRows, ShardedSamples


def to_samples(X, y, weight, head, device="cpu", rows=None):
    """Wrap arrays as Samples with the target that the head's criterion expects.

    `rows` are the numbers of those that y and weight are of, None for all.
    """
    weight = None if (weight == 1).all() else torch.from_numpy(weight)
    dtype = torch.from_numpy(np.empty(0, X.dtype)).dtype
    target = head.target(y, dtype)
    if isinstance(X, ShardedRows):
        X = X if rows is None else X[rows]  # which copies nothing
        samples = ShardedSamples(X, target, weight, device)
    else:
        samples = Samples(X, target, weight, device, rows)
    samples.y = y  # for scorers
    return samples
