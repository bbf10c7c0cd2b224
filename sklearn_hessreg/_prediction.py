"""Prediction: batches of rows in, the mean over the networks out."""

import math
from contextlib import nullcontext
from functools import partial

import numpy as np
import torch

from sklearn_hessreg._torch_context import threads_for
from sklearn_hessreg._training import PREDICTION_BATCH, Samples, count_largest_product

# Rows per batch for several networks. Larger batches do not fit a processor's cache and
# take 1.5 to 5 times as long for networks of 100 to 256 units in float64.
STACKED_BATCH = 256


def predict(net, X, link, member=None):
    """Apply a method of the head to the outputs for each batch of X and join them.

    `member` is the index of a single network to use; None averages over all of them.
    skorch's own prediction would take half as long again for a single row.
    """
    network, function = net.infer, getattr(net.spec.head, link)
    size = PREDICTION_BATCH
    if net.stacked_ is not None:
        network, size = net.stacked_, STACKED_BATCH
        if member is None:
            function = partial(_mean, net.spec.head, link)
    samples = Samples(X, device=net.device)
    size = max(size, _rows_like_weights(net, samples))
    networks = 1 if net.stacked_ is None else net.stacked_.n_networks
    rows = networks * min(size, len(samples))
    work = count_largest_product(net.spec.layer_units, samples.sparse, rows)
    with threads_for(work), torch.inference_mode(), _without_autocast(net.device):
        for start in range(0, len(samples), size):
            rows = slice(start, start + size)
            outputs = network(samples.inputs_of_batch(rows))
            if outputs.ndim == 3 and member is not None:
                outputs = outputs[member]
            part = function(outputs.cpu()).numpy()
            if len(samples) <= size:
                return part
            if start == 0:
                joined = np.empty((len(samples), *part.shape[1:]), part.dtype)
            joined[rows] = part
    return joined


def predict_held_out(net, X, link):
    """For each row, average over the networks that held it out; NaN if none did."""
    n_networks = max(1, len(net.snapshots_))
    held_out = net.held_out_
    if net.spec.method["reinit_every"] != "plateau":  # all had the same validation rows
        held_out = held_out * n_networks
    parts = [
        (rows, predict(net, X[rows], link, member))
        for member, rows in zip(range(n_networks), held_out, strict=False)
    ]
    _, first = parts[0]
    total = np.zeros((X.shape[0], first.shape[1]), first.dtype)
    count = np.zeros((X.shape[0], 1))
    for rows, part in parts:
        total[rows] += part
        count[rows] += 1
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def _rows_like_weights(net, samples):
    """Return how many rows give no layer more results than the first has weights.

    scipy copies these weights for each product with sparse rows: for 1,024 rows of
    10,000 features that took twice as long as the product. Dense rows need no copy.
    """
    inputs, *units = net.spec.layer_units
    return inputs * units[0] // max(units) if samples.sparse else 0


def _mean(head, link, outputs):
    """Average what a method of the head returns, such as probabilities."""
    count, rows, _ = outputs.shape
    outputs = outputs.flatten(0, 1)
    if link == "log_probabilities":  # finite where the probabilities round to zero
        logs = head.log_probabilities(outputs).view(count, rows, -1)
        return logs.logsumexp(0) - math.log(count)
    averaged = "probabilities" if link == "decide" else link
    mean = getattr(head, averaged)(outputs).view(count, rows, -1).mean(0)
    return head.decide_by(mean) if link == "decide" else mean


def _without_autocast(device):
    """Disable autocast only if it is on: doing so takes as long as a small layer."""
    kind = device.partition(":")[0]
    on = torch.is_autocast_enabled(kind)
    return torch.autocast(kind, enabled=False) if on else nullcontext()
