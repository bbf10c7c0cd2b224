"""Which networks predict, and how several of them run side by side."""

import numpy as np
import torch
from torch.nn import functional as F

from sklearn_hessreg._training._mlp import SparseRows, product
from sklearn_hessreg._training._state import write_weights


class StackedMLP:
    """Networks of one shape in one pass: a batch to outputs (networks, rows, outputs).

    The first layer of dense rows is one product for all networks, others are batched.
    """

    def __init__(self, snapshots, module, device):
        self.activation = module.activation
        self.layers = []
        for i in range(len(module.layers)):
            W, b = (
                np.stack([s["weights"][f"layers.{i}.{part}"] for s in snapshots])
                for part in ("weight", "bias")
            )
            self.layers.append([torch.from_numpy(x).to(device) for x in (W, b)])

    def __call__(self, X):
        (W, b), *others = self.layers
        if isinstance(X, SparseRows):
            # one by one, as rows of all their weights together leave the cache
            z = torch.stack([product(X, w) for w in W]).add_(b[:, None])
        else:
            z = F.linear(X.to(W.device), W.flatten(0, 1), b.flatten())
            z = z.view(len(X), *b.shape).transpose(0, 1)
        for W, b in others:
            z = torch.baddbmm(b[:, None], self.activation(z), W.mT)
        return z


def select_predictors(net, goes_on):
    """Set which networks predict, now that the training has come to here.

    These are the snapshots of the finished cycles and the network in training, if that
    counts. Unless training `goes_on`, the module becomes the last of them.
    """
    callbacks = dict(net.callbacks_)
    method = callbacks["hessian_reinit"]
    net.snapshots_, net.stacked_ = None, None
    if method.k == 0:
        return
    net.snapshots_ = method.members(net, callbacks["convergence"].monitored(net))
    latest = net.snapshots_[-1]
    finished = any(latest is snapshot for snapshot in method.snapshots_)
    if finished and not goes_on:
        write_weights(net.module_, latest["weights"])
    if len(net.snapshots_) > 1 or (finished and goes_on):
        net.stacked_ = StackedMLP(net.snapshots_, net.module_, net.device)
