"""Multi-layer perceptrons and losses that the tests of the scores share."""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

N = 12


ACTIVATIONS = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "identity": nn.Identity,
    "gelu": nn.GELU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
}


def shared(per_sample, w):
    """Make a loss that can return the share of J of given rows, for the reference."""

    def loss(outputs, targets, rows=slice(None)):
        return (w * per_sample(outputs, targets))[rows].sum() / w.sum()

    return loss


LOSSES = {
    "softmax": (3, lambda z, y: F.cross_entropy(z, y, reduction="none")),
    "logistic": (
        1,
        lambda z, y: F.binary_cross_entropy_with_logits(
            z[:, 0], (y == 0).to(z), reduction="none"
        ),
    ),
    "squared": (2, lambda z, y: (z - y[:, None].to(z)).square().sum(1)),
    "log-cosh": (2, lambda z, y: (z - y[:, None].to(z)).cosh().log().sum(1)),
    "poisson": (
        1,
        lambda z, y: F.poisson_nll_loss(z[:, 0], y.to(z), reduction="none"),
    ),
    "absolute": (2, lambda z, y: (z - y[:, None].to(z) - 0.1).abs().sum(1)),
}


def make_net(activation, sizes, seed=0):
    """A multi-layer perceptron in float64 and its data; some units are dead."""
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for fan_in, fan_out in pairwise(sizes):
        parts += [nn.Linear(fan_in, fan_out), ACTIVATIONS[activation]()]
    net = nn.Sequential(*parts[:-1]).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(generator=generator)
        if activation in ("relu", "tanh", "sigmoid") and len(sizes) > 2:
            net[0].bias[0] = -1e3  # dead behind ReLU, saturated behind the others
    X = torch.randn(N, sizes[0], generator=generator, dtype=torch.float64)
    X[:, 1] = 0  # a dead input
    y = torch.randint(0, 3, (N,), generator=generator)
    return net, X, y
