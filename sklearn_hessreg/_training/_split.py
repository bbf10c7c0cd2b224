"""Training and validation samples: wrap arrays, and set rows aside in folds."""

import numpy as np
import torch

from sklearn_hessreg._training._batches import Samples
from sklearn_hessreg._training._sharded import ShardedRows, ShardedSamples


class ValidationSplit:
    """Training and validation samples; the folds of the rows validate in turn.

    `part(y, random_state)` returns the row numbers to train on in the first cycle, and
    a list of folds, the first of which has the other rows. Once each fold has
    validated, the rows are split anew. A rotation changes the contents of `train` and
    `valid` in place, for everything that holds them. X is not copied.

    `trained` has the numbers of the rows that train now, `held_out` lists the folds
    that have validated, the last of which validates now, `left` those still to come.
    """

    def __init__(self, part, data, random_state, spec):
        self.part = part
        self.data = data
        self.random_state = random_state
        self.spec = spec
        self.held_out, self.left = [], []
        self._take_fold()
        self.train, self.valid = self._samples()

    def rotate(self):
        """Let the next fold validate, if cycles end at plateaus."""
        if self.spec.method["reinit_every"] == "plateau":
            self._take_fold()
            self._exchange_samples()

    def state_dict(self):
        """Return the row numbers that tell where the split is."""
        return {name: getattr(self, name) for name in ("trained", "held_out", "left")}

    def load_state_dict(self, state):
        """Go to where another split was."""
        vars(self).update(state)
        self._exchange_samples()

    def _take_fold(self):
        """Take the next fold, of a new split if none is left."""
        y = self.data[1]
        if self.left:
            valid, *self.left = self.left
            self.trained = np.delete(np.arange(len(y)), valid)
        else:
            self.trained, (valid, *self.left) = self.part(y, self.random_state)
        self.held_out.append(valid)

    def _exchange_samples(self):
        """Put the samples of now in the place of the last ones."""
        for samples, other in zip(
            (self.train, self.valid), self._samples(), strict=True
        ):
            vars(samples).update(vars(other))

    def _samples(self):
        """Return both parts; the validation samples have no class weights."""
        X, y, *weights = self.data
        head, device = self.spec.head, self.spec.device
        return [
            to_samples(X, y[rows], weight[rows], head, device, rows)
            for rows, weight in zip(
                (self.trained, self.held_out[-1]), weights, strict=True
            )
        ]


def to_samples(X, y, weight, head, device="cpu", rows=None):
    """Wrap arrays as Samples; y and weight are those of `rows`, or of all rows."""
    weight = None if (weight == 1).all() else torch.from_numpy(weight)
    dtype = torch.from_numpy(np.empty(0, X.dtype)).dtype
    target = head.target(y, dtype)
    if isinstance(X, ShardedRows):
        X = X if rows is None else X[rows]  # copies nothing
        samples = ShardedSamples(X, target, weight, device)
    else:
        samples = Samples(X, target, weight, device, rows)
    samples.y = y  # for scorers
    return samples
