"""Sharded training: one network on the rows of all torch.distributed processes.

Every process has the targets and weights of all rows, but only its own rows of X.
Batches are drawn from all rows, in an order that all processes share, so they are the
batches of one process that holds every row. Each process computes with the rows it has,
perhaps none, and the results are added up.
"""

from functools import partial

import numpy as np
import torch

from sklearn_hessreg._compat import warn_at_caller
from sklearn_hessreg._hessian import (
    ALONE,
    describe_arguments,
    describe_module,
    describe_samples,
    ranks_of,
)
from sklearn_hessreg._training._batches import Samples

# parameters that may differ between ranks; all use the first one's generator
_OWN = {"device", "random_state", "skorch_callbacks", "verbose"}


def sharing_ranks(params, columns):
    """Return the processes on whose rows a network is trained.

    They must have the same parameters and the same column names of X.
    """
    ranks = ranks_of()
    if not params["distributed"] and ranks.size > 1:
        warn_at_caller(
            f"torch.distributed is initialised for {ranks.size} processes, and each "
            "trains a network of its own. Set distributed=True to train one network on "
            "the rows of all, or filter this warning."
        )
    if not params["distributed"]:
        return ALONE
    shared = {name: value for name, value in params.items() if name not in _OWN}
    shared["columns"] = list(columns)
    ranks.agree("fit", lambda: describe_arguments(shared))
    return ranks


def learn_alike(ranks, learn, classes):
    """Let all processes learn from the targets, and refuse classes that differ."""

    def describe():
        learn()
        return describe_arguments({"classes": list(classes())})

    ranks.agree("learning the classes", describe)


def share_generator(ranks, random_state):
    """Set a RandomState to the state of the first process's."""
    draw = partial(random_state.get_state, legacy=False)
    random_state.set_state(ranks.gather("random_state", draw)[0])


def gather_rows(ranks, stage, prepare):
    """Return X, y and weights of all processes, joined in rank order.

    `prepare()` returns this process's checked X, y and weights, which may be None. If
    it fails in one process, all stop. Of a process without rows only the number of
    features must agree.
    """
    own = []

    def describe():
        X, y, weight = prepare()
        own.append(X)
        kind = X.shape[1], y.shape[1:], X.dtype.name, y.dtype.kind, weight is not None
        return kind, y, weight

    found = ranks.gather(stage, describe)
    with_rows = [(kind, y, weight) for kind, y, weight in found if len(y)]
    if not with_rows:
        raise ValueError(f"No rank has rows ({stage}). Give rows to at least one.")
    (kind, *_), *_ = with_rows
    for rank, (other, y, _) in enumerate(found):
        if other != kind if len(y) else other[0] != kind[0]:
            raise ValueError(
                "The ranks have data of different kinds (number of features, shape of "
                "a target, dtype, kind of the targets, with weights): there are "
                f"{kind}, and {other} on rank {rank}. Give all ranks rows of one kind."
            )
    sizes = [len(y) for _, y, _ in found]
    X = own[0].astype(kind[2], copy=False)
    _, y, weight = zip(*with_rows, strict=True)
    weight = None if weight[0] is None else np.concatenate(weight)
    X = ShardedRows.of(X, sum(sizes[: ranks.rank]), sum(sizes))
    return X, np.concatenate(y), weight


def check_begin(net, train_data):
    """Refuse ranks whose initial weights or targets differ."""
    _, y, weight, _ = train_data
    net.ranks_.agree(
        "the first epoch",
        lambda: describe_module(net.module_) | describe_samples(y, weight),
    )


class ShardedRows:
    """Rows of all processes: `places` says where in this one's `X` each is, or -1."""

    def __init__(self, X, places):
        self.X, self.places = X, places
        self.shape, self.dtype = (len(places), X.shape[1]), X.dtype

    @classmethod
    def of(cls, X, first, size):
        """Place the rows of X from number `first` on, among `size` rows in all."""
        places = np.full(size, -1)
        places[first : first + X.shape[0]] = np.arange(X.shape[0])
        return cls(X, places)

    def __len__(self):
        return len(self.places)

    def __getitem__(self, rows):
        return ShardedRows(self.X, self.places[rows])


class ShardedSamples(Samples):
    """Samples of all processes: a batch has only this one's, indexing returns all."""

    is_sharded = True

    def __init__(self, rows, target, weight, device):
        super().__init__(rows.X, target, weight, device)
        self.places = torch.from_numpy(rows.places)

    def __len__(self):
        return len(self.places)

    def __getitem__(self, rows):
        """Fetch rows, each from the process that has it; all processes must ask."""
        places = self.places[rows]
        here = places >= 0

        def own_rows():
            return here, self.inputs(places[here])

        parts = ranks_of().gather("samples", own_rows)
        X = parts[0][1].new_empty(len(places), parts[0][1].shape[1])
        for there, found in parts:
            X[there] = found
        return X, self._targets(rows)

    def batch(self, rows):
        """Fetch those of the rows that this process has."""
        if isinstance(rows, slice):
            rows = torch.arange(*rows.indices(len(self)))
        places = self.places[rows]
        here = places >= 0
        return self.inputs_of_batch(places[here]), self._targets(rows[here])


def average_gradients(net, batch):
    """Average J and its gradients over all processes; return outputs, J and weight.

    One message holds the gradients, J, the batch's weight and its number of rows.
    """
    X, (_, weight) = batch
    parameters = [p for p in net.module_.parameters() if p.requires_grad]
    sums = parameters[0].new_zeros(3 + sum(p.numel() for p in parameters))
    y_pred = sums.new_empty(0, net.spec.layer_units[-1])
    if len(X):
        y_pred, J = net.differentiate(*batch)
        total = len(X) if weight is None else weight.sum().item()
        torch.cat([p.grad.reshape(-1) for p in parameters], out=sums[3:])
        sums[3:] *= total
        sums[:3] = sums.new_tensor([J.item() * total, total, len(X)])
    gradient, J, total = _average(net, sums)
    sizes = [p.numel() for p in parameters]
    for p, own in zip(parameters, gradient.split(sizes), strict=True):
        p.grad = own.view_as(p)
    return y_pred, J, total


def average_loss(net, batch, J):
    """Average a batch's loss over all processes."""
    X, (_, weight) = batch
    total = len(X) if weight is None else weight.sum().item()
    sums = J.new_tensor([J.item() * total if len(X) else 0.0, total, len(X)])
    return _average(net, sums)[1]


def _average(net, sums):
    """Sum over the processes and divide by the weight; store the number of rows."""
    net.ranks_.add_up(sums)
    total = sums[1].item()
    net.rows_of_batch_ = int(sums[2].item())
    sums /= total
    return sums[3:], sums[0].clone(), total


def gather_outputs(net, parts):
    """Join the outputs, targets and weights of all processes."""
    # a GPU tensor would come back on the GPU of the same number
    own = [x if x is None else x.cpu() for x in parts]
    found = zip(*net.ranks_.gather("validation", lambda: own), strict=True)
    return [None if x[0] is None else torch.cat(x).to(net.device) for x in found]
