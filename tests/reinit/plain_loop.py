"""The method as a plain loop over epochs and batches, for tests to compare with."""

import copy
import math

import numpy as np
import torch
from torch import nn

from sklearn_hessreg import hessian_scores
from sklearn_hessreg._reinit import select_top_k

BATCH = 20
loss_of = nn.CrossEntropyLoss()


def batches(X, y):
    """Cut the rows into batches."""
    X, y = torch.from_numpy(X), torch.from_numpy(y)
    return zip(X.split(BATCH), y.split(BATCH), strict=True)


def train_epoch(module, optimizer, X, y):
    """Update the weights batch by batch."""
    module.train()
    for Xb, yb in batches(X, y):
        optimizer.zero_grad()
        loss_of(module(Xb), yb).backward()
        optimizer.step()


@torch.no_grad()
def mean_loss(module, X, y):
    """Average the batches' losses."""
    module.eval()
    losses = [(loss_of(module(Xb), yb).item(), len(yb)) for Xb, yb in batches(X, y)]
    values, sizes = zip(*losses, strict=True)
    return np.average(values, weights=sizes)


@torch.no_grad()
def error_rate(module, X, y):
    """Compute the negative accuracy, of which less is better."""
    module.eval()
    return -np.mean(module(torch.from_numpy(X)).argmax(1).numpy() == y)


def redraw(module, X, y, generator, *, importance, k, n, samples):
    """Re-initialise k percent of the last n layers."""
    names = [name for name, part in module.named_modules() if type(part) is nn.Linear]
    layers = {name: module.get_submodule(name) for name in names[-n:]}
    if importance == "hessian":
        rows = np.arange(len(X))
        if samples < len(X):
            rows = torch.randperm(len(X), generator=generator)[:samples].numpy()
        data = torch.from_numpy(X[rows]), torch.from_numpy(y[rows])
        module.eval()
        scores = hessian_scores(module, loss_of, *data, n=n)
    elif importance == "magnitude":
        scores = {name: layer.weight.abs() for name, layer in layers.items()}
    else:
        scores = {
            name: torch.rand(layer.weight.shape, generator=generator)
            for name, layer in layers.items()
        }
    masks = select_top_k(scores, k, "layer")
    for name, layer in layers.items():
        fresh = torch.empty_like(layer.weight)
        nn.init.xavier_uniform_(fresh, generator=generator)
        with torch.no_grad():
            layer.weight[masks[name]] = fresh[masks[name]]


def train(
    module,
    optimizer,
    train_data,
    valid_data,
    epochs,
    *,
    every="plateau",
    n_snapshots=10,
    tol=1e-4,
    patience=10,
    load_best=False,
    monitor=mean_loss,
    seed=0,
    **event,
):
    """Train in cycles; return (epoch, score, weights) of the snapshots, and events."""
    generator = torch.Generator().manual_seed(seed)
    snapshots, events, due, ended = [], [], False, 0
    best, best_weights, misses = math.inf, None, 0
    for epoch in range(1, epochs + 1):
        if due:
            redraw(module, *train_data, generator, **event)
            events.append(epoch)
            due = False
        train_epoch(module, optimizer, *train_data)
        score = monitor(module, *valid_data)
        misses = misses + 1 if score > best - tol else 0
        if score < best:
            best, best_weights = score, copy.deepcopy(module.state_dict())
        if misses > patience if every == "plateau" else epoch % every == 0:
            if load_best:
                score = best
                module.load_state_dict(best_weights)
            snapshots.append((epoch, score, copy.deepcopy(module.state_dict())))
            del snapshots[:-n_snapshots]
            best, misses, due, ended = math.inf, 0, True, epoch
            if every == "plateau" and len(snapshots) == n_snapshots:
                break
    if ended < epoch:  # the last cycle was cut off
        score = best if load_best else score
        weights = best_weights if load_best else module.state_dict()
        if not snapshots or score <= max(before for _, before, _ in snapshots):
            snapshots.append((epoch, score, copy.deepcopy(weights)))
            del snapshots[:-n_snapshots]
    return snapshots, events
