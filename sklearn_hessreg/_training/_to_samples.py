"""From checked arrays to Samples, of this process or of several."""

import numpy as np
import torch

from sklearn_hessreg._training._batches import Samples
from sklearn_hessreg._training._sharded import ShardedRows, ShardedSamples


def to_samples(X, y, weight, head, device="cpu"):
    """Wrap arrays as Samples with the target that the head's criterion expects."""
    weight = None if (weight == 1).all() else torch.from_numpy(weight)
    dtype = torch.from_numpy(np.empty(0, X.dtype)).dtype
    kind = ShardedSamples if isinstance(X, ShardedRows) else Samples
    samples = kind(X, head.target(y, dtype), weight, device)
    samples.y = y  # for scorers
    return samples
