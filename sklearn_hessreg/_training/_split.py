"""Training and validation samples: wrap arrays, and set rows aside in folds."""

import numpy as np
import torch

from sklearn_hessreg._training._batches import Samples
from sklearn_hessreg._training._sharded import ShardedRows, ShardedSamples


class ValidationSplit:
    """Training and validation samples; the folds of the rows validate in turn.

    `part(y, random_state)` returns the row numbers to train on in the first cycle, and
    a list of folds, the first of which has the other rows. Once each fold has
    validated, the round is over and the rows are split anew. A rotation changes the
    contents of `train` and `valid` in place, for everything that holds them. X is not
    copied.

    `rounds` are the RandomState's states before each round, `fold` is the number of the
    fold that validates, `held_out` the rows held out in each cycle.
    """

    def __init__(self, part, data, random_state, spec):
        self.part = part
        self.data = data
        self.random_state = random_state
        self.spec = spec
        self.rounds, self.folds, self.held_out, self.fold = [], [], [], 0
        self._begin_round()
        self.held_out.append(self.folds[0])
        self.train, self.valid = self._samples()

    def rotate(self):
        """Let the next fold validate, if cycles end at plateaus."""
        if self.spec.method["reinit_every"] != "plateau":
            return
        self.fold = (self.fold + 1) % len(self.folds)
        if self.fold == 0:
            self._begin_round()
        self.held_out.append(self.folds[self.fold])
        self._exchange_samples()

    def state_dict(self):
        """Return where the split is."""
        return {"rounds": self.rounds, "fold": self.fold}

    def load_state_dict(self, state):
        """Go to where another split was; the RandomState then is in its last round."""
        self.rounds, self.folds, self.held_out = [], [], []
        for before in state["rounds"]:
            self.held_out += self.folds
            self.random_state.set_state(before)
            self._begin_round()
        self.fold = state["fold"]
        self.held_out += self.folds[: self.fold + 1]
        self._exchange_samples()

    def _exchange_samples(self):
        """Put this fold's samples in the place of the last one's."""
        for samples, other in zip(
            (self.train, self.valid), self._samples(), strict=True
        ):
            vars(samples).update(vars(other))

    def _begin_round(self):
        """Split the rows into folds."""
        self.rounds.append(self.random_state.get_state(legacy=False))
        self.first_train, self.folds = self.part(self.data[1], self.random_state)

    def _samples(self):
        """Return both parts; the validation samples have no class weights."""
        X, y, *weights = self.data
        valid = self.folds[self.fold]
        train = self.first_train if self.fold == 0 else _others(valid, len(y))
        head, device = self.spec.head, self.spec.device
        return [
            to_samples(X, y[rows], weight[rows], head, device, rows)
            for rows, weight in zip((train, valid), weights, strict=True)
        ]


def _others(rows, size):
    """Return the numbers below `size` that are not in `rows`."""
    is_other = np.ones(size, dtype=bool)
    is_other[rows] = False
    return np.flatnonzero(is_other)


def to_samples(X, y, weight, head, device="cpu", rows=None):
    """Wrap arrays as Samples with the target that the head's criterion expects.

    `rows` are the numbers of the rows that y and weight belong to; None means all.
    """
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
