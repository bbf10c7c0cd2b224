"""Prediction: batches of rows in, the mean over the networks out."""

import math
from contextlib import nullcontext
from functools import partial

import numpy as np
import torch

from sklearn_hessreg._training import PREDICTION_BATCH, Samples

# Rows in a batch for several networks: more leave a processor's cache, and take 1.5 to
# 5 times as long for networks of 100 to 256 units in float64.
STACKED_BATCH = 256


def predict(net, X, link):
    """Apply a method of the head to the outputs for each batch of X, and join them.

    skorch's own way would cost a single row half as much again.
    """
    network, function = net.infer, getattr(net.spec.head, link)
    size = PREDICTION_BATCH
    if net.stacked_ is not None:
        network, function = net.stacked_, partial(_mean, net.spec.head, link)
        size = STACKED_BATCH
    samples = Samples(X, device=net.device)
    with torch.inference_mode(), _without_autocast(net.device):
        for start in range(0, len(samples), size):
            rows = slice(start, start + size)
            outputs = network(samples.inputs_of_batch(rows))
            part = function(outputs.cpu()).numpy()
            if len(samples) <= size:
                return part
            if start == 0:
                joined = np.empty((len(samples), *part.shape[1:]), part.dtype)
            joined[rows] = part
    return joined


def _mean(head, link, outputs):
    """Apply a method of the head to the mean of the networks' probabilities."""
    count, rows, _ = outputs.shape
    outputs = outputs.flatten(0, 1)
    if link == "log_probabilities":  # finite where the probabilities round to zero
        logs = head.log_probabilities(outputs).view(count, rows, -1)
        return logs.logsumexp(0) - math.log(count)
    proba = head.probabilities(outputs).view(count, rows, -1).mean(0)
    return proba if link == "probabilities" else head.decide_by(proba)


def _without_autocast(device):
    """Leave autocast where it is on; entering takes as long as a small layer."""
    kind = device.partition(":")[0]
    on = torch.is_autocast_enabled(kind)
    return torch.autocast(kind, enabled=False) if on else nullcontext()
